"""What a good shard must fulfil beyond the types of its fields. All raise `ShardError`."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.backends import backend_of
from bench.contract.envelopes import ShardError
from bench.contract.schema import (
    Accuracy,
    Images,
    Plan,
    Record,
    WorkerInfo,
    Workload,
    missing_versions,
)
from bench.contract.speed_schema import LaneRecord, Round, Speed

MOST_PIXELS = 1000
"""Along a side of an image that is shown."""


def plan(path: Path, record: Plan) -> None:
    """A plan names each cell, each workload, each lane and each subject once."""
    _unique(path, "cell", record.cells)
    if record.speed is not None:
        _unique(path, "workload", record.speed.workloads)
        _unique(path, "lane", record.speed.lanes)
    if record.parity is not None:
        _unique(path, "subject", record.parity.subjects)
        if "forward" not in record.parity.probes:
            raise ShardError(f"{path}: a parity ladder that asks for no answers")


def accuracy(path: Path, record: Accuracy, planned: Plan) -> None:
    """An attempt at a planned cell; what is called ok is a whole training, by this backend."""
    worker(path, record.cell.lane, record.cell.device, record.worker)
    if record.status == "ok":
        _whole(path, record)
    if record.cell not in planned.cells:
        raise ShardError(f"{path}: a training that was not planned")
    if record.protocol != planned.protocol:
        raise ShardError(f"{path}: trained by another protocol than the plan's")


def _whole(path: Path, record: Accuracy) -> None:
    protocol, training = record.protocol, record.training
    if record.worker is None or training is None:
        raise ShardError(f"{path}: status ok, but no result")
    classifies = {epoch.test_accuracy is not None for epoch in training.epochs}
    if classifies != {record.arrays_sha256 is not None}:
        raise ShardError(
            f"{path}: accuracy of all epochs wants predictions, and the other way round"
        )
    if record.wall_seconds is None or record.start_seconds is None:
        raise ShardError(f"{path}: status ok, but no wall_seconds or start_seconds")
    numbers = [epoch.epoch for epoch in training.epochs]
    if len(numbers) != protocol.epochs or numbers != list(range(1, len(numbers) + 1)):
        raise ShardError(f"{path}: not all of its {protocol.epochs} epochs")
    steps = protocol.epochs * -(-protocol.train_examples // protocol.batch_size)
    if training.steps != steps:
        raise ShardError(f"{path}: {training.steps} steps, where {steps} were planned")


def images(path: Path, record: Images, arrays: Mapping[str, NDArray[Any]], planned: Plan) -> None:
    """The test set of the plan's dataset: pixels of all of its examples."""
    if record.dataset_sha256 != planned.protocol.dataset_sha256:
        raise ShardError(f"{path}: images of another dataset than the plan's")
    pixels = arrays.get("images")
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 4 or 0 in pixels.shape:
        raise ShardError(f"{path}: no images")
    if (
        len(pixels) != planned.protocol.test_examples
        or max(pixels.shape[1:3]) > MOST_PIXELS
        or pixels.shape[3] not in {1, 3}
    ):
        raise ShardError(f"{path}: images of shape {pixels.shape}")


def speed(path: Path, record: Speed, planned: Plan, known: set[int]) -> None:
    """A launch of this plan, whose indices and counts hold together.

    Args:
        path: For the message.
        record: The launch.
        planned: Plan of its run.
        known: Gathers the numbers of the run's launches.
    """
    if planned.speed is None:
        raise ShardError(f"{path}: a launch, in a run that planned none")
    for what, given, wanted in (
        ("workload", record.workloads, planned.speed.workloads),
        ("lane", [lane.lane for lane in record.lanes], planned.speed.lanes),
    ):
        _unique(path, what, given)
        # Fewer may be: what was selected, and lanes that were not given up.
        if not set(given) <= set(wanted):
            raise ShardError(f"{path}: a {what} that was not planned")
    if record.launch in known:
        raise ShardError(f"{path}: launch {record.launch} stands in another shard too")
    for lane in record.lanes:
        _lane(path, lane, record.workloads)
    _unique(path, "anchor of a round", [anchor.round for anchor in record.anchor])
    _unique(path, "round", [(item.workload, item.number) for item in record.rounds])
    for item in record.rounds:
        _round(path, item, record)
    known.add(record.launch)  # only now: what is rejected teaches nothing


def worker(path: Path, lane: str, device: str, told: WorkerInfo | None) -> None:
    """A worker is of its lane, and names versions of Keras, NumPy, Python and its framework."""
    if told is None:
        return
    if missing := missing_versions(told, backend_of(lane)):
        raise ShardError(f"{path}: no version of {', '.join(missing)}")
    if (told.lane, told.backend, told.device) != (lane, backend_of(lane), device):
        raise ShardError(
            f"{path}: {lane} on {device} was run by {told.lane}, {told.backend} on {told.device}"
        )


def _lane(path: Path, record: LaneRecord, workloads: Sequence[Workload]) -> None:
    lane = record.lane
    name = f"{path}: {lane.lane} on {lane.device}"
    worker(path, lane.lane, lane.device, record.worker)
    if record.worker is None and record.status == "ok":
        raise ShardError(f"{name}: status ok, but no worker")
    prepared = [(one.model, one.variant) for one in record.preparations]
    _unique(path, "preparation", prepared)
    _unique(path, "warm-up", [warm_up.workload for warm_up in record.warm_ups])
    if not set(prepared) <= {(workload.model, workload.variant) for workload in workloads}:
        raise ShardError(f"{name}: prepared a model that is in no workload")
    if any(warm_up.workload >= len(workloads) for warm_up in record.warm_ups):
        raise ShardError(f"{name}: a warm-up of no workload")


def _round(path: Path, item: Round, record: Speed) -> None:
    name = f"{path}: round {item.number} of workload {item.workload}"
    if item.workload >= len(record.workloads):
        raise ShardError(f"{name}: there is no such workload")
    _unique(path, "sample of a lane in one round", [sample.lane for sample in item.samples])
    latency = record.workloads[item.workload].is_latency
    for sample in item.samples:
        if sample.lane >= len(record.lanes):
            raise ShardError(f"{name}: a sample of lane {sample.lane}, which there is not")
        if fault := sample.fault(latency):
            raise ShardError(f"{name}: {fault}")


def _unique(path: Path, what: str, items: Iterable[Record | Hashable]) -> None:
    seen = list(items)
    if len(set(seen)) != len(seen):
        raise ShardError(f"{path}: duplicate {what}")
