"""How speeds and errors went over many runs, and where they stepped."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import ruptures

from reports import comparison, shards
from reports.cells import KEYS
from reports.comparable import NotComparableError

COLUMNS = {
    "run": "str",
    "machine": "str",
    **dict.fromkeys(KEYS, "str"),
    "metric": "str",
    **dict.fromkeys(["value", "low", "high"], "float64"),
    "segment": "Int64",
}
SERIES = ["machine", *KEYS, "metric"]

FEWEST = 3
"""Runs on either side of a step: fewer may be one bad hour."""

PENALTY = 4.0
"""Of a step, in variances times the log of the number of runs; tests/test_history.py shows that
noise alone is then rarely called a step."""


@dataclass(frozen=True)
class History:
    """Runs in the order of their making.

    Attributes:
        table: `COLUMNS`: training speed (images per second) and error (percent) of each run.
            `segment` counts from 0, and grows where the figure stepped.
        problems: Runs that were left out, with the reason.
    """

    table: pd.DataFrame
    problems: tuple[str, ...]


def read(results: Path) -> History:
    """All runs of a folder of results; machines are never put together."""
    rows, problems = [], []
    runs = sorted(path.parent.parent for path in results.glob("*/shards/plan.json"))
    for folder in runs:
        if folder.is_symlink():  # results/latest
            continue
        found = shards.read([folder])
        problems += found.problems
        try:
            compared = comparison.compare(found)
        except NotComparableError as error:
            problems.append(f"{folder}: {error}")
            continue
        rows += _rows(found, compared)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)[:-1])
    frame["segment"] = 0
    for _, series in frame.groupby(SERIES):
        logs = np.log(series["value"].to_numpy(np.float64))
        if np.isfinite(logs).all():
            frame.loc[series.index, "segment"] = segments(logs)
    return History(frame.astype(COLUMNS), tuple(problems))


def segments(values: np.ndarray) -> np.ndarray:
    """Number of the segment that each value belongs to.

    Steps of the mean are found by PELT (Killick et al. 2012, by the library ruptures), with a
    penalty in units of the noise, which the differences of successive values give: a step spoils
    only one of them.

    Args:
        values: In the order of the runs, shape (runs,).
    """
    found = np.zeros(len(values), dtype=np.int64)
    if len(values) < 2 * FEWEST:
        return found
    sd = np.median(np.abs(np.diff(values))) / (0.6745 * np.sqrt(2))
    if sd == 0:
        sd = np.finfo(np.float64).eps
    search = ruptures.Pelt(model="l2", min_size=FEWEST, jump=1).fit(values / sd)
    for end in search.predict(pen=PENALTY * np.log(len(values)))[:-1]:
        found[end:] += 1
    return found


def steps(table: pd.DataFrame) -> pd.DataFrame:
    """Where a figure stepped.

    Returns:
        `SERIES`, run (the first of the new level), before and after (means of the two segments,
        geometric), change_percent.
    """
    rows = []
    for key, series in table.groupby(SERIES, sort=False):
        levels = series.groupby("segment")["value"].agg(lambda v: float(np.exp(np.log(v).mean())))
        for segment in levels.index[1:]:
            first = series.loc[series["segment"] == segment, "run"].iloc[0]
            before, after = levels[segment - 1], levels[segment]
            change = 100 * (after / before - 1)
            rows.append((*key, first, before, after, change))
    return pd.DataFrame(rows, columns=[*SERIES, "run", "before", "after", "change_percent"])


def _rows(found: shards.Shards, compared: comparison.Comparison) -> list[tuple[object, ...]]:
    (run,) = found.plans or ("",)
    machines = {shard.payload.machine.id for shard in found.speed}
    machines |= {shard.payload.machine.id for shard in found.accuracy}
    if len(machines) != 1:
        return []
    machine = machines.pop()
    rows: list[tuple[object, ...]] = []
    for row in compared.main_speed.to_dict("records"):
        if pd.notna(row["images_per_second"]):
            key = [row[name] for name in KEYS]
            value, low, high = (row[name] for name in ("images_per_second", "low", "high"))
            rows.append((run, machine, *key, "images_per_second", value, low, high))
    for row in compared.summary.to_dict("records"):
        if pd.notna(row["error_percent"]):
            key = [row[name] for name in KEYS]
            rows.append((run, machine, *key, "error_percent", row["error_percent"], np.nan, np.nan))
    return rows


def step_lines(table: pd.DataFrame) -> list[str]:
    """What stepped, a line each; one line where nothing did."""
    lines = [
        f"{row['model']} with {row['backend']}: {row['metric'].replace('_', ' ')} from "
        f"{row['before']:,.4g} to {row['after']:,.4g} ({row['change_percent']:+.1f} %) with run "
        f"{row['run']}."
        for row in steps(table).to_dict("records")
    ]
    return lines or ["No figure stepped: what differs between runs is within their noise."]
