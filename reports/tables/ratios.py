"""The ratio table: how much faster one backend is than another, from slots of the same rounds.

A pair is taken within a launch of a run, and nowhere else: not over launches, not over runs, not
over machines.
"""

import itertools
from collections.abc import Mapping
from dataclasses import asdict

import pandas as pd

from bench.contract.schema import Lane, SpeedPlan, Workload
from reports.read.shards import Shards
from reports.statistics import intervals
from reports.statistics import launch_values as steady
from reports.statistics.intervals import LaunchValues
from reports.tables import speed
from reports.tables.samples import LANE, WORKLOAD, Samples, only, workload_name

COLUMNS = {
    "model": "str",
    "variant": "str",
    "phase": "str",
    "device": "str",
    "batch_size": "Int64",
    "backend": "str",
    "baseline": "str",
    "ratio": "float64",
    "low": "float64",
    "high": "float64",
    "minimum_detectable_percent": "float64",
    "launches": "Int64",
    "rounds": "Int64",
    "verdict": "str",
}

Pair = tuple[Lane, Lane]


def table(shards: Shards, samples: Samples) -> pd.DataFrame:
    """One row per workload and pair of lanes on one device, and per twin.

    Of a pair, the backend stands earlier in the run's plan and the baseline later. A twin's row has
    `backend` and `baseline` alike, and is the twin's speed over its original's.

    Args:
        shards: What was read, comparable by `reports.tables.comparable.check`.
        samples: `reports.tables.samples.collect` of them.

    Returns:
        `COLUMNS`. `ratio` above 1 means faster than the baseline, `low` to `high` is its 95 %
        interval; see `intervals.compare`. The verdicts of one workload's pairs are
        adjusted for their number; a twin's is not one of them. `verdict` is `missing`, without
        figures, where one of the two is not `ok` in the speed table. `rounds` are those in which
        both have a sample that counts.
    """
    rows = [
        row
        for run, plan in speed.planned(shards)
        for workload in plan.workloads
        for row in _rows(shards, samples, run, plan, workload)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


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
        for twin, original in _twins(plan):
            values, _ = launch_values(samples, run, workload, (twin, original))
            found[main][f"{workload_name(workload)} with {twin.backend}"] = values
    verdicts = intervals.compare(found[True] | found[False])
    differing = {
        *intervals.differs_from_one(found[True]),
        *(name for name, ratio in verdicts.items() if ratio.verdict in {"faster", "slower"}),
    }
    return {
        name: values
        for values_of in found.values()
        for name, values in values_of.items()
        if name in differing
    }


def launch_values(
    samples: Samples, run: str, workload: Workload, pair: Pair
) -> tuple[LaunchValues, int]:
    """What the pair gave in each launch, and the number of rounds behind it.

    Returns:
        `launch_values.launch_values`: logs of the ratio, one per launch that has any, in order.
    """
    names = ["run", *WORKLOAD]
    values = [run, workload.model, workload.variant, workload.phase, workload.batch_size]
    found = only(samples.usable, names, values)
    lane, baseline = (only(found, LANE, [one.backend, one.device, one.twin]) for one in pair)
    return steady.launch_values(lane, baseline)


def _rows(
    shards: Shards, samples: Samples, run: str, plan: SpeedPlan, workload: Workload
) -> list[dict[str, object]]:
    ok = {
        lane: speed.lane_status(shards, samples, run, workload, lane) == "ok" for lane in plan.lanes
    }
    lanes = [lane for lane in plan.lanes if not lane.twin]
    pairs = [pair for pair in itertools.combinations(lanes, 2) if pair[0].device == pair[1].device]
    rows = []
    # The pairs of a workload are one family of comparisons; each twin is a question of its own.
    for family in (pairs, *([twin] for twin in _twins(plan))):
        known = {
            pair: launch_values(samples, run, workload, pair)
            for pair in family
            if ok[pair[0]] and ok[pair[1]]
        }
        named: Mapping[str, LaunchValues] = {
            str(pair): values for pair, (values, _) in known.items()
        }
        compared = intervals.compare(named)
        for pair in family:
            row = _identity(workload, pair)
            if pair in known and known[pair][1]:
                row |= asdict(compared[str(pair)]) | {"rounds": known[pair][1]}
            rows.append(row)
    return rows


def _identity(workload: Workload, pair: Pair) -> dict[str, object]:
    return {
        "model": workload.model,
        "variant": workload.variant,
        "phase": workload.phase,
        "device": pair[0].device,
        "batch_size": workload.batch_size,
        "backend": pair[0].backend,
        "baseline": pair[1].backend,
        "launches": 0,
        "rounds": 0,
        "verdict": "missing",
    }


def _twins(plan: SpeedPlan) -> list[Pair]:
    """Each twin with its original."""
    originals = {(lane.backend, lane.device): lane for lane in plan.lanes if not lane.twin}
    return [
        (lane, originals[lane.backend, lane.device])
        for lane in plan.lanes
        if lane.twin and (lane.backend, lane.device) in originals
    ]
