"""`python -m tests.support.scale`: what reading 1,000 to 10,000 shards takes, on one core.

Half of them are trainings with predictions of 200 images, a tenth launches, the rest trainings that
failed. Each size is read in a process of its own, so that the peak of its memory is its own.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.coordinator.run_folder import RunFolder
from reports.read import shards
from tests.support.stored_launches import launch_payload, speed_plan
from tests.support.stored_runs import accuracy_payload, answers, failed_payload, keep, run_plan

SIZES = (1000, 2000, 5000, 10_000)


def store(folder: Path, size: int) -> None:
    """Write a run of so many shards, the plan among them."""
    (folder / "shards").mkdir(parents=True)
    run_folder = RunFolder(folder)
    trained = [accuracy_payload("jax", seed=seed) for seed in range(size // 2)]
    launches = [launch_payload(number) for number in range(1, size // 10 + 1)]
    seeds = range(len(trained), size - 1 - len(launches))
    failed = [accuracy_payload("torch", seed=seed)["cell"] for seed in seeds]
    cells = [payload["cell"] for payload in trained] + failed
    keep(run_folder, "plan", "plan", run_plan(cells, speed=speed_plan(launches)))
    for seed, payload in enumerate(trained):
        keep(run_folder, "accuracy", f"cell-{seed}.try2", payload, answers(payload, 3))
    for payload in launches:
        keep(run_folder, "speed", f"speed-launch{payload['launch']}", payload)
    for number, cell in enumerate(failed):
        keep(
            run_folder, "accuracy", f"cell-{number}.try1", failed_payload("torch") | {"cell": cell}
        )


def read(folder: Path) -> None:
    """Read it and say what that took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = shards.read([folder])
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if found.problems:
        raise SystemExit(found.problems[0])
    number = len(list((folder / "shards").glob("*.json")))
    print(
        f"{number:6} shards  {seconds:6.2f} s  {1000 * seconds / number:5.2f} ms each  "
        f"{peak / 1024:5.0f} MiB, of which {before / 1024:.0f} before",
        flush=True,
    )


def main() -> None:
    """Store and read all sizes."""
    with tempfile.TemporaryDirectory() as scratch:
        for size in SIZES:
            folder = Path(scratch) / f"run{size}"
            store(folder, size)
            subprocess.run([sys.executable, "-m", "tests.support.scale", str(folder)], check=True)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if len(sys.argv) > 1:
        read(Path(sys.argv[1]))
    else:
        main()
