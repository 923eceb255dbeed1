"""Where the time of a training goes, when a slow start has paid, and what lanes cost to have."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pandas as pd

from bench.contract.backends import backend_of
from reports.read.shards import Shards
from reports.statistics import intervals
from reports.tables import columns
from reports.tables.cells import KEYS
from reports.tables.samples import WORKLOAD, Samples

PARTS = [
    "start_seconds",
    "import_seconds",
    "load_seconds",
    "build_seconds",
    "first_step_seconds",
    "second_step_seconds",
    "feed_seconds",
    "train_seconds",
    "evaluation_seconds",
]
COLUMNS = columns.dtypes("costs")
_COST = ["device", "cost", "model", "variant"]
_LANE_COST = ["lane", *_COST]
LANE_COSTS = columns.dtypes("lane_costs")
_UP_TO_FIRST_STEP = PARTS[: PARTS.index("first_step_seconds") + 1]


def table(cells: pd.DataFrame, samples: Samples) -> pd.DataFrame:
    """One row per model and backend: the parts of a cell's wall time, and what slots foretold.

    Args:
        cells: `reports.tables.cells.collect`.
        samples: `reports.tables.samples.collect` of the same shards.

    Returns:
        `COLUMNS`. Each part is the median over cells; `other_seconds` is what `PARTS` leave of the
        median `wall_seconds`, so that a row sums up. `epoch_seconds_seen` is the median epoch of
        training alone; `epoch_seconds_predicted` what the steady step and the price of one `fit`
        of the same run's slots make of it, NaN without slots, and with what a hypervisor took
        from them, as it takes from epochs; `difference_percent` how much longer than that an epoch
        took; `steal_percent` what a hypervisor took of the CPU while the epochs trained.
    """
    cells = cells.merge(_slots(samples), on=["run", *KEYS, "batch_size"], how="left")
    cells["epoch_seconds_predicted"] = (
        cells["fixed_ms_per_fit"] + cells["steps"] * cells["steady_step_ms"]
    ) / 1000
    frame = (
        cells.rename(columns={"epoch_seconds": "epoch_seconds_seen"})
        .groupby(KEYS, as_index=False)[[name for name in COLUMNS if name in _MEDIANS]]
        .median()
    )
    explained = frame[PARTS].sum(axis=1)
    frame["other_seconds"] = frame["wall_seconds"] - explained
    frame["explained_percent"] = 100 * explained / frame["wall_seconds"]
    frame["difference_percent"] = 100 * (
        frame["epoch_seconds_seen"] / frame["epoch_seconds_predicted"] - 1
    )
    return columns.declared("costs", frame)


_MEDIANS = {
    *PARTS,
    "wall_seconds",
    "steady_step_ms",
    "fixed_ms_per_fit",
    "epoch_seconds_predicted",
    "epoch_seconds_seen",
    "steal_percent",
}


def break_even(start: float, epoch: float, other_start: float, other_epoch: float) -> float:
    """After how many epochs one backend is ahead of another for good.

    Args:
        start: Seconds before its first epoch.
        epoch: Seconds of each of its epochs.
        other_start: The other's.
        other_epoch: The other's.

    Returns:
        Epochs, not rounded; 0 if it is ahead (or level) from the start, infinity if never.
    """
    if start <= other_start and epoch <= other_epoch:
        return 0.0
    if epoch >= other_epoch:
        return math.inf
    return (start - other_start) / (other_epoch - epoch)


def break_even_table(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per model and ordered pair of backends on one device.

    Args:
        cells: `reports.tables.cells.collect`.

    Returns:
        The columns of `break_even`. `start_seconds` go up to the end of the first step;
        `epoch_seconds` are of a whole epoch, fed, trained and evaluated; both are medians over
        cells. `epochs` and `steps` are those of training after which `backend` is ahead of
        `baseline` for good. `verdict` is `from_start` (0 epochs), `overtakes`, or `never` (no
        number).
    """
    cells = cells.assign(start=cells[_UP_TO_FIRST_STEP].sum(axis=1))
    medians = cells.groupby(KEYS, as_index=False)[
        ["start", "whole_epoch_seconds", "steps"]
    ].median()
    rows = []
    for _, group in medians.groupby(["model", "variant", "device"]):
        for first, second in itertools.permutations(group.to_dict("records"), 2):
            start, epoch = first["start"], first["whole_epoch_seconds"]
            other_start, other_epoch = second["start"], second["whole_epoch_seconds"]
            epochs = break_even(start, epoch, other_start, other_epoch)
            never = math.isinf(epochs)
            rows.append(
                {
                    **{name: first[name] for name in KEYS},
                    "baseline": second["lane"],
                    "start_seconds": start,
                    "baseline_start_seconds": other_start,
                    "epoch_seconds": epoch,
                    "baseline_epoch_seconds": other_epoch,
                    "epochs": np.nan if never else epochs,
                    "steps": pd.NA if never else math.ceil(epochs * first["steps"]),
                    "verdict": "never" if never else "overtakes" if epochs else "from_start",
                }
            )
    return columns.frame("break_even", rows)


