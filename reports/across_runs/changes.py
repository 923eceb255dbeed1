"""What has changed from one run to another: speeds, ratios and errors, each with its interval.

Two runs were made at two times, and a machine is not equally fast at all times. So a change of
speed is looked at twice: as it was measured, and in units of the anchor, a matrix product that is
timed in every round. Neither is the truth: what a slow hour costs a product is not what it costs a
training. A change has the interval that holds both, and what the two do not agree on is unresolved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from reports.across_runs.two_runs import ComparedRun
from reports.read.shards import AccuracyShard
from reports.statistics import intervals as statistics
from reports.statistics.intervals import CONFIDENCE, LaunchValues
from reports.statistics.paired import Paired
from reports.tables import columns, seeds
from reports.tables.cells import KEYS
from reports.tables.samples import WORKLOAD

SPEED_KEYS = [*WORKLOAD, "lane", "device"]
RATIO_KEYS = [*WORKLOAD, "device", "lane", "baseline"]

Pair = tuple[AccuracyShard, AccuracyShard]
"""An old training and a new one."""


@dataclass(frozen=True)
class LogChange:
    """A change of logs between two sets of launches, seen in one or several units."""

    views: tuple[tuple[LaunchValues, LaunchValues], ...]
    """Old and new values, in each unit."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """Welch's interval of new over old, such that it holds those of all units."""
        ends = np.array([_welch(old, new, confidence) for old, new in self.views])
        return float(np.exp(ends.min())), float(np.exp(ends.max()))

    def verdict(self, family: int) -> str:
        """`faster`, `slower`, `equivalent` or `unresolved`, as of a ratio of backends.

        Args:
            family: How many changes are judged together (Bonferroni).
        """
        margin = 1 + statistics.MARGIN
        low, high = self.interval(1 - (1 - CONFIDENCE) / family)
        if low > margin or high < 1 / margin:
            return "faster" if low > margin else "slower"
        low, high = self.interval(2 * CONFIDENCE - 1)
        return "equivalent" if 1 / margin < low and high < margin else "unresolved"


def _welch(old: LaunchValues, new: LaunchValues, confidence: float) -> tuple[float, float]:
    if np.ptp(old) == 0 == np.ptp(new):  # SciPy knows no freedom then
        return (new[0] - old[0],) * 2
    return stats.ttest_ind(new, old, equal_var=False).confidence_interval(confidence)  # type: ignore[no-any-return]


def speed_changes(old: ComparedRun, new: ComparedRun) -> pd.DataFrame:
    """One row per workload and backend that both have measured, on one machine.

    Returns:
        The columns of `speed_changes`. `old` and `new` in examples per second, `change` is new over
        old with its 95 % interval `low` to `high`; `verdict` is `indicative`, without an interval,
        where one of the two has too few launches.
    """
    tables = [_slots(side.comparison.speed, SPEED_KEYS, "images_per_second") for side in (old, new)]
    both = tables[0].merge(tables[1], on=SPEED_KEYS, suffixes=("_old", "_new"))
    changes = []
    for key in both[SPEED_KEYS].itertuples(index=False, name=None):
        values = old.values(key), new.values(key)
        changes.append(LogChange(tuple(zip(*values, strict=True))) if all(values) else None)  # type: ignore[arg-type]
    return _changed(both, "images_per_second", changes, "speed_changes")


def ratio_changes(old: ComparedRun, new: ComparedRun) -> pd.DataFrame:
    """One row per workload and pair of backends that both have measured, on whatever machines.

    Returns:
        The columns of `ratio_changes`. `old` and `new` are ratios of speeds, `change` is the ratio
        of the two.
    """
    tables = [_slots(side.comparison.ratios, RATIO_KEYS, "ratio") for side in (old, new)]
    both = tables[0].merge(tables[1], on=RATIO_KEYS, suffixes=("_old", "_new"))
    both = both[both["lane"] != both["baseline"]]
    changes = []
    for key in both[RATIO_KEYS].itertuples(index=False, name=None):
        before, after = old.ratio_values(key), new.ratio_values(key)
        known = before is not None and after is not None
        changes.append(LogChange(((before, after),)) if known else None)  # type: ignore[arg-type]
    return _changed(both, "ratio", changes, "ratio_changes")


