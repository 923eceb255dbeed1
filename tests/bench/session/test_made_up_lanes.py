"""Lanes with other packages, from their environments to the report: packages are made up here.

Each version of `madeup` has the fake worker of its environment behave in another way.
"""

import shlex
import subprocess
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.planning import environments
from bench.planning.environments import BuildError
from bench.planning.lanes import Setup
from tests.support.front_end import run_bench

VERSIONS = {
    "1.0": "BEHAVIOUR = 'good'",
    "1.1": "BEHAVIOUR = 'slower'",
    "1.2": "BEHAVIOUR = 'wrong_past_32768'",
    "1.3": "BEHAVIOUR = 'good'  # the same in other words",
    "1.4": "raise ImportError('made for another machine')",
    "1.5": "BEHAVIOUR = 'good'",
}
NEEDS = {"1.5": "Requires-Dist: nowhere==7\n"}

Lane = Callable[[str], str]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels; what is installed of them sees what these tests see."""
    folder = tmp_path_factory.mktemp("packages")
    for version, code in VERSIONS.items():
        info = f"madeup-{version}.dist-info"
        told = f"Metadata-Version: 2.1\nName: madeup\nVersion: {version}\n{NEEDS.get(version, '')}"
        with zipfile.ZipFile(folder / f"madeup-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("madeup.py", code + "\n")
            wheel.writestr("of_the_tests.pth", sysconfig.get_path("purelib") + "\n")
            wheel.writestr(f"{info}/METADATA", told)
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    (folder / "constraints.txt").write_text("madeup==1.0\n", encoding="utf-8")
    return folder


@pytest.fixture
def built(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lane:
    """Build an environment with these requirements, and give what runs a fake worker in it."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def build(requirement: str) -> str:
        setup = Setup(f"jax@{requirement or 'pinned'}", (requirement,) if requirement else ())
        folder = tmp_path / (requirement or "pinned")
        environments.build(setup, folder, ["madeup"], packages / "constraints.txt")
        script = tmp_path / f"python-{folder.name}"
        words = (str(folder / "bin" / "python"), "-m", "tests.support.fake_worker", "packaged")
        script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
        return str(script)

    return build


def run(
    built: Lane, tmp_path: Path, *versions: str, options: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    workers, against = {"jax": built("")}, []
    for version in versions:
        workers[f"jax@madeup-{version}"] = built(f"madeup=={version}")
        against += ["--against", f"madeup=={version}"]
    return run_bench(tmp_path / "results", workers, *options, *against, BENCH_BACKENDS="jax")


def table(tmp_path: Path, name: str) -> pd.DataFrame:
    frame = pd.read_csv(tmp_path / "results" / "latest" / "tables" / f"{name}.csv")
    return frame.assign(lane=frame["lane"].str.removeprefix("jax@madeup-"))


SPEED = ("-k", "test_speed and single_layer and train")
PARITY = ("-k", "test_parity and single_layer", "--batch-size", "20", "--suite", "smoke")


def test_a_slower_one_is_told(built: Lane, tmp_path: Path) -> None:
    told = run(built, tmp_path, "1.1", options=SPEED)
    assert told.returncode == 0, told.stdout + told.stderr
    report = (tmp_path / "results" / "latest" / "report.md").read_text("utf-8").replace("\\", "")
    assert "JAX@madeup-1.1 has madeup 1.1 for 1.0" in report
    assert (
        "JAX@madeup-1.1 beside JAX: single_layer trains 0.93x as fast (0.93 to 0.93: slower)."
        in (told.stdout)
    )
    verdicts = table(tmp_path, "ratios").set_index(["lane", "baseline"])["verdict"].to_dict()
    # The twin is one of the backend as pinned, so that a lane that fails takes no trust along.
    assert verdicts == {("jax", "jax@madeup-1.1"): "faster", ("jax", "jax"): "equivalent"}


def test_a_wrong_one_fails_the_same_is_told_as_that_and_they_go_on_where_another_crashes(
    built: Lane, tmp_path: Path
) -> None:
    told = run(built, tmp_path, "1.2", "1.3", "1.4", options=PARITY)
    assert told.returncode == 4, told.stdout + told.stderr
    crashed = "jax@madeup-1.4 on cpu: left with exit code 1"
    why = "ImportError: made for another machine"
    assert f"{crashed} ({why}); the other lanes go on" in told.stdout
    parity = table(tmp_path, "parity")
    assert set(parity["lane"]) == {"jax", "1.2", "1.3", "1.4"}
    failed = parity.query("status == 'fail' and lane != '1.4'")
    # Of 200 images: 115,200 numbers after the convolution, 4,096 after the next layer.
    assert failed[["lane", "rung"]].drop_duplicates().to_numpy().tolist() == [["1.2", "P2"]]
    assert "answers WRONG where JAX's are not: P2 " in told.stdout
    same = "JAX@madeup-1.3 beside JAX: single_layer answers the same to the last bit."
    assert same in told.stdout


def test_what_cannot_be_installed_and_a_swap_that_did_not_take_are_one_line(
    built: Lane, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match=r"jax@madeup==1.5 cannot be built: .*nowhere==7"):
        built("madeup==1.5")
    workers = {"jax": built(""), "jax@madeup-1.1": built("madeup<1.1")}
    told = run_bench(tmp_path, workers, *SPEED, "--against", "madeup<1.1", BENCH_BACKENDS="jax")
    assert told.returncode == 4
    (line,) = told.stderr.splitlines()
    assert line.startswith("error: jax@madeup-1.1 and jax are the same: equal packages")
