"""Shard files, read as what they are: foreign input. Whatever is wrong is told, never raised."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from reports.schema import Accuracy, Cell, Envelope, Plan

SCHEMA = 1
MAX_JSON_BYTES = 16 << 20
MAX_ARRAYS_BYTES = 1 << 30

T = TypeVar("T")


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
    if not path.exists():
        raise ShardError(f"{folder}: not a run: it has no shards/plan.json")
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
    if payload.worker is not None:
        missing = {
            "keras",
            "numpy",
            "python",
            payload.cell.backend,
        } - payload.worker.versions.keys()
        if missing:
            raise ShardError(f"{path}: no version of {', '.join(sorted(missing))}")
    probabilities = labels = None
    if payload.status == "ok":
        _check_result(path, payload)
        probabilities, labels = _read_arrays(path.with_suffix(".npz"), payload)
    return AccuracyShard(run_id, envelope.shard_id, payload, probabilities, labels)


def _check_result(path: Path, payload: Accuracy) -> None:
    """What is called ok must be a whole training, of this cell, by this backend."""
    cell, protocol = payload.cell, payload.protocol
    training, worker = payload.training, payload.worker
    if worker is None or training is None or payload.arrays_sha256 is None:
        raise ShardError(f"{path}: status ok, but no result")
    if (worker.backend, worker.device) != (cell.backend, cell.device):
        raise ShardError(f"{path}: {cell.backend} on {cell.device} was run by {worker.backend}")
    if [epoch.epoch for epoch in training.epochs] != list(range(1, protocol.epochs + 1)):
        raise ShardError(f"{path}: not all of its {protocol.epochs} epochs")
    steps = protocol.epochs * -(-protocol.train_examples // protocol.batch_size)
    if training.steps != steps:
        raise ShardError(f"{path}: {training.steps} steps, where {steps} were planned")


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
    except ShardError:
        raise
    except Exception as error:
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