def cost_changes(old: ComparedRun, new: ComparedRun) -> pd.DataFrame:
    """Start-up and memory of each model and backend that both have, as single runs saw them.

    Returns:
        The columns of `cost_changes`.
    """
    both = _costs(old).merge(_costs(new), on=[*KEYS, "what"], suffixes=("_old", "_new"))
    both = both.rename(columns={"value_old": "old", "value_new": "new"})
    both = both.assign(change=both["new"] / both["old"])
    return columns.declared("cost_changes", both)


def _costs(side: ComparedRun) -> pd.DataFrame:
    table = side.comparison.speed.drop_duplicates(KEYS)
    start = table["import_seconds"] + table["first_step_seconds"]
    values = {"start-up s": start, "memory MiB": table["peak_rss_mib"]}
    parts = [table[KEYS].assign(what=what, value=value) for what, value in values.items()]
    return pd.concat(parts).dropna(subset="value")


def error_changes(old: ComparedRun, new: ComparedRun) -> pd.DataFrame:
    """One row per model and backend that both have trained, over the seeds that both have.

    Returns:
        The columns of `error_changes`. `old` and `new` in percent, `difference` is new less old in
        points with its 95 % interval over paired seeds. `verdict` is `identical` (every answer is
        the same), `better`, `worse`, `unresolved`, or `indicative` (too few seeds for an interval).
    """
    rows = [
        dict(zip(KEYS, key, strict=True)) | _error_change(pairs)
        for key in old.trainings
        if (pairs := _pairs(old, new, key))
    ]
    return columns.frame("error_changes", rows)


def paired_errors(old: ComparedRun, new: ComparedRun, key: tuple[str, ...]) -> Paired | None:
    """Differences of errors over paired seeds; None where there are too few."""
    pairs = _pairs(old, new, key)
    return _paired(pairs) if len(pairs) >= seeds.MIN_SEEDS else None


def seeds_lacking(old: ComparedRun, new: ComparedRun, key: tuple[str, ...]) -> list[int]:
    """Seeds of a model and backend that only the old run has."""
    before, after = (side.trainings.get(key, {}) for side in (old, new))
    return sorted(before.keys() - after.keys())


def _pairs(old: ComparedRun, new: ComparedRun, key: tuple[str, ...]) -> list[Pair]:
    """Trainings of a model and backend from the same seeds."""
    before, after = (side.trainings.get(key, {}) for side in (old, new))
    return [(shard, after[seed]) for seed, shard in before.items() if seed in after]


def _slots(table: pd.DataFrame, keys: list[str], value: str) -> pd.DataFrame:
    """Rows that were measured in turn."""
    return table.loc[table[value].notna() & (table["launches"] > 0), [*keys, value]]


def _changed(
    both: pd.DataFrame,
    value: str,
    changes: Sequence[LogChange | None],
    table: str,
) -> pd.DataFrame:
    old, new = both[f"{value}_old"], both[f"{value}_new"]
    family = max(1, sum(change is not None for change in changes))
    intervals = [change.interval(CONFIDENCE) if change else (np.nan,) * 2 for change in changes]
    frame = both.assign(
        old=old,
        new=new,
        change=new / old,
        low=[low for low, _ in intervals],
        high=[high for _, high in intervals],
        verdict=[change.verdict(family) if change else "indicative" for change in changes],
    )
    return columns.declared(table, frame).reset_index(drop=True)


def _error_change(pairs: Sequence[Pair]) -> dict[str, object]:
    errors = [[seeds.error_percent(shard) for shard in side] for side in zip(*pairs, strict=True)]
    old, new = (float(np.mean(each)) for each in errors)
    row: dict[str, object] = {"seeds": len(pairs), "old": old, "new": new, "difference": new - old}
    if all(seeds.disagreement_percent(*pair) == 0 for pair in pairs):
        return row | {"verdict": "identical"}
    if len(pairs) < seeds.MIN_SEEDS:
        return row | {"verdict": "indicative"}
    low, high = _paired(pairs).interval(CONFIDENCE)
    verdict = "worse" if low > 0 else "better" if high < 0 else "unresolved"
    return row | {"low": low, "high": high, "verdict": verdict}


def _paired(pairs: Sequence[Pair]) -> Paired:
    differences = [seeds.error_percent(new) - seeds.error_percent(old) for old, new in pairs]
    return Paired(
        np.array(differences), max(100 / old.payload.protocol.test_examples for old, _ in pairs)
    )
