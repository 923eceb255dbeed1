"""What each training of the accuracy part took, as a table with one row per cell."""

import numpy as np
import pandas as pd

from bench.contract.schema import Accuracy
from reports.read.shards import Shards

KEYS = ["model", "variant", "backend", "device"]

_COLUMNS = {
    "run": "str",
    **dict.fromkeys(KEYS, "str"),
    "batch_size": "int64",
    "images": "int64",
    "steps": "int64",
    "epochs": "int64",
    "start_seconds": "float64",
    "import_seconds": "float64",
    "load_seconds": "float64",
    "build_seconds": "float64",
    "first_step_seconds": "float64",
    "second_step_seconds": "float64",
    "feed_seconds": "float64",
    "train_seconds": "float64",
    "evaluation_seconds": "float64",
    "wall_seconds": "float64",
    "epoch_seconds": "float64",
    "whole_epoch_seconds": "float64",
    "steal_percent": "float64",
    "peak_rss_mib": "float64",
}


def collect(shards: Shards) -> pd.DataFrame:
    """One row per cell that went well.

    Returns:
        run, `KEYS`, batch_size, images and steps (of one epoch), epochs; seconds of each part
        (feed, train and evaluation over all epochs) and of the whole; epoch_seconds, the median
        over epochs of training alone, and whole_epoch_seconds with feeding and evaluation;
        steal_percent, of the CPU time of all cores in training; peak_rss_mib.
    """
    rows = [
        (shard.run_id, *_row(shard.payload))
        for shard in shards.accuracy
        if shard.payload.status == "ok"
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def _row(payload: Accuracy) -> tuple[object, ...]:
    cell, protocol, training = payload.cell, payload.protocol, payload.training
    worker = payload.worker
    assert training is not None  # noqa: S101 - `reports.read.checks` sees to it
    assert worker is not None  # noqa: S101 - `reports.read.checks` sees to it
    epochs = training.epochs
    taken = sum(epoch.steal_seconds for epoch in epochs)
    train_seconds = sum(epoch.train_seconds for epoch in epochs)
    whole = [epoch.feed_seconds + epoch.train_seconds + epoch.test_seconds for epoch in epochs]
    return (
        cell.model,
        cell.variant,
        cell.backend,
        cell.device,
        protocol.batch_size,
        protocol.train_examples,
        -(-protocol.train_examples // protocol.batch_size),
        len(epochs),
        payload.start_seconds,
        worker.import_seconds,
        training.load_seconds,
        training.build_seconds,
        training.first_step_seconds,
        training.second_step_seconds,
        sum(epoch.feed_seconds for epoch in epochs),
        train_seconds,
        sum(epoch.test_seconds for epoch in epochs),
        payload.wall_seconds,
        float(np.median([epoch.train_seconds for epoch in epochs])),
        float(np.median(whole)),
        100 * taken / (train_seconds * payload.machine.cores),
        training.peak_rss_mib,
    )
