"""What a run will do and how long it will take, told to a person before anything is built.

`python -m bench.planning.estimate OPTION...` prints it, or the one line that says what is wrong
with the options.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contract.backends import BACKENDS
from bench.contract.errors import BenchError, DataError, UsageError
from bench.contract.units import Cell
from bench.contract.variants import NATIVE, STOCK, TUNED
from bench.planning.options import (
    MODEL_OPTION,
    OPTIONS,
    WORKER_OPTION,
    check_spelling,
    refuse_decided,
)
from bench.planning.plan import Plan, resolve
from bench.planning.selection import Selection

MNIST_EXAMPLES = 60_000
DIGITS_EXAMPLES = 1_500
# Roughly, on two cores: import, compile and predict; the same for a lane among others; its
# warm-up in one workload; its turn.
CELL_START_SECONDS = 12
LANE_START_SECONDS = 4
WARM_UP_SECONDS = 0.8
TURN_SECONDS = 0.35
# An epoch's share of stock's.
EPOCH_SHARE = {TUNED: 0.35, NATIVE: 0.7}
# A subject's probes but the trajectory, which is nine trainings of 200 steps.
PROBES_SECONDS = 12
TRAJECTORY_SECONDS = 90


def estimated_seconds(plan: Plan, cells: Sequence[Cell], examples: int | None = None) -> float:
    """A rough guess, from rates seen on two cores, for before anything is measured.

    Args:
        plan: The plan.
        cells: Those that are to be trained.
        examples: Training examples of the dataset, where it is known already.
    """
    examples = examples or (DIGITS_EXAMPLES if plan.dataset == "digits" else MNIST_EXAMPLES)
    share = min(plan.train_examples or examples, examples) / MNIST_EXAMPLES
    return sum(
        CELL_START_SECONDS
        + plan.epochs
        * share
        * BACKENDS[cell.backend].epoch_seconds
        * EPOCH_SHARE.get(cell.variant, 1)
        for cell in cells
    )


def measuring_seconds(plan: Plan, selection: Selection) -> float:
    """A rough guess for the speed half; the budget, where there is one."""
    if not selection.series:
        return 0
    if plan.budget_seconds:
        return plan.budget_seconds
    rounds = sum(plan.rounds // plan.round_interval(workload) for workload in selection.workloads)
    launch = LANE_START_SECONDS + len(selection.workloads) * WARM_UP_SECONDS + rounds * TURN_SECONDS
    return plan.launches * len(selection.lanes) * launch


def probing_seconds(plan: Plan, selection: Selection) -> float:
    """A rough guess for the parity half."""
    a_subject = PROBES_SECONDS + TRAJECTORY_SECONDS * ("trajectory" in plan.probes)
    return len(selection.subjects) * a_subject


def describe(plan: Plan, selection: Selection) -> str:
    """What doing this of the plan means, in a few lines for a person."""
    seconds = (
        estimated_seconds(plan, selection.cells)
        + measuring_seconds(plan, selection)
        + probing_seconds(plan, selection)
    )
    minutes = math.ceil(seconds / 60)
    device = "the CPU" if plan.device == "cpu" else "the GPU"
    dataset = "mnist" if plan.mnist and plan.dataset == "auto" else plan.dataset
    told = {"drawn": "inputs and targets drawn by NumPy", "data": str(plan.data)}
    examples = f" of {plan.train_examples:,} images" if plan.train_examples else ""
    backends = [name for name in plan.backends if name in selection.backends]
    models = [name for name in plan.models if name in selection.models]
    variants = [name for name in plan.variants if name in selection.variants]
    lines = [
        f"Keras Backend Bench, suite {plan.name}: {' and '.join(models)}",
        f"under {', '.join(backends)} on {device}, dataset {told.get(dataset, dataset)}.",
    ]
    if variants != [STOCK]:
        lines.append(f"Variants: {', '.join(variants)}.")
    if selection.cells:
        lines.append(
            f"Accuracy: {_number(len(selection.cells), 'training')} of "
            f"{_number(plan.epochs, 'epoch')}{examples}, batch {plan.batch_size}, from the same\n"
            "weights with the same batches."
        )
    if selection.subjects:
        lines.append(f"Parity: {', '.join(plan.probes)}, against a reference in float64.")
    if selection.series:
        lines.append(
            f"Speed: {_launches(plan)} of {_number(len(selection.lanes), 'lane')} in turn."
        )
    lines.append(f"About {minutes} min on two cores.")
    return "\n".join(lines)


def _launches(plan: Plan) -> str:
    if plan.budget_seconds is None:
        return _number(plan.launches, "launch", "launches")
    return (
        f"launches until training's ratios are known to {plan.precision_percent:g} %, "
        f"at most {_time(plan.budget_seconds)},\n"
        "each"
    )


def _time(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def main(arguments: Sequence[str]) -> int:
    """Print the plan for these options, ignoring those that are pytest's."""
    parser = argparse.ArgumentParser(prog="bench", add_help=False, allow_abbrev=False)
    for flag, metavar, text in OPTIONS:
        parser.add_argument(flag, metavar=metavar, help=text)
    for flag, metavar, text in (MODEL_OPTION, WORKER_OPTION):
        parser.add_argument(flag, metavar=metavar, help=text, action="append", default=[])
    known, others = parser.parse_known_args(arguments)
    options = vars(known)
    try:
        check_spelling(others)
        results, resume = Path(options["results"] or "results"), options["resume"]
        if resume and not (results / resume / "shards" / "plan.json").exists():
            raise UsageError(f"--resume: no run {resume!r} in {results}")
        if resume:
            refuse_decided(options, options["model"])
            print(f"Keras Backend Bench: go on with {results / resume}.")
        else:
            plan = resolve(options, options["worker"], os.environ, options["model"])
            if plan.data and not plan.data.exists():
                raise DataError(f"{plan.data}: no such file; --data wants an npz")
            if plan.mnist and not plan.mnist.exists():
                raise DataError(f"{plan.mnist}: no such file or folder; MNIST is wanted here")
            print(describe(plan, plan.everything))
            if "-k" in others:
                print("That is all of it; the run will say what -k has chosen.")
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
