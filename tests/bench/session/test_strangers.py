"""What surrounds a run and is none of it: no effect, or a line before anything is measured."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.contract.errors import ExitCode
from bench.planning.plan import ROOT
from tests.support.front_end import command, environment, run_bench, run_bench_as_users_do

FakePython = Callable[[str], str]


@pytest.fixture
def workers(fake_python: FakePython) -> dict[str, str]:
    return {"jax": fake_python("good")}


def work() -> tuple[str, ...]:
    return ("--suite", "smoke", "--models", "two_layer", "-k", "accuracy")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-n", "2"), "-n, --dist: trainings and launches are timed, one at a time"),
        (("--benchmark-disable",), "--benchmark-disable: choose by -k"),
        (("--benchmark-skip",), "--benchmark-skip: choose by -k"),
        (("--benchmark-only",), "--benchmark-only: choose by -k"),
        (("-p", "no:benchmark"), "-p no:benchmark: pytest-benchmark is wanted"),
    ],
)
def test_options_of_pytests_that_would_measure_otherwise(
    workers: dict[str, str], tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    told = run_bench(tmp_path / "results", workers, *work(), *options)
    assert (told.returncode, words in told.stderr) == (ExitCode.USAGE, True), told.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["PYTEST_ADDOPTS", "PYTEST_PLUGINS"])
def test_variables_that_slip_such_options_in(
    workers: dict[str, str], tmp_path: Path, name: str
) -> None:
    value = {"PYTEST_ADDOPTS": "-x", "PYTEST_PLUGINS": "json"}[name]
    told = run_bench(tmp_path / "results", workers, *work(), **{name: value})
    assert (told.returncode, f"{name} is set" in told.stderr) == (ExitCode.USAGE, True)
    assert not (tmp_path / "results").exists()


def hostile(folder: Path) -> Path:
    """A folder whose files mean ill."""
    folder.mkdir()
    for name in ("conftest", "sitecustomize", "keras", "numpy", "bench"):
        (folder / f"{name}.py").write_text("raise RuntimeError('of strangers')\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    (folder / "keras.json").write_text(json.dumps({"floatx": "float16"}))
    (folder / ".keras").mkdir()
    (folder / ".keras" / "keras.json").write_text(json.dumps({"floatx": "float16"}))
    return folder


def test_files_where_the_command_is_given(workers: dict[str, str], tmp_path: Path) -> None:
    strange = hostile(tmp_path / "strange")
    pytest_itself = str(Path(sys.executable).with_name("pytest"))
    _, *options = command(tmp_path / "results", workers, *work())[3:]
    words = [pytest_itself, str(ROOT / "bench"), *options]
    told = subprocess.run(
        words,
        cwd=strange,
        env=environment(HOME=str(strange)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert len(list((tmp_path / "results").glob("2*/shards/two_layer*.json"))) == 1


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        {"HOME": ""},
        {"HOME": "/nonexistent"},
    ],
)
def test_languages_and_homes(
    workers: dict[str, str], tmp_path: Path, variables: dict[str, str]
) -> None:
    told = run_bench_as_users_do(tmp_path, workers, *work(), **variables)
    assert told.returncode == 0, told.stdout + told.stderr


def test_output_that_is_cut_off_ends_a_run_in_good_order(
    workers: dict[str, str], tmp_path: Path
) -> None:
    words = shlex.join(command(tmp_path, workers, *work(), "--seeds", "3"))
    told = subprocess.run(
        ["/bin/bash", "-c", f"{words} | head -n 2; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == ExitCode.INTERRUPTED, told.stderr
    assert len(told.stdout.splitlines()) == 2
    assert "nobody reads the output any more" in told.stderr
    assert "Traceback" not in told.stderr
    # Nothing is measured for nobody, and what is there is whole.
    assert not list(tmp_path.glob("2*/shards/two_layer*"))
    assert not list(tmp_path.glob("2*/shards/.*"))


def test_a_report_that_is_cut_off_is_written_all_the_same(
    workers: dict[str, str], tmp_path: Path
) -> None:
    assert run_bench_as_users_do(tmp_path, workers, *work()).returncode == 0
    (run,) = (path for path in tmp_path.glob("2*") if path.is_dir())
    (run / "report.html").unlink()
    words = shlex.join([sys.executable, "-m", "reports", str(run), "--verbose"])
    told = subprocess.run(
        ["/bin/bash", "-c", f"{words} | true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ},
    )
    assert "Traceback" not in told.stderr
    assert (run / "report.html").exists()


def test_a_disk_that_fills_up_ends_a_run_that_keeps_what_it_has(
    workers: dict[str, str], tmp_path: Path
) -> None:
    plugin = ("-p", "tests.support.plugins.full_disk")
    told = run_bench_as_users_do(tmp_path, workers, *plugin, *work(), "--seeds", "3")
    assert told.returncode == ExitCode.ENVIRONMENT, told.stdout + told.stderr
    assert "seed1.try1.npz: cannot be written (No space left on device)" in told.stdout
    assert "MISSING two_layer jax, seed 1; two_layer jax, seed 2" in told.stdout
    assert "To go on with it: nox -s bench -- " in told.stdout
    (run,) = (path for path in tmp_path.glob("2*") if path.is_dir())
    assert [path.name for path in run.glob("shards/two_layer*.json")] == [
        "two_layer-stock-jax-cpu-seed0.try1.json"
    ]
    assert not list(run.glob("shards/.*"))


def test_a_checkout_stays_as_it_is(workers: dict[str, str], tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    folders = ("bench", "models", "reports", "tests/support", "tests/__init__.py")
    listed = ("/usr/bin/git", "ls-files", *folders, "*.toml", "*.txt")
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).splitlines():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    there = {path: path.stat().st_mtime_ns for path in checkout.rglob("*") if path.is_file()}
    for path in sorted(checkout.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)  # who is root, may write all the same
    told = subprocess.run(
        command(tmp_path / "results", workers, *work()),
        cwd=checkout,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    after = {path: path.stat().st_mtime_ns for path in checkout.rglob("*") if path.is_file()}
    assert {path: after[path] for path in after if path.parent.name != "__pycache__"} == there
    assert (tmp_path / "results" / "latest" / "report.html").exists()
