"""What a run will do and how long it will take, told to a person before anything is built.

`python -m bench.planning.estimate OPTION...` prints it, or the one line that says what is wrong
with the options.
"""

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contract import troubles
from bench.contract.backends import BACKENDS, backend_of
from bench.contract.errors import BenchError, DataError, UsageError
from bench.contract.units import Cell
from bench.contract.variants import NATIVE, STOCK, TUNED
from bench.planning.bundles import Bundle, bundled
from bench.planning.options import (
    OPTIONS,
    REPEATED,
    check_spelling,
    refuse_decided,
)
from bench.planning.plan import ROOT, Plan
from bench.planning.resolving import resolve
from bench.planning.selection import Selection

MNIST_EXAMPLES = 60_000
DIGITS_EXAMPLES = 1_500
# Seconds on two cores: an environment, from nothing; the greeting of all backends; and a report.
ENVIRONMENT_SECONDS = 18
GREETING_SECONDS = 10
REPORT_SECONDS = 4
# A training but its epochs: import, compile and predict.
CELL_START_SECONDS = 9
# An epoch's share of stock's.
EPOCH_SHARE = {TUNED: 0.35, NATIVE: 0.7}
# A lane in a launch: its import, each of its models, each workload's warm-up; in the first launch
# the length of its slots is found, too; and its turn.
LANE_SECONDS, MODEL_SECONDS, WARM_UP_SECONDS, FIRST_SECONDS, TURN_SECONDS = 2.2, 0.5, 0.6, 0.9, 0.4
# A subject's probes but the trajectory, which is nine trainings of 200 steps.
PROBES_SECONDS = 7.0
TRAJECTORY_SECONDS = 90


def training_seconds(
    plan: Plan,
    cells: Sequence[Cell],
    examples: int | None = None,
    speeds: Mapping[tuple[str, str, str], float] | None = None,
) -> float:
    """What some trainings will take.

    Args:
        plan: The plan.
        cells: Those that are to be trained.
        examples: Training examples of the dataset, where it is known already.
        speeds: Examples per second by model, variant and backend, as far as they were measured;
            for the others a guess is made, from rates seen on two cores.
    """
    examples = examples or (DIGITS_EXAMPLES if plan.dataset == "digits" else MNIST_EXAMPLES)
    examples = min(plan.train_examples or examples, examples)
    seconds = 0.0
    for cell in cells:
        guess = MNIST_EXAMPLES / BACKENDS[backend_of(cell.lane)].epoch_seconds
        guess /= EPOCH_SHARE.get(cell.variant, 1)
        speed = (speeds or {}).get((cell.model, cell.variant, cell.lane), guess)
        seconds += CELL_START_SECONDS + plan.epochs * examples / speed
    return seconds


