"""What launches start, warm up and measure together: no more than is asked of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.contract.units import BESIDE, MAIN, Lane, Workload, main_workloads
from bench.planning.plan import Plan
from bench.planning.selection import Selection

WIDER = 1.6
"""How much wider the intervals of what is measured beside the main workloads may be."""
FEWER = 0.75
"""How many launches that is planned for, of those of the main workloads."""


@dataclass(frozen=True)
class Bundle:
    """Workloads that share their launches.

    Attributes:
        name: `MAIN` or `BESIDE`.
        lanes: Who is started.
        workloads: What they do.
        launches: How many it gets, if no budget ends them before and no precision wants more.
        rounds: Of each launch.
        precision_percent: How narrow its intervals shall be; infinity where nobody asked.
    """

    name: str
    lanes: tuple[Lane, ...]
    workloads: tuple[Workload, ...]
    launches: int
    rounds: int
    precision_percent: float


def bundled(plan: Plan, selection: Selection) -> tuple[Bundle, ...]:
    """The selected series in bundles, in the order in which a reader wants their answers.

    The main workloads come first, with the twins; then all others, without, and beside them the
    main ones that they are compared with.
    """
    workloads = selection.workloads
    if not workloads:
        return ()
    main = tuple(main_workloads(workloads))
    others = tuple(each for each in workloads if each not in main)
    beside = tuple(
        each for each in workloads if each in others or any(_alike(each, one) for one in others)
    )
    wanted = math.inf if plan.precision_percent is None else plan.precision_percent
    found = [Bundle(MAIN, selection.lanes, main, plan.launches, plan.rounds, wanted)]
    if others:
        launches = math.ceil(FEWER * plan.launches)
        rounds = max(1, plan.rounds // 2)  # each of them takes longer
        originals = tuple(lane for lane in selection.lanes if not lane.twin)
        found.append(Bundle(BESIDE, originals, beside, launches, rounds, WIDER * wanted))
    return tuple(found)


def _alike(workload: Workload, other: Workload) -> bool:
    """Whether the two are variants of one thing."""
    return _thing(workload) == _thing(other)


def _thing(workload: Workload) -> Sequence[object]:
    return workload.model, workload.phase, workload.batch_size
