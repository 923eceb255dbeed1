"""200 runs of fake workers are killed at random moments; ten of real ones too."""

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from reports.read import shards
from tests.bench.farm import test_farmed_runs
from tests.support.front_end import assert_all_end, descendants, run_bench, started

KILLS, REAL_KILLS, FARM_KILLS = 200, 10, 20
SECONDS, REAL_SECONDS = 6.0, 40.0
"""About as long as such a run lasts."""

Workers = dict[str, str]


@pytest.mark.parametrize("number", range(KILLS))
def test_fake_runs_are_killed(
    fake_python: Callable[[str], str], tmp_path: Path, number: int
) -> None:
    workers = dict.fromkeys(("tensorflow", "jax"), fake_python("good"))
    kill_and_resume(tmp_path / "results", workers, number, SECONDS, "not parity")


@pytest.mark.parametrize("number", range(REAL_KILLS))
def test_real_runs_are_killed(real_workers: dict[str, str], tmp_path: Path, number: int) -> None:
    kill_and_resume(tmp_path / "results", real_workers, number, REAL_SECONDS, "accuracy")


@pytest.mark.parametrize("number", range(FARM_KILLS))
def test_farms_are_killed(fake_python: Callable[[str], str], tmp_path: Path, number: int) -> None:
    workers = dict.fromkeys(("tensorflow", "jax"), fake_python("good"))
    test_farmed_runs.kill_and_resume(workers, tmp_path, number)


def kill_and_resume(results: Path, workers: Workers, seed: int, seconds: float, part: str) -> None:
    """Kill the coordinator or one of its workers; then nothing lives on, and the run is resumed."""
    generator = random.Random(seed)
    work = ("--suite", "smoke", "--models", "two_layer", "-k", part)
    with started(results, workers, *work) as process:
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(generator.uniform(0, seconds))
        family = descendants(process)
        victim = generator.choice(family) if family and generator.random() < 0.5 else process
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
        process.stdout.read()
        process.wait(300)
    assert_all_end(family)
    begun = [run for run in results.glob("2*") if (run / "shards" / "plan.json").exists()]
    if not begun:
        return
    (run,) = begun
    before = {path: path.read_bytes() for path in run.glob("shards/*.json")}
    assert shards.read([run]).problems == []
    resumed = run_bench(results, workers, "--resume", run.name)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert {path: path.read_bytes() for path in before} == before
    found = shards.read([run])
    assert found.problems == []
    assert {each.payload.status for each in found.accuracy} == {"ok"}
    assert len(found.accuracy) == len(workers)
    assert not list(Path(os.environ["TMPDIR"]).glob("keras-backend-bench-*-*"))