def lanes_table(shards: Shards, samples: Samples) -> pd.DataFrame:
    """What each lane that is no backend as pinned costs to have, beside that backend.

    Args:
        shards: What was read, comparable by `reports.tables.comparable.check`.
        samples: `reports.tables.samples.collect` of them.

    Returns:
        The columns of `lane_costs`, one row per lane and cost: `import_seconds` and `peak_rss_mib`
        of every launch, and of the first one alone `installed_mib` and, by model and variant,
        `first_step_seconds` (later launches find what was compiled). `low` to `high` is the 95 %
        interval of `ratio` over launches; the verdicts of a lane (`more`, `less`, `equivalent`,
        `unresolved`, or `indicative` of fewer launches than an interval takes) are adjusted for
        their number.
    """
    known = pd.DataFrame(_costs(shards, samples), columns=[*_LANE_COST, "launch", "value"])
    known = known.set_index([*_COST, "launch"])
    rows = []
    for lane in dict.fromkeys(known["lane"]):
        base = backend_of(lane)
        if lane == base:
            continue
        sides = {"value": lane, "before": base}
        values = {name: known.loc[known["lane"] == each, "value"] for name, each in sides.items()}
        both = pd.concat(values, axis=1, join="inner")
        both["log"] = np.log(both["value"] / both["before"])
        families = {"/".join(map(str, key)): one for key, one in both.groupby(_COST, sort=False)}
        compared = intervals.compare({key: one["log"].to_numpy() for key, one in families.items()})
        for key, ratio in compared.items():
            told = {name: value for name, value in asdict(ratio).items() if name in LANE_COSTS}
            named = dict(zip(_COST, key.split("/"), strict=True)) | {"lane": lane, "baseline": base}
            means = families[key][["value", "before"]].mean().to_dict()
            told["verdict"] = {"faster": "more", "slower": "less"}.get(ratio.verdict, ratio.verdict)
            rows.append(told | named | means)
    return columns.frame("lane_costs", rows)


def _costs(shards: Shards, samples: Samples) -> Iterator[tuple[str | float, ...]]:
    """`_LANE_COST`, the latter two where it is of one model, the launch and the value."""
    for shard in shards.speed:
        launch = f"{shard.run_id} {shard.payload.launch}"
        for record in shard.payload.lanes:
            lane = record.lane
            if lane.twin or record.status != "ok" or record.worker is None:
                continue
            told = {
                "import_seconds": record.worker.import_seconds,
                "peak_rss_mib": record.peak_rss_mib,
                "installed_mib": record.worker.installed_mib if shard.payload.launch == 1 else None,
            }
            for cost, value in told.items():
                if value:
                    yield lane.lane, lane.device, cost, "", "", launch, value
    starts = samples.starts[(samples.starts["launch"] == 1) & ~samples.starts["twin"]]
    for row in starts.to_dict("records"):
        name, launch = "first_step_seconds", f"{row['run']} 1"
        row["cost"] = name
        yield (*(row[each] for each in _LANE_COST), launch, row[name])


def _slots(samples: Samples) -> pd.DataFrame:
    """Steady step and price of one call of training, in ms: medians over launches, per run."""
    used = samples.usable
    used = used[(used["phase"] == "train") & ~used["twin"]]
    keys = ["run", *WORKLOAD, "lane", "device"]
    launches = used.groupby([*keys, "launch"], as_index=False)[
        ["seconds_per_step", "fixed_seconds"]
    ].median()
    medians = launches.groupby(keys, as_index=False)[["seconds_per_step", "fixed_seconds"]].median()
    medians["steady_step_ms"] = 1000 * medians["seconds_per_step"]
    medians["fixed_ms_per_fit"] = 1000 * medians["fixed_seconds"]
    return medians[["run", *KEYS, "batch_size", "steady_step_ms", "fixed_ms_per_fit"]]
