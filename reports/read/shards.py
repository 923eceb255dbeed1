"""The shards of some runs, put together. Whatever is wrong with a file is told, never raised."""

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.contract.envelopes import (
    KINDS,
    Room,
    ShardError,
    check_predictions,
    payload,
    read_arrays,
    read_envelope,
)
from bench.contract.limits import MAX_ARRAYS_BYTES, MAX_SHARDS, MAX_SHARDS_BYTES
from bench.contract.parity_schema import Parity, Reference
from bench.contract.schema import Accuracy, Images, Plan, Record
from bench.contract.speed_schema import ELSEWHERE, Speed
from reports.read import checks, parity_checks
from reports.read.plain_text import plain

P = TypeVar("P", bound=Record)


@dataclass(frozen=True)
class Shard(Generic[P]):
    """A shard that could be read.

    Attributes:
        run_id: The run that it belongs to.
        shard_id: Its name in that run.
        payload: What was recorded.
        arrays: What lies beside it, by name: answers by `<probe>.<name>`.
    """

    run_id: str
    shard_id: str
    payload: P
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class AccuracyShard(Shard[Accuracy]):
    """An attempt at a cell; without arrays if it failed, or the model is not a classifier."""

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """Predicted class probabilities, float32, shape (test examples, classes)."""
        return self.arrays.get("probabilities")

    @property
    def labels(self) -> NDArray[np.unsignedinteger] | None:
        """True classes, unsigned, shape (test examples,)."""
        return self.arrays.get("labels")


SpeedShard = Shard[Speed]
ParityShard = Shard[Parity]
ReferenceShard = Shard[Reference]


@dataclass(frozen=True)
class Shards:
    """All that could be read of some runs.

    Attributes:
        plans: Plan of each run, by run id.
        accuracy: The last attempt at each cell of each run.
        speed: The launches of each run, in their order.
        elsewhere: Those that a farm made on other machines than the run's own.
        parity: The last attempt at each subject of each run.
        references: Each reference's last answers on each model of each run.
        images: Pixels of the test set, 0 to 255, shape (examples, rows, columns, channels), by the
            hash of the dataset.
        problems: One line for each file that was rejected, with the reason.
    """

    plans: dict[str, Plan] = field(default_factory=dict)
    accuracy: list[AccuracyShard] = field(default_factory=list)
    speed: list[SpeedShard] = field(default_factory=list)
    elsewhere: list[SpeedShard] = field(default_factory=list)
    parity: list[ParityShard] = field(default_factory=list)
    references: list[ReferenceShard] = field(default_factory=list)
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def farmed(self) -> set[str]:
        """Runs whose trainings had others beside them, perhaps on several machines."""
        return {run for run, plan in self.plans.items() if plan.farmed}


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
    found: dict[type[Record], list[Any]] = {struct: [] for struct in KINDS.values()}
    try:
        paths = _listed(folder)
    except ShardError as error:
        shards.problems.append(plain(str(error)))
        return
    known: dict[str, set[int]] = {}
    room = Room(MAX_ARRAYS_BYTES)
    for path in paths:
        if path.name == "plan.json" or path.name.startswith("."):
            continue
        try:
            shard = _read_shard(path, run_id, plan, known, room)
            found[type(shard.payload)].append(shard)
        except ShardError as error:
            shards.problems.append(plain(str(error)))
    shards.images.update({s.payload.dataset_sha256: s.arrays["images"] for s in found[Images]})
    shards.accuracy.extend(_last(found[Accuracy], lambda shard: shard.payload.cell))
    shards.parity.extend(_last(found[Parity], lambda shard: shard.payload.subject))
    shards.references.extend(
        _last(found[Reference], lambda shard: (shard.payload.model, shard.payload.lane))
    )
    for shard in sorted(found[Speed], key=lambda shard: shard.payload.launch):
        own = not shard.shard_id.startswith(ELSEWHERE)
        (shards.speed if own else shards.elsewhere).append(shard)


def _read_shard(
    path: Path, run_id: str, plan: Plan, known: dict[str, set[int]], room: Room
) -> Shard[Any]:
    """A shard of this run, checked against its plan.

    `known` are numbers of launches so far, by what their shards are called.
    """
    envelope = read_envelope(path)
    if envelope.run_id != run_id:
        raise ShardError(f"{path}: belongs to run {envelope.run_id}, not to {run_id}")
    struct = KINDS.get(envelope.kind, Plan)
    if struct is Plan:
        raise ShardError(f"{path}: kind {envelope.kind}, where a result is wanted")
    record, file = payload(path, envelope, struct), path.with_suffix(".npz")
    arrays: dict[str, NDArray[Any]] = {}
    match record:
        case Accuracy():
            checks.accuracy(path, record, plan)
            if record.status == "ok" and record.arrays_sha256 is not None:
                arrays = read_arrays(file, record.arrays_sha256, room)
                check_predictions(file, arrays, record)
            return AccuracyShard(run_id, envelope.shard_id, record, arrays)
        case Speed():
            series = known.setdefault(envelope.shard_id.rstrip("0123456789"), set())
            checks.speed(path, record, plan, series)
        case Parity():
            parity_checks.parity(path, record, plan)
            arrays = read_arrays(file, record.arrays_sha256, room)
        case Reference():
            arrays = read_arrays(file, record.arrays_sha256, room)
            parity_checks.reference(path, record, arrays, plan)
        case Images():
            arrays = read_arrays(file, record.arrays_sha256, room)
            checks.images(path, record, arrays, plan)
    return Shard(run_id, envelope.shard_id, record, arrays)


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


def _last(attempts: Iterable[Attempt], what: Callable[[Attempt], Hashable]) -> list[Attempt]:
    """One attempt for each thing that was tried: the last that went well, else the last."""
    best: dict[Hashable, Attempt] = {}
    for attempt in sorted(attempts, key=lambda shard: _attempt_number(shard.shard_id)):
        known = best.get(what(attempt))
        if known is None or attempt.payload.status == "ok" or known.payload.status != "ok":
            best[what(attempt)] = attempt
    return list(best.values())


def _attempt_number(shard_id: str) -> int:
    digits = shard_id.rpartition(".try")[2]
    return int(digits) if digits.isdigit() else 0
