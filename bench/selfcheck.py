"""`python -m bench.selfcheck`: does the measurement call identical things identical?

It measures a backend against itself, in many short runs, and counts how often it claims a
difference. With `--slowdown 1.10` one of the two really is so much slower, and it counts how often
that is found. With `--disturb` every second short run has a load beside it that comes and goes, and
its intervals must stay nearly as narrow. Every short run is a folder of results like any other.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from rich.console import Console

from bench.contract.errors import BenchError, ExitCode, UsageError
from bench.contract.units import Series, Workload
from bench.coordinator.accuracy import protocol
from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed.launches import measure
from bench.inputs import datasets
from bench.planning.options import NOT_GIVEN, WORKER_OPTION
from bench.planning.plan import ROOT, Plan
from bench.planning.resolving import resolve
from bench.planning.selection import Selection
from bench.process.machine_lock import acquire_machine_lock
from bench.session.run import say
from bench.session.stored_plan import plan_record

# Launches and rounds of a short run. A twin that is 10 % slower must be known to 4 % to be called
# slower by more than the margin of 5 %; it takes less to see no difference where none is.
ALIKE, SLOWED = (5, 6), (8, 12)


LOAD = """
import random, time
while True:
    time.sleep(random.uniform(15, 45))
    end = time.monotonic() + 8
    while time.monotonic() < end: pass
