"""macOS, as far as this system can play it; and what is said where there is nothing to play."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import reports
from bench.contract.errors import ExitCode
from bench.planning.plan import ROOT
from reports.read import shards
from tests.support.front_end import run_bench


def test_a_run_without_what_is_linux_alone_says_what_it_could_not_see(
    fake_python: Callable[[str], str], tmp_path: Path
) -> None:
    workers = dict.fromkeys(("tensorflow", "jax"), fake_python("good"))
    plugin = ("-p", "tests.support.plugins.another_system")
    chosen = ("--suite", "smoke", "--models", "two_layer", "-k", "not parity")
    told = run_bench(tmp_path, workers, *plugin, *chosen)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "On darwin a worker that hangs outlives a run that is killed." in told.stdout
    (run,) = (path for path in tmp_path.glob("2*") if path.is_dir())
    found = shards.read([run])
    assert found.problems == []
    unseen = found.speed[0].payload.state.unseen
    assert [one.partition(" ")[0] for one in unseen] == ["CPU", "time", "time"]
    (line,) = (one for one in reports.load(run).conditions if "not to be seen here" in one)
    assert "time for which a CPU quota stops us" in line
    assert {one.payload.machine.identity for one in found.speed} <= {"hardware", "boot"}


@pytest.mark.parametrize("program", ["import bench", "import runpy; runpy.run_path('noxfile.py')"])
def test_where_there_is_no_such_system_it_is_a_line(program: str) -> None:
    nox = (
        "from unittest.mock import MagicMock as M; sys.modules |= {'nox': M(), 'nox.command': M()}"
    )
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; {nox}; sys.platform = 'win32'; {program}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == ExitCode.USAGE
    assert told.stderr == "error: Linux or macOS is wanted (on Windows: WSL)\n"
