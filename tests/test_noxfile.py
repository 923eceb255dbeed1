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


def session_in(folder: Path) -> MagicMock:
    session = MagicMock(invoked_from=str(folder))
    session.virtualenv.location = str(folder)
    session.chdir.return_value.__exit__.return_value = False
    return session


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    nox = MagicMock()
    nox.command.CommandFailed = RuntimeError
    for name, module in (("nox", nox), ("nox.command", nox.command)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.chdir(ROOT)
    found: Callable[..., bool] = runpy.run_path(str(ROOT / "noxfile.py"))["install"]
    return found


@pytest.mark.parametrize(
    ("group", "given", "wanted"),
    [
        ("torch-cpu", None, "cpu"),
        ("torch-cpu", "cu128", "cu128"),
        ("torch-gpu", None, None),
    ],
)
def test_uv_takes_pytorch_without_cuda_unless_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
    install: Callable[..., bool],
    tmp_path: Path,
    group: str,
    given: str | None,
    wanted: str | None,
) -> None:
    monkeypatch.delenv("UV_TORCH_BACKEND", raising=False)
    if given:
        monkeypatch.setenv("UV_TORCH_BACKEND", given)
    session = session_in(tmp_path)
    assert install(session, group)
    assert session.install.call_args.kwargs["env"].get("UV_TORCH_BACKEND") == wanted


def test_an_environment_is_built_once_and_one_with_packages_of_the_users_is_looked_at_every_time(
    install: Callable[..., bool], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_bytes("# f\xfcr uns\n-r base.txt\n".encode("latin-1"))
    session = session_in(tmp_path)
    assert [install(session, "jax-cpu") for _ in range(2)] == [True, False]
    assert [install(session, "jax-cpu", mine) for _ in range(2)] == [True, True]
    session.chdir.assert_called_with(str(tmp_path))  # which paths in it are of
    # What else lies there says nothing of how.
    assert session.install.call_args.kwargs["env"].items() >= {
        *(("PYTHONSAFEPATH", "1"), ("UV_NO_CONFIG", "1"))
    }
    assert install(session, "jax-cpu")  # as it was before


def test_an_environment_that_was_not_built_to_the_end_is_none(
    install: Callable[..., bool], tmp_path: Path
) -> None:
    session = session_in(tmp_path)
    assert install(session, "jax-cpu")
    session.install.side_effect = KeyboardInterrupt
    mine = tmp_path / "mine.txt"
    mine.touch()
    with pytest.raises(KeyboardInterrupt):
        install(session, "jax-cpu", mine)
    session.install.side_effect = None
    assert install(session, "jax-cpu")


def test_here_they_stay_as_they_are_and_are_no_tests_of_pytests(
    located: Callable[..., list[str]],
) -> None:
    told = located(ROOT, "--model", "models/two_layer.py", "docs", "--verbose")
    assert told == ["--model=models/two_layer.py", "docs", "--verbose"]
