"""Accuracy runs in the coordinator: a worker trains one cell, and a shard keeps what it said."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from bench.contract import schema
from bench.contract.errors import DataError, WorkerError
from bench.contract.schema import Accuracy, Epoch, Protocol, Training
from bench.contract.units import Cell, TrainingRequest
from bench.coordinator.records import checked, ended, greeted, this_machine
from bench.coordinator.run_folder import RunFolder
from bench.inputs.datasets import Dataset, read_npz
from bench.inputs.examples import Examples, classes_of
from bench.planning.plan import Plan
from bench.process.worker_process import Worker


def stored_training(run_folder: RunFolder, cell: Cell) -> Accuracy | None:
    """An earlier attempt at this cell that went well, or None."""
    last = last_training(run_folder, cell)
    return last if last is not None and last.status == "ok" else None


def last_training(run_folder: RunFolder, cell: Cell) -> Accuracy | None:
    """The first attempt at this cell that went well, else the last that did not."""
    last = None
    for shard_id in run_folder.attempts(cell.id):
        last = run_folder.read(shard_id, Accuracy) or last
        if last is not None and last.status == "ok":
            return last
    return last


def run_cell(
    cell: Cell,
    plan: Plan,
    dataset: Dataset,
    run_folder: RunFolder,
    on_epoch: Callable[[Epoch], None],
) -> Accuracy:
    """Train one cell in a fresh worker and store what came of it, good or bad.

    Args:
        cell: What to train.
        plan: Sizes and interpreters.
        dataset: What to train it on.
        run_folder: Where the shard goes.
        on_epoch: Takes the record of each epoch as it ends.

    Returns:
        What was stored; its `status` is `ok`, or that of the `WorkerError`.
    """
    record = Accuracy(
        cell=msgspec.convert(cell, schema.Cell, from_attributes=True),
        protocol=protocol(plan, dataset),
        machine=this_machine(),
        wall_seconds=None,
        start_seconds=None,
        worker=None,
        training=None,
        **ended(None),
    )
    shard_id = run_folder.next_attempt(cell.id)
    arrays = None
    try:
        lane = plan.lane(cell.lane)
        begun = time.monotonic()
        with Worker(lane, plan.timeout_seconds) as worker:
            info = greeted(worker)
            greeted_after = time.monotonic() - begun
            record = replace(record, worker=info)
            predictions = worker.scratch / "predictions.npz"
            request = TrainingRequest(
                model=dataset.request(cell.model, cell.variant),
                seed=cell.seed,
                epochs=plan.epochs,
                batch_size=plan.batch_size,
                train_examples=plan.train_examples,
                predictions=str(predictions),
            )
            told = worker.call(
                "train", asdict(request), lambda event: on_epoch(checked(event, Epoch, lane))
            )
            wall_seconds = time.monotonic() - begun
            training = checked(told, Training, lane)
            _check_work(training, record.protocol)
            test_accuracy = training.epochs[-1].test_accuracy
            if test_accuracy is not None:
                arrays = _predictions(predictions, dataset)
                _check_answers(test_accuracy, **arrays)
        start_seconds = greeted_after - info.import_seconds
        whole = replace(
            record, training=training, wall_seconds=wall_seconds, start_seconds=start_seconds
        )
        record = checked(msgspec.to_builtins(whole), Accuracy, lane)
    except WorkerError as error:
        record, arrays = replace(record, **ended(error)), None
    run_folder.write(shard_id, record, arrays)
    return record


def train_examples(plan: Plan, dataset: Dataset) -> int:
    """How many examples an epoch trains on."""
    return min(plan.train_examples or dataset.train_examples, dataset.train_examples)


def protocol(plan: Plan, dataset: Dataset) -> Protocol:
    """What must be equal between two cells before their results may stand side by side."""
    return Protocol(
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        train_examples=train_examples(plan, dataset),
        test_examples=dataset.test_examples,
        epochs=plan.epochs,
        batch_size=plan.batch_size,
    )


def _predictions(path: Path, dataset: Dataset) -> dict[str, NDArray[Any]]:
    """What a classifier answered, and the labels, which the worker has no say in."""
    try:
        probabilities = read_npz(path)["probabilities"]
    except (DataError, KeyError) as error:
        raise WorkerError("invalid", f"the worker stored no predictions: {error}") from error
    shape, examples = probabilities.shape, dataset.test_examples
    if len(shape) != 2 or shape[0] != examples or probabilities.dtype != np.float32:
        told = f"{probabilities.dtype} predictions of shape {shape} for {examples} test examples"
        raise WorkerError("invalid", told)
    target = Examples.of(read_npz(dataset.path), "test").only_target
    labels = classes_of(target)
    return {
        "probabilities": probabilities,
        "labels": labels.astype(np.min_scalar_type(int(labels.max()))),
    }


def _check_answers(test_accuracy: float, probabilities: NDArray[Any], labels: NDArray[Any]) -> None:
    """What the last epoch said of itself must be what the stored predictions say."""
    right = int((probabilities.argmax(axis=1) == labels).sum())
    if round(test_accuracy * len(labels)) != right:
        raise WorkerError(
            "invalid",
            f"{right} of {len(labels)} predictions are right; the last epoch said {test_accuracy}",
        )


def _check_work(training: Training, planned: Protocol) -> None:
    """A backend that trained less than was asked for must not look fast."""
    epochs = [epoch.epoch for epoch in training.epochs]
    if epochs != list(range(1, planned.epochs + 1)):
        raise WorkerError("invalid", f"epochs {epochs} were trained, not 1 ... {planned.epochs}")
    steps = planned.epochs * -(-planned.train_examples // planned.batch_size)
    if training.steps != steps:
        raise WorkerError("invalid", f"{training.steps} steps were trained, not {steps}")
