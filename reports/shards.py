"""Shard files, read as what they are: foreign input. Whatever is wrong is told, never raised."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

SCHEMA = 1
MAX_JSON_BYTES = 16 << 20
MAX_ARRAYS_BYTES = 1 << 30

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Version = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Text = Annotated[str, Meta(max_length=20_000)]


T = TypeVar("T")


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


@dataclass(frozen=True)
class AccuracyShard:
    """An attempt with its arrays.

    Attributes:
        run_id: The run that it belongs to.
        shard_id: Its name in that run.
        payload: What was recorded.
        probabilities: Predicted class probabilities, float32, shape (test examples, classes);
            None if the attempt failed.
        labels: True classes, uint8, shape (test examples,); None if the attempt failed.
    """

    run_id: str
    shard_id: str
    payload: Accuracy
    probabilities: NDArray[np.float32] | None
    labels: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Shards:
    """All that could be read of some runs.

    Attributes:
        plans: Plan of each run, by run id.
        accuracy: The last attempt at each cell of each run.
        problems: One line for each file that was rejected, with the reason.
    """

    plans: dict[str, Plan] = field(default_factory=dict)
    accuracy: list[AccuracyShard] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class ShardError(ValueError):
    """A file that is no good shard; the message says which and why."""


def read(folders: Sequence[Path]) -> Shards:
    """Read the shards of some runs; a bad one is listed in `problems` and left out."""
    shards = Shards()
    for folder in folders:
        try:
            run_id, plan = _read_plan(folder)
        except ShardError as error:
            shards.problems.append(str(error))
            continue
        if run_id in shards.plans:
            shards.problems.append(f"{folder}: run {run_id} is given twice")
            continue
        shards.plans[run_id] = plan
        attempts = _read_attempts(folder / "shards", run_id, shards.problems)
        shards.accuracy.extend(_last_attempts(attempts))
    return shards


def read_envelope(path: Path) -> Envelope:
    """One shard file, checked down to its hash; the payload is not looked into.

    Raises:
        ShardError: The file is damaged, of a newer schema, or nothing like a shard.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ShardError(f"{path}: larger than {MAX_JSON_BYTES >> 20} MiB")
        content = json.loads(
            path.read_bytes().decode("utf-8"),
            parse_constant=_reject_constant,
            object_pairs_hook=_unique_keys,
        )
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{path}: not JSON: {error}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ShardError(
            f"{path}: schema {schema} is newer than this program's {SCHEMA}; "
            "use a newer Keras Backend Bench"
        )
    try:
        envelope = msgspec.convert(content, Envelope)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise ShardError(f"{path}: {error}") from error
    stored = content.pop("sha256")
    try:
        canonical = json.dumps(content, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{path}: {error}") from error
    if hashlib.sha256(canonical.encode()).hexdigest() != stored:
        raise ShardError(f"{path}: its content does not have the hash that it states")
    if envelope.shard_id != path.stem:
        raise ShardError(f"{path}: this is shard {envelope.shard_id}, under another name")
    return envelope


def _read_plan(folder: Path) -> tuple[str, Plan]:
    if not folder.is_dir():
        raise ShardError(f"{folder}: no such run")
    path = folder / "shards" / "plan.json"
    envelope = read_envelope(path)
    return envelope.run_id, _payload(path, envelope, "plan", Plan)


def _read_attempts(folder: Path, run_id: str, problems: list[str]) -> list[AccuracyShard]:
    attempts = []
    for path in sorted(folder.glob("*.json")):
        if path.name == "plan.json" or path.name.startswith("."):
            continue
        try:
            attempts.append(_read_attempt(path, run_id))
        except ShardError as error:
            problems.append(str(error))
    return attempts


def _read_attempt(path: Path, run_id: str) -> AccuracyShard:
    envelope = read_envelope(path)
    if envelope.run_id != run_id:
        raise ShardError(f"{path}: belongs to run {envelope.run_id}, not to {run_id}")
    payload = _payload(path, envelope, "accuracy", Accuracy)
    probabilities = labels = None
    if payload.status == "ok":
        if payload.worker is None or payload.training is None or payload.arrays_sha256 is None:
            raise ShardError(f"{path}: status ok, but no result")
        probabilities, labels = _read_arrays(path.with_suffix(".npz"), payload)
    return AccuracyShard(run_id, envelope.shard_id, payload, probabilities, labels)


def _payload(path: Path, envelope: Envelope, kind: str, struct: type[T]) -> T:
    if envelope.kind != kind:
        raise ShardError(f"{path}: kind {envelope.kind}, where {kind} is wanted")
    try:
        return msgspec.convert(envelope.payload, struct)
    except (msgspec.ValidationError, ValueError) as error:
        raise ShardError(f"{path}: {error}") from error


def _read_arrays(path: Path, payload: Accuracy) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != payload.arrays_sha256:
            raise ShardError(f"{path}: its content does not have the hash that its shard states")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_ARRAYS_BYTES:
                raise ShardError(f"{path}: larger than {MAX_ARRAYS_BYTES >> 20} MiB unpacked")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            probabilities, labels = archive["probabilities"], archive["labels"]
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ShardError(f"{path}: not the arrays of a shard: {error}") from error
    examples = payload.protocol.test_examples
    if probabilities.ndim != 2 or probabilities.dtype != np.float32:
        raise ShardError(f"{path}: probabilities are {probabilities.dtype} {probabilities.shape}")
    if labels.dtype != np.uint8 or labels.shape != (examples,) or len(probabilities) != examples:
        raise ShardError(f"{path}: {labels.shape} labels for {examples} test examples")
    if labels.max() >= probabilities.shape[1]:
        raise ShardError(f"{path}: a label beyond the {probabilities.shape[1]} classes")
    return probabilities, labels


def _last_attempts(attempts: Iterable[AccuracyShard]) -> list[AccuracyShard]:
    """One attempt for each cell: the last that went well, else the last."""
    best: dict[Cell, AccuracyShard] = {}
    for attempt in sorted(attempts, key=_attempt_number):
        known = best.get(attempt.payload.cell)
        if known is None or attempt.payload.status == "ok" or known.payload.status != "ok":
            best[attempt.payload.cell] = attempt
    return list(best.values())


def _attempt_number(attempt: AccuracyShard) -> int:
    digits = attempt.shard_id.rpartition(".try")[2]
    return int(digits) if digits.isdigit() else 0


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key stands twice")
    return content
