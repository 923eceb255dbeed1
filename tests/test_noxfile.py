"""Paths that are given to a session are those of the folder in which they are given."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from bench.planning.plan import ROOT


@pytest.fixture
def located(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`noxfile.located`; nox itself is not in the environment of the harness."""
    for name in ("nox", "nox.command"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    found: Any = runpy.run_path(str(ROOT / "noxfile.py"))["located"]
    return lambda folder, *words, **more: found(
        SimpleNamespace(invoked_from=str(folder), posargs=words), **more
    )


def test_elsewhere_they_are_those_of_that_folder(
    located: Callable[..., list[str]], tmp_path: Path
) -> None:
    for name in ("speed", "smoke", "stock", "gate", "jax"):
        (tmp_path / name).mkdir()  # words of ours are no paths, whatever there is
    given = ("--model", "mine.py:wide", "--data=d.npz", "-k", "speed", "--suite", "smoke")
    assert located(tmp_path, *given) == [
        f"--model={tmp_path}/mine.py:wide",
        f"--data={tmp_path}/d.npz",
        *("-k", "speed", "--suite", "smoke"),
    ]
    limits = ("--max-slowdown", "5%", "--lane", "jax@2", "--against-lane", "jax")
    assert located(tmp_path, "gate", "run", *limits, commands=("gate",)) == [
        *("gate", f"{tmp_path}/run"),
        *limits,
    ]
    assert located(tmp_path, "--verbose", "a", "b", "--output", "c", commands=("gate",)) == [
        *("--verbose", f"{tmp_path}/a", f"{tmp_path}/b", f"--output={tmp_path}/c"),
    ]


def test_absolute_ones_and_those_of_a_home_stay(
    located: Callable[..., list[str]], tmp_path: Path
) -> None:
    told = located(tmp_path, "--mnist", "~/mnist.npz", "--results", "/results")
    assert told == ["--mnist=~/mnist.npz", "--results=/results"]


def test_what_variables_would_slip_into_a_command_stays_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("nox", "nox.command"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    run: Any = runpy.run_path(str(ROOT / "noxfile.py"))["run_to_the_end"]
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('of strangers')\n")
    strange = {"PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": "-n 2", "PYTHONSAFEPATH": "1"}
    for name, value in (strange | {"PYTHONUNBUFFERED": "1", "BENCH_MNIST": "kept"}).items():
        monkeypatch.setenv(name, value)
    told = tmp_path / "told"
    program = f"import json, os; json.dump(dict(os.environ), open({str(told)!r}, 'w'))"
    run(MagicMock(), sys.executable, "-c", program)
    known = json.loads(told.read_text())
    assert not strange.keys() & known.keys()
    assert (known["BENCH_MNIST"], known["PYTHONUNBUFFERED"]) == ("kept", "1")


@pytest.mark.parametrize(
    ("group", "backend", "given", "wanted"),
    [
        ("torch-cpu", "uv", None, "cpu"),
        ("torch-cpu", "uv", "cu128", "cu128"),
        ("torch-gpu", "uv", None, None),
        ("torch-cpu", "virtualenv", None, "not asked"),
    ],
)
def test_uv_takes_pytorch_without_cuda_unless_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    group: str,
    backend: str,
    given: str | None,
    wanted: str | None,
) -> None:
    for name in ("nox", "nox.command"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.delenv("UV_TORCH_BACKEND", raising=False)
    if given:
        monkeypatch.setenv("UV_TORCH_BACKEND", given)
    install: Any = runpy.run_path(str(ROOT / "noxfile.py"))["install"]
    session = MagicMock(venv_backend=backend)
    session.virtualenv.location = str(tmp_path)
    monkeypatch.chdir(ROOT)
    assert install(session, group)
    env = session.install.call_args.kwargs["env"]
    assert ("not asked" if env is None else env.get("UV_TORCH_BACKEND")) == wanted


def test_here_they_stay_as_they_are_and_are_no_tests_of_pytests(
    located: Callable[..., list[str]],
) -> None:
    told = located(ROOT, "--model", "models/two_layer.py", "docs", "--verbose")
    assert told == ["--model=models/two_layer.py", "docs", "--verbose"]
