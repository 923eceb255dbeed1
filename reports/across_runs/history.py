"""How speeds and errors went over many runs, and where they stepped."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contract.schema import Protocol
from reports.judging import comparison
from reports.read import shards
from reports.tables import columns, wording
from reports.tables.cells import KEYS
from reports.tables.comparable import NotComparableError

SERIES = ["machine", "protocol", *KEYS, "metric"]
"""What makes two figures comparable over runs."""

FEWEST = 3
"""Runs on either side of a step: fewer may be one bad hour."""

PENALTY = 8.0
"""Of a step, in variances times the log of the number of figures in all series; see
tests/reports/across_runs/test_history.py for how rarely noise alone is called a step then."""

LEAST_NOISE = {"images_per_second": 0.005, "error_percent": 0.05}
"""Standard deviations (of logs, and in points) below which no series is believed to be quiet:
trainings of one machine may err alike to the last image, and then another by one."""

Row = tuple[object, ...]


@dataclass(frozen=True)
class History:
    """Runs in the order of their making.

    Attributes:
        table: the columns of `history`: training speed (examples per second) and error (percent) of
            each run. `segment` counts from 0, and grows where the figure stepped. Figures of other
            machines, data or protocols are series of their own. problems: What was left out, with
            the reason.
    """

    table: pd.DataFrame
    problems: tuple[str, ...]


def read(results: Path) -> History:
    """All runs of a folder of results."""
    rows: list[Row] = []
    problems: list[str] = []
    seen: set[str] = set()
    for folder in sorted(path.parent.parent for path in results.glob("*/shards/plan.json")):
        if folder.is_symlink():  # results/latest
            continue
        found = shards.read([folder])
        problems += found.problems
        for run in found.plans:
            if run in seen:
                problems.append(f"{folder}: run {run} is there twice")
                found.plans.clear()
                break
            seen.add(run)
        if not found.plans:
            continue
        try:
            compared = comparison.compare(found)
        except NotComparableError as error:
            problems.append(f"{folder}: {error}")
            continue
        if len(_machines(found)) > 1:
            problems.append(f"{folder}: is of several machines and left out")
            continue
        if compared.untrusted:
            problems.append(f"{folder}: its speeds are UNTRUSTED and left out")
        rows += _rows(found, compared)
    frame = columns.frame("history", [(*row, 0) for row in rows])
    for _, series in frame.groupby(SERIES):
        metric, values = series["metric"].iloc[0], series["value"].to_numpy(np.float64)
        scaled = np.log(values) if metric == "images_per_second" else values
        frame.loc[series.index, "segment"] = segments(scaled, LEAST_NOISE[metric], len(frame))
    return History(frame, tuple(problems))


def segments(values: NDArray[np.float64], least_noise: float, family: int = 0) -> NDArray[np.int64]:
    """Number of the segment that each value belongs to.

    Steps of the mean are found by PELT (Killick et al. 2012, by the library ruptures). Its penalty
    is in units of the noise, which the differences of successive values give: a step spoils only
    one of them. Running medians of three are looked at, so that a single odd run is no step.

    Args:
        values: In the order of the runs, shape (runs,).
        least_noise: The standard deviation is never taken for less.
        family: How many figures are looked at in all, for steps are sought in all of them.
    """
    # Half a second that every report would wait for.
    import ruptures
    from scipy import signal

    found = np.zeros(len(values), dtype=np.int64)
    if len(values) < 2 * FEWEST:
        return found
    inner = signal.medfilt(values, 3)[1:-1]
    smooth = np.concatenate([[np.median(values[:3])], inner, [np.median(values[-3:])]])
    sd = max(np.median(np.abs(np.diff(values))) / (0.6745 * np.sqrt(2)), least_noise)
    search = ruptures.Pelt(model="l2", min_size=FEWEST, jump=1).fit(smooth / sd)
    for end in search.predict(pen=PENALTY * np.log(max(family, len(values))))[:-1]:
        found[end:] += 1
    return found


def steps(table: pd.DataFrame) -> pd.DataFrame:
    """Where a figure stepped.

    Returns:
        `SERIES`, run (the first of the new level), before and after (medians of the two segments),
        change_percent.
    """
    rows = []
    for key, series in table.groupby(SERIES, sort=False):
        levels = series.groupby("segment")["value"].median()
        for segment in levels.index[1:]:
            first = series.loc[series["segment"] == segment, "run"].iloc[0]
            before, after = levels[segment - 1], levels[segment]
            rows.append((*key, first, before, after, 100 * (after / before - 1)))
    return pd.DataFrame(rows, columns=[*SERIES, "run", "before", "after", "change_percent"])


def step_lines(table: pd.DataFrame) -> list[str]:
    """What stepped, a line each; else why nothing did."""
    found = steps(table)
    found = found.assign(model=wording.models(found), lane=wording.backends(found))
    several = [name for name in ("machine", "protocol") if len(set(table[name])) > 1]
    lines = []
    for row in found.to_dict("records"):
        where = "".join(f", {row[name]}" for name in several)
        lines.append(
            f"{row['model']} with {row['lane']}{where}: {row['metric'].replace('_', ' ')} from "
            f"{row['before']:,.4g} to {row['after']:,.4g} ({row['change_percent']:+.1f} %) with "
            f"run {row['run']}."
        )
    longest = table.groupby(SERIES).size().max()
    if longest < 2 * FEWEST:
        return [
            f"Too few runs to see a step: {longest} of one kind, where {2 * FEWEST} are wanted."
        ]
    return lines or ["No figure stepped: what differs between runs is within their noise."]


def _rows(found: shards.Shards, compared: comparison.Comparison) -> Iterator[Row]:
    (run,) = found.plans
    place = (run, *_machines(found))
    protocol = found.plans[run].protocol
    speeds = compared.main_speed if not compared.untrusted else compared.main_speed.iloc[:0]
    for row in speeds.to_dict("records"):
        if row["images_per_second"] > 0:
            key = [row[name] for name in KEYS]
            value, low, high = (row[name] for name in ("images_per_second", "low", "high"))
            data = f"{protocol.dataset}, batch {protocol.batch_size}"
            yield (*place, data, *key, "images_per_second", value, low, high)
    for row in compared.summary.to_dict("records"):
        if pd.notna(row["error_percent"]):
            key = [row[name] for name in KEYS]
            error = row["error_percent"]
            yield (*place, _trained(protocol), *key, "error_percent", error, np.nan, np.nan)


def _machines(found: shards.Shards) -> set[str]:
    """The machines of all that has a figure here, each with as much of it as could be used."""
    machines = [shard.payload.machine for shard in found.speed]
    machines += [shard.payload.machine for shard in found.accuracy]
    return {f"{one.id} ({one.kind})" if one.quota_cpus else one.id for one in machines}


def _trained(protocol: Protocol) -> str:
    epochs = "epoch" if protocol.epochs == 1 else "epochs"
    return (
        f"{protocol.dataset}, batch {protocol.batch_size}, {protocol.train_examples:,} images, "
        f"{protocol.epochs} {epochs}"
    )
