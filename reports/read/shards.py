"""The shards of some runs, put together. Whatever is wrong with a file is told, never raised."""

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.contract.envelopes import (
    Room,
    ShardError,
    payload,
    predictions,
    read_arrays,
    read_envelope,
)
from bench.contract.limits import MAX_ARRAYS_BYTES, MAX_SHARDS, MAX_SHARDS_BYTES
from bench.contract.parity_schema import Parity, Reference
from bench.contract.schema import Accuracy, Envelope, Images, Plan
from bench.contract.speed_schema import Speed
from reports.read import checks, parity_checks
from reports.read.plain_text import plain


@dataclass(frozen=True)
class AccuracyShard:
    """An attempt with its arrays.

    Attributes:
        run_id: The run that it belongs to.
        shard_id: Its name in that run.
        payload: What was recorded.
        probabilities: Predicted class probabilities, float32, shape (test examples, classes);
            None if the attempt failed, or the model is not a classifier.
        labels: True classes, unsigned, shape (test examples,); None with them.
    """

    run_id: str
    shard_id: str
    payload: Accuracy
    probabilities: NDArray[np.float32] | None
    labels: NDArray[np.unsignedinteger] | None


@dataclass(frozen=True)
class SpeedShard:
    """One launch.

    Attributes:
        run_id: The run that it belongs to.
        shard_id: Its name in that run.
        payload: What was recorded.
    """

    run_id: str
    shard_id: str
    payload: Speed


@dataclass(frozen=True)
class ParityShard:
    """The last attempt at one subject's answers.

    Attributes:
        run_id: The run that it belongs to.
        shard_id: Its name in that run.
        payload: What was recorded.
        arrays: By `<probe>.<name>`.
    """

    run_id: str
    shard_id: str
    payload: Parity
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ReferenceShard:
    """A reference's answers for one model; attributes as of `ParityShard`."""

    run_id: str
    shard_id: str
    payload: Reference
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Shards:
    """All that could be read of some runs.

    Attributes:
        plans: Plan of each run, by run id.
        accuracy: The last attempt at each cell of each run.
        speed: The launches of each run, in their order.
        parity: The last attempt at each subject of each run.
        references: Each reference's last answers on each model of each run.
        images: Pixels of the test set, 0 to 255, shape (examples, rows, columns, channels), by the
            hash of the dataset.
        problems: One line for each file that was rejected, with the reason.
    """

    plans: dict[str, Plan] = field(default_factory=dict)
    accuracy: list[AccuracyShard] = field(default_factory=list)
    speed: list[SpeedShard] = field(default_factory=list)
    parity: list[ParityShard] = field(default_factory=list)
    references: list[ReferenceShard] = field(default_factory=list)
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


AnyAttempt = AccuracyShard | ParityShard | ReferenceShard
Attempt = TypeVar("Attempt", AccuracyShard, ParityShard, ReferenceShard)


def read(folders: Sequence[Path]) -> Shards:
    """Read the shards of some runs; a bad one is listed in `problems` and left out."""
    shards = Shards()
    for folder in folders:
        try:
            run_id, plan = _read_plan(folder)
        except ShardError as error:
            shards.problems.append(plain(str(error)))
            continue
        if run_id in shards.plans:
            shards.problems.append(plain(f"{folder}: run {run_id} is given twice"))
            continue
        shards.plans[run_id] = plan
        _read_shards(folder / "shards", run_id, plan, shards)
    return shards


def _read_plan(folder: Path) -> tuple[str, Plan]:
    if not folder.is_dir():
        raise ShardError(f"{folder}: no such run")
    path = folder / "shards" / "plan.json"
    if path.parent.is_symlink():
        raise ShardError(f"{path.parent}: a link, where a folder is wanted")
    if not path.exists():
        raise ShardError(f"{folder}: not a run: it has no shards/plan.json")
    envelope = read_envelope(path)
    if envelope.kind != "plan":
        raise ShardError(f"{path}: kind {envelope.kind}, where plan is wanted")
    plan = payload(path, envelope, Plan)
    checks.plan(path, plan)
    return envelope.run_id, plan


