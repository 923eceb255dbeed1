"""Ratios of speeds, from slots of the same rounds: of two backends, and of two variants within one.

A pair is taken within a launch of a run, and nowhere else: not over launches, not over runs, not
over machines.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from bench.contract.schema import Lane, SpeedPlan, Workload
from bench.contract.units import main_workloads
from bench.contract.variants import NATIVE, STOCK, TUNED
from reports.read.shards import Shards
from reports.statistics import intervals, launch_values
from reports.statistics.intervals import LaunchValues
from reports.tables import speed
from reports.tables.columns import frame, picked
from reports.tables.samples import Samples, workload_name

Side = tuple[Workload, Lane]
Pair = tuple[Side, Side]


def ratios_table(shards: Shards, samples: Samples) -> pd.DataFrame:
    """One row per workload and pair of lanes on one device, and per twin.

    Of a pair, the lane stands earlier in the run's plan and the baseline later. A twin's row has
    `lane` and `baseline` alike, and is the twin's speed over its original's.

    Args:
        shards: What was read, comparable by `reports.tables.comparable.check`.
        samples: `reports.tables.samples.collect` of them.

    Returns:
        The columns of `ratios`. `ratio` above 1 means faster than the baseline, `low` to `high` is
        its 95 % interval; see `intervals.compare`. The verdicts of one workload's pairs are
        adjusted for their number; a twin's is not one of them. `verdict` is `missing`, without
        figures, where one of the two is not `ok` in the speed table. `rounds` are those in which
        both have a sample that counts.
    """
    rows = [
        row | {"baseline": pair[1][1].lane}
        for run, plan in speed.planned(shards)
        for workload in plan.workloads
        for family in _of_backends(plan, samples, run, workload)
        for pair, row in _compared(shards, samples, run, family)
    ]
    return frame("ratios", rows)


def variants_table(shards: Shards, samples: Samples) -> pd.DataFrame:
    """One row per lane that is no twin, and per pair of variants in the same phase.

    Every variant stands over `stock`, and what Keras computes over `native`.

    Args:
        shards: What was read, comparable by `reports.tables.comparable.check`.
        samples: `reports.tables.samples.collect` of them.

    Returns:
        The columns of `variants`, as those of `ratios`. The verdicts of one model, phase and lane
        are adjusted for their number. `verdict` is `failed`, with the `error` of the variant that
        could not be prepared, where there is one.
    """
    rows = []
    for run, plan in speed.planned(shards):
        for lane in (lane for lane in plan.lanes if not lane.twin):
            for family in _of_variants(plan, lane):
                for pair, row in _compared(shards, samples, run, family):
                    errors = (speed.variant_error(shards, run, *side) for side in pair)
                    error = next(filter(None, errors), "")
                    failed = {"verdict": speed.FAILED} if error else {}
                    over = {"over": pair[1][0].variant, "error": error}
                    rows.append(row | over | failed)
    return frame("variants", rows)


def differing_twins(
    samples: Samples, run: str, plan: SpeedPlan, batch_size: int
) -> dict[str, LaunchValues]:
    """Launch values of the twins that are not like their originals, by workload.

    Of training at the run's own `batch_size`, where most rounds are, any ratio that is not 1 counts
    (adjusted by Holm); elsewhere one that would be called faster or slower.
    """
    found: dict[bool, dict[str, LaunchValues]] = {True: {}, False: {}}
    for workload in plan.workloads:
        main = workload.phase == "train" and workload.batch_size == batch_size
        for twin, original in _twins(plan, samples, run, workload):
            values, _ = values_of(samples, run, (twin, original))
            found[main][f"{workload_name(workload)} with {twin[1].lane}"] = values
    verdicts = intervals.compare(found[True] | found[False])
    differing = {
        *intervals.differs_from_one(found[True]),
        *(name for name, ratio in verdicts.items() if ratio.verdict in {"faster", "slower"}),
    }
    together = found[True] | found[False]
    return {name: values for name, values in together.items() if name in differing}


def values_of(samples: Samples, run: str, pair: Pair) -> tuple[LaunchValues, int]:
    """Logs of the ratio of a pair, one per launch that has any, and the rounds behind them."""
    return launch_values.launch_values(*(samples.usable_of(run, *side) for side in pair))


def _compared(
    shards: Shards, samples: Samples, run: str, family: Sequence[Pair]
) -> Iterator[tuple[Pair, dict[str, Any]]]:
    """Each pair of a family with its row; the verdicts are adjusted for their number."""
    sides = dict.fromkeys(itertools.chain.from_iterable(family))
    ok = {side for side in sides if speed.lane_status(shards, samples, run, *side) == "ok"}
    known = {str(pair): values_of(samples, run, pair) for pair in family if ok.issuperset(pair)}
    compared = intervals.compare({name: values for name, (values, _) in known.items()})
    for pair in family:
        row = {
            **picked(pair[0][0], "model", "variant", "phase", "batch_size"),
            **picked(pair[0][1], "lane", "device"),
            "launches": 0,
            "rounds": 0,
            "verdict": "missing",
        }
        _, rounds = known.get(str(pair), (None, 0))
        yield pair, row | (asdict(compared[str(pair)]) | {"rounds": rounds} if rounds else {})


def _of_backends(
    plan: SpeedPlan, samples: Samples, run: str, workload: Workload
) -> Iterator[list[Pair]]:
    """The pairs of a workload are one family of comparisons; each twin is a question of its own."""
    lanes = [lane for lane in plan.lanes if not lane.twin]
    yield [
        ((workload, one), (workload, other))
        for one, other in itertools.combinations(lanes, 2)
        if one.device == other.device
    ]
    yield from ([twin] for twin in _twins(plan, samples, run, workload))


def _twins(plan: SpeedPlan, samples: Samples, run: str, workload: Workload) -> list[Pair]:
    """Each twin with its original, in the main workloads and wherever else it was measured."""
    is_main = workload in main_workloads(plan.workloads)
    originals = {(lane.lane, lane.device): lane for lane in plan.lanes if not lane.twin}
    return [
        ((workload, lane), (workload, originals[lane.lane, lane.device]))
        for lane in plan.lanes
        if lane.twin and (lane.lane, lane.device) in originals
        if is_main or not samples.of(run, workload, lane).empty
    ]


def _of_variants(plan: SpeedPlan, lane: Lane) -> Iterator[list[Pair]]:
    """Variants of one model in one phase, whatever they are called."""
    families: dict[tuple[str, str, int], dict[str, Workload]] = {}
    for each in plan.workloads:
        families.setdefault((each.model, each.phase, each.batch_size), {})[each.variant] = each
    for named in families.values():
        yield [
            ((workload, lane), (named[over], lane))
            for over in (STOCK, NATIVE)
            for variant, workload in named.items()
            # What a single setting brings is seen over stock alone.
            if over in named and variant != over and (over == STOCK or variant in {STOCK, TUNED})
        ]