"""
"""One core for eight seconds, now and then."""

WIDER = 1.3
"""How much wider the intervals may be beside it."""


@contextmanager
def disturbance() -> Iterator[None]:
    """A load that comes and goes, until the end."""
    with subprocess.Popen([sys.executable, "-c", LOAD]) as load:
        try:
            yield
        finally:
            load.kill()


def short_run(plan: Plan, slowdown: float, console: Console) -> pd.Series:
    """Measure a backend against its twin once.

    Args:
        plan: One model, one backend; launches and rounds of the short run.
        slowdown: How much longer the twin takes.
        console: Where a person looks.

    Returns:
        The twin's row of `tables/ratios.csv`, with `trusted` beside it: what the report said.
    """
    workload = Workload(plan.models[0], "stock", "train", plan.batch_size)
    first = plan.lanes[0]
    lanes = (first, replace(first, twin=True, slowdown=slowdown))
    selection = Selection((), tuple(Series(workload, lane) for lane in lanes))
    dataset = datasets.prepare(plan.dataset, plan.mnist, plan.results / "data")
    folder = RunFolder.create(plan.results)
    told = plan_record(plan, selection, protocol(plan, dataset), dataset.note, ())
    folder.write("plan", told)
    measure(plan, selection, dataset, folder)
    report = subprocess.run(
        [sys.executable, "-m", "reports", str(folder.path.resolve())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if report.returncode not in {ExitCode.OK, ExitCode.INCONCLUSIVE}:
        raise BenchError(f"no report of {folder.path}:\n{report.stdout}{report.stderr}")
    table = pd.read_csv(folder.path / "tables" / "ratios.csv")
    row = table[table["backend"] == table["baseline"]].iloc[0]
    row["trusted"] = report.returncode == ExitCode.OK
    samples = pd.read_csv(folder.path / "tables" / "samples.csv", keep_default_na=False)
    row["void"] = int((samples.groupby(["launch", "round"])["void"].first() != "").sum())
    say(
        console,
        f"{folder.run_id}: {row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}] "
        f"{row['verdict']}{'' if row['trusted'] else ', UNTRUSTED'}, {row['void']} rounds void",
    )
    return row


def summary(rows: pd.DataFrame, slowdown: float) -> str:
    """What a campaign found, in a few lines.

    Args:
        rows: One row for each short run; see `short_run`.
        slowdown: What was injected.
    """
    told = rows[rows["low"].notna()]
    runs, claims = len(told), int(told["verdict"].isin(["faster", "slower"]).sum())
    if runs < len(rows):
        return f"only {runs} of {len(rows)} runs gave an interval\n" + (
            summary(told, slowdown) if runs else ""
        )
    spread = f"ratios: mean {rows['ratio'].mean():.3f}, sd {rows['ratio'].std():.3f}"
    if slowdown == 1:
        excluded = int((~rows["low"].le(1) | ~rows["high"].ge(1)).sum())
        return (
            f"{runs} runs of a backend against itself, {spread}\n"
            f"false verdicts (faster or slower): {claims}\n"
            f"intervals that exclude 1 (5 % expected): {excluded}"
        )
    found = int((rows["verdict"] == "slower").sum())
    covered = int((rows["low"].le(1 / slowdown) & rows["high"].ge(1 / slowdown)).sum())
    return (
        f"{runs} runs against a twin that takes {slowdown:g} times as long, {spread}\n"
        f"called slower: {found}\n"
        f"intervals that hold the true ratio {1 / slowdown:.3f} (95 % expected): {covered}"
    )


def disturbed_summary(rows: pd.DataFrame, slowdown: float) -> str:
    """What a disturbed campaign found; `disturbed` says of each row whether there was a load."""
    calm, loaded = rows[~rows["disturbed"]], rows[rows["disturbed"]]
    held = int((loaded["low"].le(1 / slowdown) & loaded["high"].ge(1 / slowdown)).sum())
    return (
        f"{len(loaded)} runs beside a load that comes and goes, and {len(calm)} without\n"
        f"intervals are {_widening(rows):.2f} times as wide beside it (at most {WIDER})\n"
        f"intervals that hold the true ratio {1 / slowdown:.3f} beside it: {held}\n"
        f"rounds that were void: {loaded['void'].sum()} beside it, {calm['void'].sum()} without"
    )


def bears_disturbance(rows: pd.DataFrame, slowdown: float) -> bool:
    """Whether intervals stay nearly as narrow beside a load, and 9 of 10 hold the truth."""
    loaded = rows[rows["disturbed"]]
    held = loaded["low"].le(1 / slowdown) & loaded["high"].ge(1 / slowdown)
    return bool(_widening(rows) <= WIDER and held.mean() >= 0.9)


def _widening(rows: pd.DataFrame) -> float:
    """Ratio of geometric means: from run to run a width varies by a factor, here of about 1.4."""
    widths = np.log(np.log(rows["high"] / rows["low"]))
    beside, without = (widths[rows["disturbed"] == which].mean() for which in (True, False))
    return float(np.exp(beside - without))


def passes(rows: pd.DataFrame, slowdown: float) -> bool:
    """At most 15 % false verdicts, or at least 90 % of the slowdowns called slower.

    A run without an interval has checked nothing, and lets no campaign pass.
    """
    verdicts = rows["verdict"]
    if rows["low"].isna().any():
        return False
    if slowdown == 1:
        return bool(verdicts.isin(["faster", "slower"]).mean() <= 0.15)
    return bool((verdicts == "slower").mean() >= 0.90)


def main(arguments: Sequence[str]) -> int:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m bench.selfcheck", description=__doc__)
    parser.add_argument("--campaign", type=int, default=20, metavar="N", help="short runs")
    parser.add_argument("--slowdown", type=float, default=1.0, metavar="X", help="inject this")
    parser.add_argument("--disturb", action="store_true", help="with a load, every second run")
    parser.add_argument("--backend", default="torch", help="which (default: torch)")
    parser.add_argument("--model", default="two_layer", help="which (default: two_layer)")
    parser.add_argument("--results", default="results/selfcheck", metavar="DIR")
    flag, metavar, text = WORKER_OPTION
    parser.add_argument(flag, metavar=metavar, help=text, action="append", default=[])
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    given = NOT_GIVEN | {"models": options.model, "results": options.results}
    try:
        if options.campaign < 1 + options.disturb or options.slowdown < 1:
            raise UsageError("--campaign (2 with --disturb) and --slowdown must be at least 1")
        environ = {**os.environ, "BENCH_BACKENDS": options.backend}
        plan = resolve(given, options.worker, environ)
        launches, rounds = ALIKE if options.slowdown == 1 else SLOWED
        acquire_machine_lock(partial(say, console))
        plan = replace(plan, launches=launches, rounds=rounds, twins=1, precision_percent=None)
        rows = []
        for number in range(options.campaign):
            disturbed = options.disturb and number % 2 == 1
            with disturbance() if disturbed else nullcontext():
                row = short_run(plan, options.slowdown, console)
            row["disturbed"] = disturbed
            rows.append(row)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    frame = pd.DataFrame(rows)
    if options.disturb:
        say(console, disturbed_summary(frame, options.slowdown))
        fine = bears_disturbance(frame, options.slowdown)
        return ExitCode.OK if fine else ExitCode.INCONCLUSIVE
    say(console, summary(frame, options.slowdown))
    return ExitCode.OK if passes(frame, options.slowdown) else ExitCode.INCONCLUSIVE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
