"""Paths that are given to a session are those of the folder in which they are given."""

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
    monkeypatch.setitem(sys.modules, "nox", MagicMock())
    found: Any = runpy.run_path(str(ROOT / "noxfile.py"))["located"]
    return lambda folder, *words: found(SimpleNamespace(invoked_from=str(folder), posargs=words))


def test_elsewhere_they_are_those_of_that_folder(
    located: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    given = ("--model", "mine.py:wide", "--data=d.npz", "-k", "speed", "run", "--suite", "smoke")
    assert located(tmp_path, *given) == [
        f"--model={tmp_path}/mine.py:wide",
        f"--data={tmp_path}/d.npz",
        *("-k", "speed", f"{tmp_path}/run", "--suite", "smoke"),
    ]


def test_absolute_ones_and_those_of_a_home_stay(
    located: Callable[..., list[str]], tmp_path: Path
) -> None:
    told = located(tmp_path, "--mnist", "~/mnist.npz", "--results", "/results")
    assert told == ["--mnist=~/mnist.npz", "--results=/results"]


def test_here_they_stay_as_they_are_and_are_no_tests_of_pytests(
    located: Callable[..., list[str]],
) -> None:
    told = located(ROOT, "--model", "models/two_layer.py", "docs", "--verbose")
    assert told == ["--model=models/two_layer.py", "docs", "--verbose"]
