"""Lanes of one backend beside each other: what differs, and whether they answer alike."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.contract.backends import backend_of
from bench.contract.rungs import UNIT_ROUNDOFF
from bench.contract.schema import WorkerInfo
from bench.contract.variants import STOCK, THREE
from reports.ladder.findings import largest_error
from reports.read.shards import ParityShard, Shards
from reports.tables import wording
from reports.tables.seeds import MARGIN_POINTS
from reports.tables.wording import Note

FARTHER = 2.0
"""So many times as far from the reference as before is worth a word."""

MOST = 6
"""Packages that are named."""


def lines(
    shards: Shards,
    workers: Sequence[WorkerInfo],
    ratios: pd.DataFrame,
    ladder: pd.DataFrame,
    agreement: pd.DataFrame,
) -> Iterator[tuple[Note, bool]]:
    """What is known of each lane that is no backend as pinned, against that.

    Args:
        shards: What was read.
        workers: All that were met.
        ratios: Of training, of the runs that are trusted.
        ladder: `reports.parity.table.table`.
        agreement: `reports.tables.seeds.pairs_table`.

    Returns:
        Lines, and whether each answers what was asked: how the lane does in the main variant.
    """
    known = {worker.lane: worker for worker in workers}
    for lane, worker in known.items():
        base = known.get(backend_of(lane))
        if base is None or lane == base.lane:
            continue
        name, other = wording.title(lane), wording.title(base.lane)
        yield Note(f"{name} has {_differences(lane, worker, base, shards)}."), False
        facts: dict[str, dict[str, list[str]]] = {}
        for told in (
            _speeds(ratios, lane, base.lane),
            _errors(agreement, lane, base.lane),
            _answers(shards, ladder, lane, base.lane),
        ):
            for model, variant, words in told:
                facts.setdefault(variant, {}).setdefault(model, []).append(words)
        main = next((variant for variant in THREE if variant in facts), None)
        for variant, by_model in facts.items():
            told_of = "" if variant == STOCK else f", {variant}"
            each = (f"{model} {', '.join(words)}" for model, words in by_model.items())
            yield Note(f"{name} beside {other}{told_of}: {'; '.join(each)}."), variant == main


COSTS = {
    "import_seconds": "its import takes {ratio:.2f} times as long ({low:.2f} to {high:.2f})",
    "peak_rss_mib": "it takes {ratio:.2f} times the memory ({low:.2f} to {high:.2f})",
    "installed_mib": "{value:,.0f} MiB are installed for {before:,.0f}",
}
"""In words, those that one run knows an interval of, or that are the same each time."""


def cost_lines(lane_costs: pd.DataFrame) -> Iterator[Note]:
    """What lanes cost to have, a line each.

    Args:
        lane_costs: `reports.tables.costs.lanes_table`.
    """
    told: dict[str, list[str]] = {}
    for row in lane_costs.to_dict("records"):
        if row["cost"] == "installed_mib" or (row["cost"] in COSTS and not np.isnan(row["low"])):
            named = f"{wording.title(row['lane'])} beside {wording.title(row['baseline'])}"
            told.setdefault(named, []).append(COSTS[row["cost"]].format_map(row))
    yield from (Note(f"{named}: {', '.join(costs)}.") for named, costs in told.items())


def _differences(lane: str, worker: WorkerInfo, base: WorkerInfo, shards: Shards) -> str:
    """All that is otherwise, and how much is not."""
    one, other = worker.distributions, base.distributions
    changed = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    told = [f"{name} {one.get(name, 'missing')} for {other.get(name, 'none')}" for name in changed]
    if len(told) > MOST:
        told = [*told[:MOST], f"{len(told) - MOST} more packages"]
    if worker.versions["python"] != base.versions["python"]:
        told.append(f"Python {worker.versions['python']} for {base.versions['python']}")
    for setup in (each for plan in shards.plans.values() for each in plan.lanes):
        if setup.name == lane:
            told += [f"{name}={value}" for name, value in setup.environment.items()]
            told += [setup.precision] if setup.precision else []
    equal = len({*one, *other}) - len(changed)
    return f"{wording.listed(list(dict.fromkeys(told)))}; {equal} packages are equal"


def _between(pairs: pd.DataFrame, lane: str, base: str) -> Iterator[dict[str, Any]]:
    """Rows of this pair, whichever of the two stands first."""
    for row in pairs.to_dict("records"):
        if {row["lane"], row["baseline"]} == {lane, base}:
            yield {str(key): value for key, value in row.items()}


def _speeds(ratios: pd.DataFrame, lane: str, base: str) -> Iterator[tuple[str, str, str]]:
    for row in _between(ratios[ratios["low"].notna()], lane, base):
        ratio, low, high, verdict = (row[name] for name in ("ratio", "low", "high", "verdict"))
        if row["lane"] != lane:  # the plan has the backend first
            ratio, low, high = 1 / ratio, 1 / high, 1 / low
            verdict = {"faster": "slower", "slower": "faster"}.get(verdict, verdict)
        words = f"trains {ratio:.2f}x as fast ({low:.2f} to {high:.2f}: {verdict})"
        yield row["model"], row["variant"], words


def _errors(agreement: pd.DataFrame, lane: str, base: str) -> Iterator[tuple[str, str, str]]:
    for row in _between(agreement, lane, base):
        low, high = (row["low"], row["high"])
        if row["lane"] != lane:
            low, high = -high, -low
        proven = "equal" if row["equivalent"] else "not proven equal"
        words = (
            f"errors {proven} within {MARGIN_POINTS:.2f} points ({low:+.2f} to {high:+.2f}, "
            f"{row['seeds']} seeds)"
        )
        yield row["model"], row["variant"], words


def _answers(
    shards: Shards, ladder: pd.DataFrame, lane: str, base: str
) -> Iterator[tuple[str, str, str]]:
    """Whether two lanes gave the same, how nearly, and which of them is farther from the truth.

    What is wrong is told as grave where all backends are, by the ladder.
    """
    found: dict[tuple[str, str], dict[str, ParityShard]] = {}
    for shard in shards.parity:
        subject = shard.payload.subject
        if shard.payload.status == "ok":
            found.setdefault((subject.model, subject.variant), {})[subject.lane] = shard
    for (model, variant), by_lane in found.items():
        if not {lane, base} <= by_lane.keys():
            continue
        of_model = ladder[(ladder["model"] == model) & (ladder["variant"] == variant)]
        mine, theirs = (of_model[of_model["lane"] == name] for name in (lane, base))
        wrong = mine[(mine["status"] == "fail") & ~mine["quantity"].isin(_failed(theirs))]
        words = _alike(by_lane[lane], by_lane[base])
        errors = [float(each["floors"].max()) for each in (mine, theirs)]
        if len(wrong):
            first = wrong.iloc[0]
            words = f"answers WRONG where {wording.title(base)}'s are not: "
            words += f"{first['rung']} {first['quantity']}"
        elif errors[0] > FARTHER * errors[1]:
            words += f" and farther from the reference ({errors[0]:.0f} for {errors[1]:.0f})"
        yield model, variant, words


def _failed(table: pd.DataFrame) -> list[str]:
    return table.loc[table["status"] == "fail", "quantity"].to_list()


def _alike(one: ParityShard, other: ParityShard) -> str:
    names = [
        name
        for name in one.arrays.keys() & other.arrays.keys()
        if name.partition(".")[0] in {"forward", "gradients", "update", "predictions"}
    ]
    if all(np.array_equal(one.arrays[n], other.arrays[n], equal_nan=True) for n in names):
        return "answers the same to the last bit"
    outputs = [name for name in names if name.startswith("forward.")]
    apart = max((_apart(one, other, name) for name in outputs), default=0.0)
    known = [each.payload.facts.identity for each in (one, other)]
    used = [(each and each.precision) or "float32" for each in known]
    precision = max(used, key=lambda name: UNIT_ROUNDOFF[name])
    return f"answers {apart / UNIT_ROUNDOFF[precision]:,.0f} roundings of {precision} apart"


def _apart(one: ParityShard, other: ParityShard, name: str) -> float:
    mine, theirs = one.arrays[name], other.arrays[name]
    return largest_error(mine, theirs) if mine.shape == theirs.shape else np.inf
