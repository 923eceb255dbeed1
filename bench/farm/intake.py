"""What nodes send back, taken into the run as foreign, and whole or not at all."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.contract.envelopes import (
    KINDS,
    Room,
    ShardError,
    check_predictions,
    payload,
    read_arrays,
    read_envelope,
)
from bench.contract.errors import DataError
from bench.contract.limits import MAX_PREDICTIONS_BYTES
from bench.contract.migrations import SCHEMA
from bench.contract.parity_schema import Parity, Reference
from bench.contract.schema import Accuracy, Record, WorkerInfo
from bench.contract.speed_schema import Speed
from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed.launches import prefix, stored
from bench.farm import archives, greeting
from bench.farm.units import Kind, Unit

GIVES: Mapping[Kind, tuple[str, ...]] = {
    "parity": ("parity", "reference"),
    "speed": ("speed",),
    "accuracy": ("accuracy",),
}
"""Kinds of shards that come of a kind of piece."""

ATTEMPT = re.compile(r"(.+)\.try\d+")

Taken = Literal["stored", "equal", "other"]
"""Whether it is in the folder now, was there already, or the piece has another result."""


@dataclass(frozen=True)
class Shard:
    """One that came, of the right form."""

    id: str
    kind: str
    content: dict[str, Any]
    arrays: bytes | None


def take(unit: Unit, archive: bytes, folder: RunFolder) -> Taken:
    """Move what came of a piece into its run, unless it is there; `other` if some of it differs.

    Raises:
        DataError: It is cut short, of another piece, made with other packages, or no shards.
        StorageError: The folder does not take it.
    """
    shards = list(_opened(unit, archives.unpacked(archive), _machine(unit, folder)))
    if not shards and unit.kind != "speed":
        raise DataError("an archive without a result")
    new, other = [], False
    for shard in shards:
        match = ATTEMPT.fullmatch(shard.id)
        known = folder.attempts(match[1]) if match else [shard.id] * folder.has(shard.id)
        there = [each for name in known if (each := folder.read(name, KINDS[shard.kind]))]
        if any(msgspec.to_builtins(each) == shard.content for each in there):
            continue
        if any(getattr(each, "status", "ok") == "ok" for each in there):
            other = True
        else:
            new.append((shard, match))
    for shard, match in new:
        name = folder.next_attempt(match[1]) if match else shard.id
        folder.store(shard.kind, name, shard.content, shard.arrays)
    if other:
        return "other"
    return "stored" if new or not shards else "equal"


def _machine(unit: Unit, folder: RunFolder) -> str:
    """Id of the machine that a piece of launches must be of; empty where any will do."""
    if unit.elsewhere or not unit.is_timing:
        return unit.elsewhere
    return next((launch.machine.id for launch in stored(folder)), "")


def _opened(unit: Unit, files: Mapping[str, bytes], machine: str) -> Iterator[Shard]:
    names = {name for name in files if name.endswith(".json")}
    for name in files.keys() - names:
        if not name.endswith(".npz") or f"{name.removesuffix('.npz')}.json" not in names:
            raise DataError(f"an archive with {name!r} in it")
    with tempfile.TemporaryDirectory() as scratch:
        room = Room(MAX_PREDICTIONS_BYTES)
        for name, content in files.items():
            Path(scratch, name).write_bytes(content)
        for name in sorted(names):
            try:
                shard = _shard(unit, Path(scratch, name), files, room)
            except ShardError as error:
                raise DataError(str(error).replace(f"{scratch}/", "")) from error
            if machine and shard.content["machine"]["id"] != machine:
                raise DataError(f"{name}: launches of another machine than those before it")
            own = shard.id.removeprefix(prefix())
            yield shard if own == shard.id else replace(shard, id=prefix(unit.elsewhere) + own)


def _shard(unit: Unit, path: Path, files: Mapping[str, bytes], room: Room) -> Shard:
    envelope = read_envelope(path)
    if (envelope.schema, envelope.run_id) != (SCHEMA, unit.run):
        raise ShardError(f"{path}: of another run, or of another program")
    if envelope.kind not in GIVES[unit.kind]:
        raise ShardError(f"{path}: a {envelope.kind} shard, of a {unit.kind} piece")
    record = payload(path, envelope, KINDS[envelope.kind])
    if not _is_of(unit, envelope.shard_id, record):
        raise ShardError(f"{path}: not of {unit.title}")
    for worker in _workers(record):
        if unit.environments.get(worker.lane) != greeting.environment(worker):
            raise ShardError(f"{path}: {worker.lane} has other packages where it was made")
    data = files.get(f"{path.stem}.npz")
    sha256 = getattr(record, "arrays_sha256", None) or None
    if (data is None) != (sha256 is None):
        raise ShardError(f"{path}: its arrays are missing, or it has none")
    if data is not None and sha256 != hashlib.sha256(data).hexdigest():
        raise ShardError(f"{path}: not its arrays")
    if data is not None:
        arrays = read_arrays(path.with_suffix(".npz"), sha256, room)
        if isinstance(record, Accuracy):
            check_predictions(path, arrays, record)
    return Shard(envelope.shard_id, envelope.kind, msgspec.to_builtins(record), data)


def _workers(record: Record) -> list[WorkerInfo]:
    """Who made a shard: `--farm plan` has greeted nobody."""
    match record:
        case Accuracy() | Parity():
            found = [record.worker]
        case Speed():
            found = [lane.worker for lane in record.lanes]
        case _:
            found = []
    return [worker for worker in found if worker is not None]


def _is_of(unit: Unit, shard_id: str, record: Record) -> bool:
    """Whether a shard is what the piece was to make, under the name of that."""
    match record:
        case Accuracy():
            cell = record.cell
            own = f"{cell.model}-{cell.variant}-{cell.lane}-{cell.device}-seed{cell.seed}"
            return unit.part == own and shard_id == f"{own}.try1"
        case Parity():
            one = record.subject
            own = f"parity-{one.model}-{one.variant}-{one.lane}-{one.device}.try1"
            return unit.part == one.model and shard_id == own
        case Reference():
            own = f"reference-{record.model}-{record.lane}.try1"
            return unit.part == record.model and shard_id == own
        case Speed():
            return shard_id == f"{prefix()}{record.launch:02d}" and record.launch > int(unit.part)
    return False
