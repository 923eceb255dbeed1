"""The speed table: what the accuracy runs say about training throughput and start-up."""

import numpy as np
import pandas as pd

from reports.shards import Accuracy, Shards

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
KEYS = ["model", "variant", "device", "batch_size", "backend"]


def table(shards: Shards) -> pd.DataFrame:
    """One row per model, backend and batch size.

    A launch is a worker that trained one cell, a round is one of its epochs.

    Returns:
        `COLUMNS`. `images_per_second` and `ms_per_step` come from the median over launches of
        each launch's median epoch; `import_seconds` and `first_step_seconds` are medians over
        launches; `peak_rss_mib` is the largest. `low` and `high` stay empty: epochs of one
        backend after another are not paired, so no interval can be claimed from them.
    """
    rows = [_launch(shard.payload) for shard in shards.accuracy]
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    launches = pd.DataFrame(rows)
    table = launches.groupby(KEYS, as_index=False).agg(
        epoch_seconds=("epoch_seconds", "median"),
        images=("images", "first"),
        steps=("steps", "first"),
        import_seconds=("import_seconds", "median"),
        first_step_seconds=("first_step_seconds", "median"),
        peak_rss_mib=("peak_rss_mib", "max"),
        launches=("epoch_seconds", "count"),
        rounds=("rounds", "sum"),
        status=("status", _worst),
    )
    table["phase"] = "train"
    table["images_per_second"] = table["images"] / table["epoch_seconds"]
    table["ms_per_step"] = 1000 * table["epoch_seconds"] / table["steps"]
    table["low"] = table["high"] = np.nan
    return table[list(COLUMNS)].astype(COLUMNS)


def _launch(payload: Accuracy) -> dict[str, object]:
    cell, protocol, training = payload.cell, payload.protocol, payload.training
    row: dict[str, object] = {
        "model": cell.model,
        "variant": cell.variant,
        "device": cell.device,
        "batch_size": protocol.batch_size,
        "backend": cell.backend,
        "images": protocol.train_examples,
        "steps": -(-protocol.train_examples // protocol.batch_size),
        "status": payload.status,
        "epoch_seconds": np.nan,
        "import_seconds": np.nan,
        "first_step_seconds": np.nan,
        "peak_rss_mib": np.nan,
        "rounds": 0,
    }
    if training is None or payload.worker is None:
        return row
    return row | {
        "epoch_seconds": float(np.median([epoch.train_seconds for epoch in training.epochs])),
        "import_seconds": payload.worker.import_seconds,
        "first_step_seconds": training.first_step_seconds,
        "peak_rss_mib": training.peak_rss_mib,
        "rounds": len(training.epochs),
    }


def _worst(statuses: "pd.Series[str]") -> str:
    bad = statuses[statuses != "ok"]
    return "ok" if bad.empty else str(bad.iloc[0])
