"""The accuracy table: stored predictions in, losses, accuracies and error rates out."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.schema import Cell, Plan
from reports.shards import AccuracyShard, Shards

COLUMNS = {
    "model": "str",
    "variant": "str",
    "backend": "str",
    "device": "str",
    "dataset": "str",
    "seed": "Int64",
    "epochs": "Int64",
    "train_loss": "float64",
    "test_loss": "float64",
    "train_accuracy": "float64",
    "test_accuracy": "float64",
    "error_percent": "float64",
    "correct": "Int64",
    "total": "Int64",
    "train_seconds": "float64",
    "images_per_second": "float64",
    "status": "str",
}


class NotComparableError(ValueError):
    """Results that may not stand side by side; the message says why."""


def table(shards: Shards, required_backends: Sequence[str] = ()) -> pd.DataFrame:
    """One row per cell, those that were planned or required and are not there included.

    Args:
        shards: What was read.
        required_backends: Backends that must be there besides those of the plans.

    Returns:
        `COLUMNS`. Accuracies are shares of 1; `train_loss` and `train_accuracy` are Keras's
        running means over the last epoch; all of the test set is computed here from the stored
        probabilities. `images_per_second` and `train_seconds` count training alone, over all
        epochs. `status` is `ok`, `missing`, `diverged`, or how the worker failed.
    """
    present = {shard.payload.cell for shard in shards.accuracy}
    rows = [_row(shard) for shard in shards.accuracy]
    rows += [_missing(cell, plan) for cell, plan in _absent(shards, required_backends, present)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    keys = ["model", "variant", "device", "seed", "backend"]
    return frame.sort_values(keys, kind="stable", ignore_index=True)


def check_comparable(shards: Shards) -> None:
    """See that what stands side by side had the same inputs.

    Raises:
        NotComparableError: Protocol, dataset, initial weights, batches or Keras differ, or a
            cell is there twice.
    """
    runs: dict[Cell, str] = {}
    for shard in shards.accuracy:
        cell = shard.payload.cell
        known = runs.setdefault(cell, shard.run_id)
        if known != shard.run_id:
            raise NotComparableError(
                f"{cell.model} with {cell.backend} on {cell.device}, seed {cell.seed}, stands in "
                f"two runs: {known} and {shard.run_id}"
            )
    # What the seed does not change must be equal over all seeds; the rest for each seed.
    by_model: dict[str, list[AccuracyShard]] = {}
    by_seed: dict[str, list[AccuracyShard]] = {}
    for shard in shards.accuracy:
        cell = shard.payload.cell
        by_model.setdefault(f"{cell.model} {cell.variant}", []).append(shard)
        by_seed.setdefault(f"{cell.model} {cell.variant}, seed {cell.seed}", []).append(shard)
    for groups, inputs in ((by_model, _fixed_inputs), (by_seed, _seeded_inputs)):
        for name, group in groups.items():
            _check_equal(name, group, inputs)


def _check_equal(
    name: str,
    group: Sequence[AccuracyShard],
    inputs: Callable[[AccuracyShard], dict[str, str | None]],
) -> None:
    for what in inputs(group[0]):
        values: dict[str, str] = {}
        for shard in group:
            value = inputs(shard)[what]
            if value is not None:
                values[value] = f"{shard.payload.cell.backend} in run {shard.run_id}"
        if len(values) > 1:
            told = ", ".join(f"{lane}: {value}" for value, lane in values.items())
            raise NotComparableError(f"{name}: {what} differ ({told})")


def _fixed_inputs(shard: AccuracyShard) -> dict[str, str | None]:
    """What must be equal wherever the model is; None where a failed worker never said."""
    protocol, worker = shard.payload.protocol, shard.payload.worker
    return {
        "datasets": protocol.dataset,
        "dataset hashes": protocol.dataset_sha256,
        "protocols": (
            f"{protocol.epochs} epochs of {protocol.train_examples} by {protocol.batch_size}"
        ),
        "Keras versions": worker.versions["keras"] if worker else None,
    }


def _seeded_inputs(shard: AccuracyShard) -> dict[str, str | None]:
    """What must be equal on all backends that trained from the same seed."""
    training = shard.payload.training
    return {
        "initial weights": training.weights_sha256 if training else None,
        "batches": training.batches_sha256 if training else None,
    }


def score(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> tuple[float, int]:
    """Loss and number of right answers.

    Args:
        probabilities: float32, shape (examples, classes).
        labels: uint8, shape (examples,).

    Returns:
        Mean categorical cross-entropy with Keras's clipping to [1e-7, 1 - 1e-7], in nats, and
        how often the largest probability stands at the label.
    """
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.clip(chosen, 1e-7, 1 - 1e-7)).mean())
    return loss, int((probabilities.argmax(axis=1) == labels).sum())


def _row(shard: AccuracyShard) -> dict[str, object]:
    payload, protocol = shard.payload, shard.payload.protocol
    row = _identity(payload.cell, protocol.dataset, protocol.epochs) | {"status": payload.status}
    training = payload.training
    if training is None or shard.probabilities is None or shard.labels is None:
        return row
    loss, correct = score(shard.probabilities, shard.labels)
    total = len(shard.labels)
    last = training.epochs[-1]
    seconds = sum(epoch.train_seconds for epoch in training.epochs)
    commonest = int(np.bincount(shard.labels).max())
    if not math.isfinite(loss) or last.train_loss is None or correct <= commonest:
        # No better than the answer that is always the same: the training went nowhere.
        row["status"] = "diverged"
    return row | {
        "train_loss": last.train_loss,
        "test_loss": loss,
        "train_accuracy": last.train_accuracy,
        "test_accuracy": correct / total,
        "error_percent": 100 * (total - correct) / total,
        "correct": correct,
        "total": total,
        "train_seconds": seconds,
        "images_per_second": protocol.train_examples * len(training.epochs) / seconds,
    }


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
    identity = _identity(cell, plan.protocol.dataset, plan.protocol.epochs)
    return identity | {"status": "missing"}


def _identity(cell: Cell, dataset: str, epochs: int) -> dict[str, object]:
    return {
        "model": cell.model,
        "variant": cell.variant,
        "backend": cell.backend,
        "device": cell.device,
        "dataset": dataset,
        "seed": cell.seed,
        "epochs": epochs,
    }
