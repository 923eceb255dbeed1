"""`python -m reports gate`: whether a run got worse, by its exit code."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from bench.contract.backends import BACKENDS, backend_of
from bench.contract.errors import ExitCode, UsageError
from reports.across_runs import baseline, baseline_gate, gate, two_runs, verdicts
from reports.across_runs.verdicts import Check
from reports.pages import terminal
from reports.read import shards

CODES = {
    verdicts.MISSING: ExitCode.ENVIRONMENT,
    verdicts.FAIL: ExitCode.FAIL,
    verdicts.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}
"""The gravest first."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Offer the command."""
    parser = commands.add_parser(
        "gate", help="whether a run got worse: exit code 0 no, 1 yes, 3 cannot be told"
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--against", type=Path, metavar="BASELINE", help="folder of another run, or a kept baseline"
    )
    parser.add_argument("--each-lane", action="store_true", help="judge each lane by its backend")
    parser.add_argument("--lane", metavar="LANE", help="judge a lane of the run, like jax@0.10.2")
    parser.add_argument("--against-lane", metavar="LANE", help="by another one of it, like jax")
    parser.add_argument(
        "--max-slowdown", type=_percent, metavar="P%", help="of the speed of training"
    )
    parser.add_argument(
        "--max-error-increase", type=_points, metavar="POINTS", help="of the error in percent"
    )
    parser.set_defaults(run=_gate)


def _gate(options: argparse.Namespace) -> int:
    _check(options)
    new = two_runs.ComparedRun(shards.read([options.run_folder]))
    sides, kept = [new], None
    if options.against is not None and options.against.is_file():
        kept = baseline.read(options.against)
    elif options.against is not None:
        sides.insert(0, two_runs.ComparedRun(shards.read([options.against])))
    if problems := [line for one in sides for line in one.found.problems]:
        return terminal.tell_problems(problems)
    limits = options.max_slowdown, options.max_error_increase
    if kept is not None:
        checks = baseline_gate.check(kept, new, *limits)
    elif options.against is not None:
        two_runs.check(sides[0], new)
        checks = gate.check(sides[0], new, *limits)
    else:
        pairs = _lanes(new) if options.each_lane else [(options.lane, options.against_lane)]
        checks = [
            check
            for lane, base in pairs
            for check in gate.check_lanes(new, lane, base, options.max_slowdown)
        ]
    return _told(checks)


def _told(checks: Sequence[Check]) -> int:
    terminal.show_checks(list(dict.fromkeys(checks)), terminal.console())
    found = {check.verdict for check in checks}
    return next((code for verdict, code in CODES.items() if verdict in found), ExitCode.OK)


def _check(options: argparse.Namespace) -> None:
    """See that the options go together.

    Raises:
        UsageError: They do not.
    """
    pair = options.lane, options.against_lane
    ways = [options.against is not None, options.each_lane, None not in pair]
    if sum(ways) != 1 or (None in pair and any(pair)):
        raise UsageError("gate: give --against, --each-lane, or --lane and --against-lane")
    if options.lane and options.lane == options.against_lane:
        raise UsageError(f"gate: --lane and --against-lane are both {options.lane}")
    by_lanes = options.against is None
    if by_lanes and (options.max_slowdown is None or options.max_error_increase is not None):
        raise UsageError("gate: for lanes give --max-slowdown; parity is judged too")
    if options.max_slowdown is None and options.max_error_increase is None:
        raise UsageError("gate: give --max-slowdown, --max-error-increase or both")


def _lanes(run: two_runs.ComparedRun) -> list[tuple[str, str]]:
    """Each lane that is no backend as pinned, and the one that is.

    Raises:
        UsageError: The run has backends alone.
    """
    known = dict.fromkeys(one.name for plan in run.found.plans.values() for one in plan.lanes)
    if not (found := [(name, backend_of(name)) for name in known if name not in BACKENDS]):
        raise UsageError("gate --each-lane: the run has backends as pinned alone (docs/lanes.md)")
    return found


def _percent(text: str) -> float:
    """A share, from a percentage."""
    number = _number(text.removesuffix("%"))
    if not text.endswith("%") or not 0 <= number < 100:
        raise argparse.ArgumentTypeError(f"{text!r}: not a percentage such as 5%")
    return number / 100


def _points(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: not a number of points from 0 to 100")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
