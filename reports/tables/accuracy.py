"""The accuracy table: stored predictions in, losses, accuracies and error rates out."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contract.schema import Cell, Plan, Protocol
from reports.read.shards import AccuracyShard, Shards
from reports.tables.cells import KEYS
from reports.tables.columns import dtypes, frame, picked

COLUMNS = dtypes("accuracy")


def table(shards: Shards, required_backends: Sequence[str] = ()) -> pd.DataFrame:
    """One row per cell, those that were planned or required and are not there included.

    Args:
        shards: What was read.
        required_backends: Backends that must be there besides those of the plans.

    Returns:
        `COLUMNS`. Accuracies are shares of 1; `train_loss` and `train_accuracy` are Keras's
        running means over the last epoch; all of the test set is computed here from the stored
        probabilities. `images_per_second` and `train_seconds` count training alone, over all
        epochs, and are NaN where others ran beside it, on a farm. `status` is `ok`, `missing`,
        `diverged`, or how the worker failed.
    """
    present = {shard.payload.cell for shard in shards.accuracy}
    own = {model.name for plan in shards.plans.values() for model in plan.own_models}
    rows = [_row(shard, shard.payload.cell.model in own) for shard in shards.accuracy]
    for shard, row in zip(shards.accuracy, rows, strict=True):
        if shard.run_id in shards.farmed:
            row |= dict.fromkeys(("train_seconds", "images_per_second"))
    rows += [_missing(cell, plan) for cell, plan in _absent(shards, required_backends, present)]
    keys = ["model", "variant", "device", "seed", "lane"]
    return frame("accuracy", rows).sort_values(keys, kind="stable", ignore_index=True)


def score(
    probabilities: NDArray[np.float32], labels: NDArray[np.unsignedinteger]
) -> tuple[float, int]:
    """Loss and number of right answers.

    Args:
        probabilities: float32, shape (examples, classes).
        labels: unsigned, shape (examples,).

    Returns:
        Mean categorical cross-entropy with Keras's clipping to [1e-7, 1 - 1e-7], in nats, and
        how often the largest probability stands at the label.
    """
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.clip(chosen, 1e-7, 1 - 1e-7)).mean())
    return loss, int((probabilities.argmax(axis=1) == labels).sum())


def _row(shard: AccuracyShard, own: bool) -> dict[str, object]:
    payload, protocol = shard.payload, shard.payload.protocol
    row = _identity(payload.cell, protocol) | {"status": payload.status}
    training = payload.training
    if training is None or payload.status != "ok":
        return row
    last = training.epochs[-1]
    seconds = sum(epoch.train_seconds for epoch in training.epochs)
    row |= {
        "train_loss": last.train_loss,
        "test_loss": last.test_loss,
        "train_accuracy": last.train_accuracy,
        "total": protocol.test_examples,
        "train_seconds": seconds,
        "images_per_second": protocol.train_examples * len(training.epochs) / seconds,
    }
    lost = last.train_loss is None or last.test_loss is None
    if shard.probabilities is not None and shard.labels is not None:
        loss, correct = score(shard.probabilities, shard.labels)
        total, commonest = len(shard.labels), int(np.bincount(shard.labels).max())
        # A shipped model that is no better than the answer that is always the same has learned
        # nothing; what another one can learn nobody knows.
        lost = lost or not math.isfinite(loss) or (correct <= commonest and not own)
        row |= {
            "test_loss": loss,
            "test_accuracy": correct / total,
            "error_percent": 100 * (total - correct) / total,
            "correct": correct,
        }
    return row | ({"status": "diverged"} if lost else {})


def _absent(
    shards: Shards, required_backends: Sequence[str], present: set[Cell]
) -> Iterable[tuple[Cell, Plan]]:
    """Cells that some plan names, or that a required backend owes, and that are not there."""
    planned = {cell: plan for plan in shards.plans.values() for cell in plan.cells}
    for cell, plan in list(planned.items()):
        for backend in required_backends:
            owed = Cell(cell.model, cell.variant, backend, cell.device, cell.seed)
            planned.setdefault(owed, plan)
    return [(cell, plan) for cell, plan in planned.items() if cell not in present]


def _missing(cell: Cell, plan: Plan) -> dict[str, object]:
    return _identity(cell, plan.protocol) | {"status": "missing"}


def _identity(cell: Cell, protocol: Protocol) -> dict[str, object]:
    return picked(cell, *KEYS, "seed") | picked(protocol, "dataset", "epochs")