def _read_shards(folder: Path, run_id: str, plan: Plan, shards: Shards) -> None:
    attempts: list[AccuracyShard] = []
    launches: list[SpeedShard] = []
    known: set[int] = set()
    answers: list[ParityShard] = []
    references: list[ReferenceShard] = []
    try:
        paths = _listed(folder)
    except ShardError as error:
        shards.problems.append(plain(str(error)))
        return
    room = Room(MAX_ARRAYS_BYTES)
    for path in paths:
        if path.name == "plan.json" or path.name.startswith("."):
            continue
        try:
            envelope = read_envelope(path)
            if envelope.run_id != run_id:
                raise ShardError(f"{path}: belongs to run {envelope.run_id}, not to {run_id}")
            if envelope.kind == "accuracy":
                attempts.append(_read_attempt(path, envelope, plan, room))
            elif envelope.kind == "speed":
                speed = payload(path, envelope, Speed)
                checks.speed(path, speed, plan, known)
                launches.append(SpeedShard(run_id, envelope.shard_id, speed))
            elif envelope.kind == "parity":
                parity = payload(path, envelope, Parity)
                parity_checks.parity(path, parity, plan)
                arrays = read_arrays(path.with_suffix(".npz"), parity.arrays_sha256, room)
                answers.append(ParityShard(run_id, envelope.shard_id, parity, arrays))
            elif envelope.kind == "reference":
                reference = payload(path, envelope, Reference)
                arrays = read_arrays(path.with_suffix(".npz"), reference.arrays_sha256, room)
                parity_checks.reference(path, reference, arrays, plan)
                references.append(ReferenceShard(run_id, envelope.shard_id, reference, arrays))
            elif envelope.kind == "images":
                images = payload(path, envelope, Images)
                arrays = read_arrays(path.with_suffix(".npz"), images.arrays_sha256, room)
                checks.images(path, images, arrays, plan)
                shards.images[images.dataset_sha256] = arrays["images"]
            else:
                raise ShardError(f"{path}: kind {envelope.kind}, where a result is wanted")
        except ShardError as error:
            shards.problems.append(plain(str(error)))
    shards.accuracy.extend(_last(attempts, lambda shard: shard.payload.cell))
    shards.parity.extend(_last(answers, lambda shard: shard.payload.subject))
    shards.references.extend(
        _last(references, lambda shard: (shard.payload.model, shard.payload.backend))
    )
    shards.speed.extend(sorted(launches, key=lambda shard: shard.payload.launch))


def _listed(folder: Path) -> list[Path]:
    """The JSON files of a run, unless they are too many or too much."""
    paths = sorted(itertools.islice(folder.glob("*.json"), MAX_SHARDS + 1))
    if len(paths) > MAX_SHARDS:
        raise ShardError(f"{folder}: more than {MAX_SHARDS:,} files; none of them is read")
    try:
        size = sum(path.lstat().st_size for path in paths)
    except OSError as error:
        raise ShardError(f"{folder}: {error.strerror}") from error
    if size > MAX_SHARDS_BYTES:
        raise ShardError(
            f"{folder}: more than {MAX_SHARDS_BYTES >> 20} MiB of JSON; none of it is read"
        )
    return paths


def _read_attempt(path: Path, envelope: Envelope, plan: Plan, room: Room) -> AccuracyShard:
    accuracy = payload(path, envelope, Accuracy)
    checks.accuracy(path, accuracy, plan)
    probabilities = labels = None
    if accuracy.status == "ok" and accuracy.arrays_sha256 is not None:
        arrays = read_arrays(path.with_suffix(".npz"), accuracy.arrays_sha256, room)
        probabilities, labels = predictions(path.with_suffix(".npz"), arrays, accuracy)
    return AccuracyShard(envelope.run_id, envelope.shard_id, accuracy, probabilities, labels)


def _last(attempts: Iterable[Attempt], what: Callable[[Attempt], Hashable]) -> list[Attempt]:
    """One attempt for each thing that was tried: the last that went well, else the last."""
    best: dict[Hashable, Attempt] = {}
    for attempt in sorted(attempts, key=_attempt_number):
        known = best.get(what(attempt))
        if known is None or _went_well(attempt) or not _went_well(known):
            best[what(attempt)] = attempt
    return list(best.values())


def _went_well(attempt: AnyAttempt) -> bool:
    return attempt.payload.status == "ok"


def _attempt_number(attempt: AnyAttempt) -> int:
    digits = attempt.shard_id.rpartition(".try")[2]
    return int(digits) if digits.isdigit() else 0
