"""What stands in a shard, field by field; see docs/architecture.md."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Version = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Text = Annotated[str, Meta(max_length=20_000)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all that stands in a shard: nothing unknown, nothing missing."""


class Cell(Record, frozen=True):
    """Which model, variant, backend, device and seed."""

    model: Id
    variant: Id
    backend: Id
    device: Id
    seed: Count


class Protocol(Record, frozen=True):
    """What must be equal before two results may stand side by side."""

    dataset: Id
    dataset_sha256: Sha256
    train_examples: Positive
    test_examples: Positive
    epochs: Positive
    batch_size: Positive


class Plan(Record, frozen=True):
    """What a run set out to do; each of its cells must be there in the end."""

    suite: Id
    models: list[Id]
    backends: list[Id]
    device: Id
    seeds: Positive
    protocol: Protocol
    dataset_note: Text
    cells: list[Cell]


class Machine(Record, frozen=True):
    """Where a cell ran; `id` is equal on one machine only."""

    id: Id
    cpu_model: Text
    cores: Positive
    memory_mib: Positive
    system: Text


class WorkerInfo(Record, frozen=True):
    """What a worker said of itself."""

    backend: Id
    device: Id
    versions: dict[Id, Version]
    settings: dict[Id, Any]
    prefix: Text
    floatx: Id
    epsilon: float
    image_data_format: Id
    import_seconds: Seconds


class Epoch(Record, frozen=True):
    """One epoch. A loss that was no finite number is None."""

    epoch: Positive
    train_seconds: Seconds
    test_seconds: Seconds
    train_loss: float | None
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float


class Training(Record, frozen=True):
    """What a worker said of one training; see `bench.training.train`."""

    parameters: Positive
    weights_sha256: Sha256
    batches_sha256: Sha256
    steps: Positive
    build_seconds: Seconds
    first_step_seconds: Seconds
    peak_rss_mib: Seconds
    jit_compile: bool
    epochs: Annotated[list[Epoch], Meta(min_length=1)]


class Accuracy(Record, frozen=True):
    """One attempt at one cell."""

    cell: Cell
    protocol: Protocol
    machine: Machine
    status: Id
    error: Text | None
    log: Text | None
    worker: WorkerInfo | None
    training: Training | None
    arrays_sha256: Sha256 | None = None


class Envelope(Record, frozen=True):
    """What every shard is wrapped in."""

    schema: Positive
    kind: Id
    run_id: Id
    shard_id: Id
    sha256: Sha256
    payload: dict[str, Any]
