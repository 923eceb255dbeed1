"""What each training learned, epoch by epoch, and when it first erred as little as published."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from reports.read.shards import AccuracyShard, Shards
from reports.tables.cells import KEYS
from reports.tables.columns import frame, picked


def table(shards: Shards) -> pd.DataFrame:
    """One row per epoch of each training that went well.

    Returns:
        The columns of `curves`. Losses are in nats, or in what the model's own loss is in;
        accuracies are shares of 1, and NaN of what is not a classifier. Those of training are
        Keras's running means over the epoch, in which the model still learns; those of the test set
        are of the model after it. `error_percent` is of the test set. `trained_seconds` are of all
        epochs so far, training alone: without start, feeding and evaluation; NaN where others ran
        beside it, on a farm.
    """
    rows = (
        row | ({"trained_seconds": np.nan} if shard.run_id in shards.farmed else {})
        for shard in shards.accuracy
        for row in _rows(shard)
    )
    return frame("curves", rows)


def seconds_until(curves: pd.DataFrame, error_percent: float) -> pd.DataFrame:
    """When each training first erred no more than this.

    Args:
        curves: `table`, of one model.
        error_percent: The error to reach.

    Returns:
        `KEYS`, seed, seconds (of training, at the end of that epoch; NaN if it never did).
    """
    reached = curves["trained_seconds"].where(curves["error_percent"] <= error_percent)
    named = curves.assign(seconds=reached).groupby([*KEYS, "seed"])
    return named[["seconds"]].min().reset_index()


def _rows(shard: AccuracyShard) -> Iterator[dict[str, object]]:
    payload = shard.payload
    if payload.training is None:
        return
    cell, seconds = payload.cell, 0.0
    for epoch in payload.training.epochs:
        seconds += epoch.train_seconds
        yield {
            **picked(cell, *KEYS, "seed"),
            "epoch": epoch.epoch,
            "train_loss": _number(epoch.train_loss),
            "train_accuracy": _number(epoch.train_accuracy),
            "test_loss": _number(epoch.test_loss),
            "test_accuracy": _number(epoch.test_accuracy),
            "error_percent": 100 * (1 - _number(epoch.test_accuracy)),
            "trained_seconds": seconds,
        }


def _number(value: float | None) -> float:
    return np.nan if value is None else value