def launch_seconds(plan: Plan, bundle: Bundle, *, first: bool) -> float:
    """A guess for one launch of a bundle, on two cores."""
    models = len({(each.model, each.variant) for each in bundle.workloads})
    warm_up = WARM_UP_SECONDS + FIRST_SECONDS * first
    rounds = sum(bundle.rounds // plan.round_interval(workload) for workload in bundle.workloads)
    a_lane = MODEL_SECONDS * models + warm_up * len(bundle.workloads) + TURN_SECONDS * rounds
    return len(bundle.lanes) * (LANE_SECONDS + a_lane)


def measuring_seconds(plan: Plan, selection: Selection) -> float:
    """A guess for all planned launches; at most the budget, where there is one."""
    seconds = sum(
        launch_seconds(plan, bundle, first=not number)
        for bundle in bundled(plan, selection)
        for number in range(bundle.launches)
    )
    return seconds if plan.budget_seconds is None or not seconds else plan.budget_seconds


def probing_seconds(plan: Plan, selection: Selection) -> float:
    """A guess for the ladder."""
    a_subject = PROBES_SECONDS + TRAJECTORY_SECONDS * ("trajectory" in plan.probes)
    return len(selection.subjects) * a_subject


def run_seconds(plan: Plan, selection: Selection) -> float:
    """A guess for all of a run, its environments not counted."""
    parts = bool(selection.cells) + bool(selection.subjects) + 2 * bool(selection.series)
    return (
        GREETING_SECONDS
        + probing_seconds(plan, selection)
        + measuring_seconds(plan, selection)
        + training_seconds(plan, selection.cells)
        + (1 + parts) * REPORT_SECONDS
    )


def describe(plan: Plan, selection: Selection) -> str:
    """What doing this of the plan means, in a few lines for a person."""
    minutes = math.ceil(run_seconds(plan, selection) / 60)
    device = "the CPU" if plan.device == "cpu" else "the GPU"
    dataset = "mnist" if plan.mnist and plan.dataset == "auto" else plan.dataset
    told = {"drawn": "inputs and targets drawn by NumPy", "data": str(plan.data)}
    examples = f" of {plan.train_examples:,} images" if plan.train_examples else ""
    named = [lane.name for lane in plan.lanes if lane.name in selection.lane_names]
    models = [name for name in plan.models if name in selection.models]
    variants = [name for name in plan.variants if name in selection.variants]
    lines = [
        f"Keras Backend Bench, suite {plan.name}: {' and '.join(models)}",
        f"under {', '.join(named)} on {device}, dataset {told.get(dataset, dataset)}.",
    ]
    if variants != [STOCK]:
        lines.append(f"Variants: {', '.join(variants)}.")
    if selection.subjects:
        lines.append(f"Parity: {', '.join(plan.probes)}, against a reference in float64.")
    if selection.series:
        planned = sum(bundle.launches for bundle in bundled(plan, selection))
        launches = _number(planned, "launch", "launches")
        more = "" if plan.precision_percent is None else _more(plan, plan.precision_percent)
        lanes = _number(len(selection.lanes), "lane")
        lines.append(f"Speed: {launches} of at most {lanes} in turn{more}.")
    if selection.cells:
        lines.append(
            f"Accuracy: {_number(len(selection.cells), 'training')} of "
            f"{_number(plan.epochs, 'epoch')}{examples}, batch {plan.batch_size}, from the same\n"
            "weights with the same batches."
        )
    lines.append(f"About {minutes} min on two cores.")
    return "\n".join(lines)


def _more(plan: Plan, percent: float) -> str:
    if plan.budget_seconds is None:
        return f", more where the machine is too noisy for +-{percent:g} %"
    return (
        f", more until training's ratios are known\nto {percent:g} %, at most "
        f"{_time(plan.budget_seconds)}"
    )


def _time(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _pinned() -> dict[str, str]:
    """Versions that environments are built with, unless BENCH_REQUIREMENTS names others."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line and line[0] != "#")


def main(arguments: Sequence[str]) -> int:
    """Print the plan for these options, ignoring those that are pytest's."""
    parser = argparse.ArgumentParser(prog="bench", add_help=False, allow_abbrev=False)
    for flag, metavar, text in OPTIONS:
        parser.add_argument(flag, metavar=metavar, help=text)
    for flag, metavar, text in REPEATED:
        parser.add_argument(flag, metavar=metavar, help=text, action="append", default=[])
    known, others = parser.parse_known_args(arguments)
    options = vars(known)
    try:
        check_spelling(others)
        results, resume = Path(options["results"] or "results"), options["resume"]
        if resume and not (results / resume / "shards" / "plan.json").exists():
            raise UsageError(f"--resume: no run {resume!r} in {results}")
        if resume:
            refuse_decided(options, options["model"], options["against"])
            print(f"Keras Backend Bench: go on with {results / resume}.")
        else:
            plan = resolve(
                options, options["worker"], os.environ, options["model"], options["against"]
            )
            if plan.data and not plan.data.exists():
                raise DataError(f"{plan.data}: no such file; --data wants an npz")
            if plan.mnist and not plan.mnist.exists():
                raise DataError(f"{plan.mnist}: no such file or folder; MNIST is wanted here")
            print(describe(plan, plan.everything))
            if "-k" in others:
                print("That is all of it; the run will say what -k has chosen.")
            pinned = _pinned()
            for trouble in troubles.of_versions(pinned, plan.device):
                print(trouble.told(pinned))
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
