"""Fixtures and options for the tests that run without Keras."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.planning.options import NOT_GIVEN, WORKER_OPTION
from bench.planning.resolving import resolve

# A script starts what runs in its background deaf to Ctrl-C, and its children with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Real workers are found as `pytest bench` finds them."""
    flag, metavar, text = WORKER_OPTION
    parser.addoption(flag, metavar=metavar, help=text, action="append", default=[])
    parser.addoption("--without-frameworks", action="store_true", help="no real workers")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that take `real_lane` run once for each selected backend, and none is ever skipped."""
    if "real_lane" in metafunc.fixturenames:
        known = sorted(_interpreters(metafunc.config).items())
        metafunc.parametrize("real_lane", known, ids=[backend for backend, _ in known])


def _interpreters(config: pytest.Config) -> dict[str, str]:
    plan = resolve(NOT_GIVEN, config.getoption("worker"), os.environ)
    return {lane.name: lane.python for lane in plan.lanes}


@pytest.fixture
def real_workers(request: pytest.FixtureRequest) -> dict[str, str]:
    """Interpreter of each selected backend."""
    return _interpreters(request.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whole runs first in the share of each process: one that begins last is waited for alone."""
    if config.getoption("without_frameworks"):
        real = {"real_lane", "real_workers"}
        items[:] = [item for item in items if not real & {*getattr(item, "fixturenames", ())}]
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    whole = [item for item in items if item.path.parent.name == "session"]
    whole.sort(key=lambda item: item.path.name != "test_real_workers.py")
    others = [item for item in items if item.path.parent.name != "session"]
    size = -(-len(others) // count)
    items[:] = [
        item
        for share in range(count)
        for item in (*whole[share::count], *others[share * size : (share + 1) * size])
    ]


@pytest.fixture(autouse=True)
def temporary_files(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that a test starts wait for each other alone, and leave what they leave here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))


@pytest.fixture
def one_core() -> Iterator[None]:
    """What a test starts has one core, so that real backends start one thread each.

    With one for each core, threads wait for each other by spinning, beside the other processes of
    the tests: torch took six times as long as alone.
    """
    before = os.sched_getaffinity(0)
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {sorted(before)[number % len(before)]})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def fake_python(tmp_path: Path) -> Callable[[str], str]:
    """Make an "interpreter" that runs `tests/support/fake_worker.py` with one behaviour."""

    def make(behaviour: str) -> str:
        script = tmp_path / f"python-{behaviour}"
        script.write_text(
            f'#!/bin/sh\nexec {sys.executable} -m tests.support.fake_worker {behaviour} "$@"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)
        return str(script)

    return make
