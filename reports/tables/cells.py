"""What each training of the accuracy part took, as a table with one row per cell."""

import numpy as np
import pandas as pd

from bench.contract.schema import Accuracy
from reports.read.shards import Shards
from reports.tables.columns import picked

KEYS = ["model", "variant", "lane", "device"]

_LENGTHS = ["batch_size", "images", "steps", "epochs"]
_STARTS = ["load_seconds", "build_seconds", "first_step_seconds", "second_step_seconds"]
_COLUMNS = {
    **dict.fromkeys(["run", *KEYS], "str"),
    **dict.fromkeys(_LENGTHS, "int64"),
    **dict.fromkeys(["start_seconds", "import_seconds", *_STARTS], "float64"),
    **dict.fromkeys(["feed_seconds", "train_seconds", "evaluation_seconds"], "float64"),
    **dict.fromkeys(["wall_seconds", "epoch_seconds", "whole_epoch_seconds"], "float64"),
    **dict.fromkeys(["steal_percent", "peak_rss_mib"], "float64"),
}


def collect(shards: Shards) -> pd.DataFrame:
    """One row per cell that went well, but of runs that were farmed out: others ran beside them.

    Returns:
        run, `KEYS`, batch_size, images and steps (of one epoch), epochs; seconds of each part
        (feed, train and evaluation over all epochs) and of the whole; epoch_seconds, the median
        over epochs of training alone, and whole_epoch_seconds with feeding and evaluation;
        steal_percent, of the CPU time of all cores in training; peak_rss_mib.
    """
    rows = [
        {"run": shard.run_id, **_row(shard.payload)}
        for shard in shards.accuracy
        if shard.payload.status == "ok" and shard.run_id not in shards.farmed
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def _row(payload: Accuracy) -> dict[str, object]:
    protocol, training, worker = payload.protocol, payload.training, payload.worker
    assert training is not None  # noqa: S101 - `reports.read.checks` sees to it
    assert worker is not None  # noqa: S101 - `reports.read.checks` sees to it
    feed, train, test, taken = (
        np.array([getattr(epoch, f"{name}_seconds") for epoch in training.epochs])
        for name in ("feed", "train", "test", "steal")
    )
    return {
        **picked(payload.cell, *KEYS),
        "batch_size": protocol.batch_size,
        "images": protocol.train_examples,
        "steps": -(-protocol.train_examples // protocol.batch_size),
        "epochs": len(training.epochs),
        **picked(payload, "start_seconds", "wall_seconds"),
        "import_seconds": worker.import_seconds,
        **picked(training, *_STARTS, "peak_rss_mib"),
        "feed_seconds": sum(feed),
        "train_seconds": sum(train),
        "evaluation_seconds": sum(test),
        "epoch_seconds": float(np.median(train)),
        "whole_epoch_seconds": float(np.median(feed + train + test)),
        "steal_percent": 100 * sum(taken) / (sum(train) * payload.machine.cores),
    }
