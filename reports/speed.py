"""The speed table: what the accuracy runs say about training throughput and start-up."""

import numpy as np
import pandas as pd

from reports.schema import Accuracy
from reports.shards import Shards

COLUMNS = {
    "model": "str",
    "variant": "str",
    "phase": "str",
    "backend": "str",
    "device": "str",
    "batch_size": "Int64",
    "images_per_second": "float64",
    "low": "float64",
    "high": "float64",
    "ms_per_step": "float64",
    "import_seconds": "float64",
    "first_step_seconds": "float64",
    "peak_rss_mib": "float64",
    "launches": "Int64",
    "rounds": "Int64",
    "status": "str",
}
KEYS = ["model", "variant", "backend", "device"]
_LAUNCH = [
    "batch_size",
    "images",
    "steps",
    "epoch_seconds",
    "import_seconds",
    "first_step_seconds",
    "peak_rss_mib",
    "rounds",
]


def table(shards: Shards, accuracy_table: pd.DataFrame) -> pd.DataFrame:
    """One row per model and backend, those without a result included.

    A launch is a worker that trained one cell, a round is one of its epochs.

    Args:
        shards: What was read, comparable by `reports.accuracy.check_comparable`.
        accuracy_table: `reports.accuracy.table` of them, for what became of each cell.

    Returns:
        `COLUMNS`. `images_per_second` and `ms_per_step` come from the median over launches of
        each launch's median epoch; `import_seconds` and `first_step_seconds` are medians over
        launches; `peak_rss_mib` is the largest. `low` and `high` stay empty: epochs of one
        backend after another are not paired, so no interval can be claimed from them.
    """
    statuses = accuracy_table.groupby(KEYS, as_index=False).agg(status=("status", worst))
    launches = pd.DataFrame(
        [_launch(shard.payload) for shard in shards.accuracy if shard.payload.training],
        columns=[*KEYS, *_LAUNCH],
    )
    table = launches.groupby(KEYS, as_index=False).agg(
        batch_size=("batch_size", "first"),
        epoch_seconds=("epoch_seconds", "median"),
        images=("images", "first"),
        steps=("steps", "first"),
        import_seconds=("import_seconds", "median"),
        first_step_seconds=("first_step_seconds", "median"),
        peak_rss_mib=("peak_rss_mib", "max"),
        launches=("epoch_seconds", "count"),
        rounds=("rounds", "sum"),
    )
    table = statuses.merge(table, on=KEYS, how="left", validate="one_to_one")
    table["phase"] = "train"
    table["images_per_second"] = table["images"] / table["epoch_seconds"]
    table["ms_per_step"] = 1000 * table["epoch_seconds"] / table["steps"]
    table["low"] = table["high"] = np.nan
    table[["launches", "rounds"]] = table[["launches", "rounds"]].fillna(0)
    return table[list(COLUMNS)].astype(COLUMNS)


def worst(statuses: "pd.Series[str]") -> str:
    """`ok` only if all are."""
    bad = statuses[statuses != "ok"]
    return "ok" if bad.empty else str(bad.iloc[0])


def _launch(payload: Accuracy) -> tuple[object, ...]:
    cell, protocol, training, worker = (
        payload.cell,
        payload.protocol,
        payload.training,
        payload.worker,
    )
    assert training is not None  # noqa: S101 - the caller's choice
    assert worker is not None  # noqa: S101 - `reports.shards` sees to it
    return (
        cell.model,
        cell.variant,
        cell.backend,
        cell.device,
        protocol.batch_size,
        protocol.train_examples,
        -(-protocol.train_examples // protocol.batch_size),
        float(np.median([epoch.train_seconds for epoch in training.epochs])),
        worker.import_seconds,
        training.first_step_seconds,
        training.peak_rss_mib,
        len(training.epochs),
    )
