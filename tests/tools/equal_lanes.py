"""`python -m tests.tools.equal_lanes RUNS JAX=PYTHON`: two equal environments, against each other.

JAX as pinned and the same again in another folder are measured RUNS times; what is claimed is
false. That equal lanes are refused is lifted for it: this module is the plugin of pytest that does.
"""

import collections
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.coordinator import preflight
from bench.coordinator.preflight import Greeting
from bench.planning import environments
from bench.planning.lanes import setups
from bench.planning.plan import ROOT

WORKLOADS = "test_speed and train-batch200"


def _accept(greetings: Sequence[Greeting]) -> None:
    """Equal lanes, too."""


def pytest_configure() -> None:
    """Lift the rule, in whoever loads this as a plugin."""
    preflight._check_different = _accept


def main(runs: int, pinned: str) -> None:
    """Measure, and count the verdicts of both lanes' ratios."""
    installed = Path(pinned).parents[1]
    freeze = (pinned, "-m", "pip", "freeze")
    told = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout
    jax = next(line for line in told.splitlines() if line.startswith("jax=="))
    (lane,) = setups([jax], None, None, ("jax",))
    again = installed.with_name(f"{installed.name}-again")
    pins = [line for line in told.splitlines() if "==" in line]
    environments.build(lane, again, pins, ROOT / "constraints.txt")
    workers = [f"--worker=jax={pinned}", f"--worker={lane.name}={again / 'bin' / 'python'}"]
    options = ["--against", jax, "--variants", "stock", "-k", WORKLOADS, "--dataset", "mnist"]
    verdicts: collections.Counter[str] = collections.Counter()
    for number in range(1, runs + 1):
        with tempfile.TemporaryDirectory() as folder:
            bench = (sys.executable, "-m", "pytest", "bench", "-p", "tests.tools.equal_lanes")
            command = (*bench, *workers, *options, "--results", folder)
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            ratios = pd.read_csv(Path(folder, "latest", "tables", "ratios.csv"))
        own = ratios[ratios["lane"] != ratios["baseline"]]
        verdicts.update(own["verdict"])
        figures = [f"{row.ratio:.3f} ({row.low:.3f} to {row.high:.3f})" for row in own.itertuples()]
        print(f"{number}: exit code {done.returncode}; {', '.join(figures)}; {dict(verdicts)}")
        sys.stdout.flush()


if __name__ == "__main__":
    os.chdir(ROOT)
    main(int(sys.argv[1]), sys.argv[2].partition("=")[2])
