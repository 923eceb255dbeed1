"""500 launches in one process: it does not grow, and leaves nothing open, running or behind."""

import gc
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed import launch, launches
from bench.inputs import datasets
from bench.planning.options import NOT_GIVEN
from bench.planning.resolving import resolve

RUNS, LAUNCHES = 25, 20
MOST_GROWTH_MIB = 4.0


def test_many_launches_leave_nothing_behind(
    fake_python: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = Path(os.environ["TMPDIR"])
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(launch, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(launch, "ANCHOR_SETTLE_SECONDS", 0)
    workers = [f"{name}={fake_python('good')}" for name in ("tensorflow", "jax", "torch")]
    plan = resolve({**NOT_GIVEN, "models": "two_layer", "suite": "smoke"}, workers, {})
    dataset = datasets.prepare("digits", None, tmp_path / "data")
    own, seen = psutil.Process(), []
    for _ in range(RUNS):
        launches.measure(
            replace(plan, launches=LAUNCHES, rounds=3),
            plan.everything,
            dataset,
            RunFolder.create(tmp_path / "results"),
        )
        gc.collect()
        assert own.children(recursive=True) == []
        assert list(temporary.iterdir()) == []
        seen.append((own.memory_info().rss / 2**20, own.num_fds(), own.num_threads()))
        print(f"{len(seen) * LAUNCHES} launches: {seen[-1][0]:.1f} MiB, {seen[-1][1]} descriptors")
    # What Python and NumPy keep is there by the fifth run.
    settled = seen[4:]
    assert settled[-1][0] - settled[0][0] < MOST_GROWTH_MIB
    assert {descriptors for _, descriptors, _ in settled} == {settled[0][1]}
    assert {threads for _, _, threads in settled} == {settled[0][2]}
