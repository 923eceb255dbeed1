"""Accuracy runs in the coordinator: a worker trains one cell, and a shard keeps what it said."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import DataError, WorkerError
from bench.contract.units import Cell, Lane, TrainingRequest
from bench.coordinator.run_folder import Journal
from bench.inputs.datasets import Dataset, read_npz
from bench.inputs.examples import Examples, classes_of
from bench.planning.plan import Plan
from bench.process.worker_environment import machine
from bench.process.worker_process import Worker, failure


def finished(journal: Journal, cell: Cell) -> dict[str, Any] | None:
    """Payload of an earlier attempt at this cell that went well, or None."""
    for shard_id in journal.attempts(cell.id):
        payload = journal.read("accuracy", shard_id)
        if payload is not None and payload["status"] == "ok":
            return payload
    return None


def run_cell(
    cell: Cell,
    plan: Plan,
    dataset: Dataset,
    journal: Journal,
    on_epoch: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Train one cell in a fresh worker and store what came of it, good or bad.

    Args:
        cell: What to train.
        plan: Sizes and interpreters.
        dataset: What to train it on.
        journal: Where the shard goes.
        on_epoch: Takes the record of each epoch as it ends.

    Returns:
        The payload that was stored; its `status` is `ok`, or that of the `WorkerError`.
    """
    payload: dict[str, Any] = {
        "cell": asdict(cell),
        "protocol": protocol(plan, dataset),
        "machine": machine(),
        "status": "ok",
        "error": None,
        "log": None,
        "wall_seconds": None,
        "start_seconds": None,
        "worker": None,
        "training": None,
    }
    shard_id = journal.next_attempt(cell.id)
    arrays = None
    try:
        lane = Lane(cell.backend, cell.device, plan.workers[cell.backend])
        begun = time.monotonic()
        with Worker(lane, plan.timeout_seconds) as worker:
            payload["worker"] = worker.greet()
            greeted = time.monotonic() - begun
            predictions = worker.scratch / "predictions.npz"
            request = TrainingRequest(
                model=dataset.request(cell.model, cell.variant),
                seed=cell.seed,
                epochs=plan.epochs,
                batch_size=plan.batch_size,
                train_examples=plan.train_examples,
                predictions=str(predictions),
            )
            training = worker.call("train", asdict(request), on_epoch)
            wall_seconds = time.monotonic() - begun
            _check_work(training, payload["protocol"])
            test_accuracy = training["epochs"][-1]["test_accuracy"]
            if test_accuracy is not None:
                arrays = _predictions(predictions, dataset)
                _check_answers(test_accuracy, **arrays)
        payload |= {
            "training": training,
            "wall_seconds": wall_seconds,
            "start_seconds": greeted - payload["worker"]["import_seconds"],
        }
    except WorkerError as error:
        payload |= failure(error)
        arrays = None
    journal.write("accuracy", shard_id, payload, arrays)
    return payload


def train_examples(plan: Plan, dataset: Dataset) -> int:
    """How many examples an epoch trains on."""
    return min(plan.train_examples or dataset.train_examples, dataset.train_examples)


def protocol(plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """What must be equal between two cells before their results may stand side by side."""
    return {
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "train_examples": train_examples(plan, dataset),
        "test_examples": dataset.test_examples,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
    }


def _predictions(path: Path, dataset: Dataset) -> dict[str, NDArray[Any]]:
    """What a classifier answered, and the labels, which the worker has no say in."""
    try:
        probabilities = read_npz(path)["probabilities"]
    except (DataError, KeyError) as error:
        raise WorkerError("invalid", f"the worker stored no predictions: {error}") from error
    if probabilities.ndim != 2 or len(probabilities) != dataset.test_examples:
        raise WorkerError(
            "invalid",
            f"predictions of shape {probabilities.shape} for {dataset.test_examples} test examples",
        )
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


def _check_work(training: Mapping[str, Any], planned: Mapping[str, Any]) -> None:
    """A backend that trained less than was asked for must not look fast."""
    epochs = [epoch["epoch"] for epoch in training["epochs"]]
    if epochs != list(range(1, planned["epochs"] + 1)):
        raise WorkerError("invalid", f"epochs {epochs} were trained, not 1 ... {planned['epochs']}")
    steps = planned["epochs"] * -(-planned["train_examples"] // planned["batch_size"])
    if training["steps"] != steps:
        raise WorkerError("invalid", f"{training['steps']} steps were trained, not {steps}")
