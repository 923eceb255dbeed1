"""Runs `pytest bench` as a user would, with fake workers and the embedded dataset."""

import os
import subprocess
import sys
from pathlib import Path

from bench.plan import ROOT

PYTEST = [sys.executable, "-m", "pytest", "bench", "-p", "no:cacheprovider"]


def command(results: Path, workers: dict[str, str], *options: str) -> list[str]:
    """The accuracy half of a run on the digits, unless `-k` chooses otherwise.

    A resumed run takes the dataset, and what is to be done, from the run.
    """
    part = [] if "-k" in options or "--resume" in options else ["-k", "test_accuracy"]
    dataset = [] if "--resume" in options else ["--dataset", "digits"]
    interpreters = [f"--worker={backend}={python}" for backend, python in workers.items()]
    return [*PYTEST, *dataset, "--results", str(results), *interpreters, *part, *options]


def environment(**variables: str) -> dict[str, str]:
    """Our own variables, without those that choose what is run, or say how these tests are."""
    ours = ("BENCH_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | variables


def run_bench(
    results: Path, workers: dict[str, str], *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(results, workers, *options),
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
