"""Shards: every finished piece of a run is one immutable file, written atomically at once.

`results/<run>/shards/<shard id>.json` is an envelope `{schema, kind, run_id, shard_id, sha256,
payload}`; arrays lie beside it in `<shard id>.npz`, whose own hash stands in the payload.
Nothing in a shard is judged: `reports` does that, and reads these files alone.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from bench.contract.envelopes import ShardError, kind_of, payload, read_envelope, sealed
from bench.contract.errors import DataError, StorageError, UsageError
from bench.contract.migrations import SCHEMA
from bench.contract.schema import Plan, Record
from bench.process.atomic_files import storage_errors, write_atomically

# Room for the longest names of a model and of its variant, for backend, device, seed and attempt.
ID = re.compile(r"[A-Za-z0-9.@+_-]{1,192}")
FREE_BYTES_WANTED = 200 << 20
NAMES_TRIED = 100

R = TypeVar("R", bound=Record)


class RunFolder:
    """The shards of one run.

    Attributes:
        run_id: Name of the run and of its folder.
        path: `results/<run_id>`.
    """

    def __init__(self, folder: Path) -> None:
        """Open the run in `folder`, which exists."""
        self.run_id = folder.name
        self.path = folder
        self._shards = folder / "shards"

    @classmethod
    def create(cls, results: Path) -> Self:
        """Start a new run in the folder `results`.

        Raises:
            StorageError: The folder cannot be written, or its disk is nearly full.
        """
        found = cls(_new_folder(results))
        with storage_errors(found.path):
            found._shards.mkdir()
            free = shutil.disk_usage(results).free
        if free < FREE_BYTES_WANTED:
            shutil.rmtree(found.path, ignore_errors=True)
            raise StorageError(f"{results}: {free >> 20} MiB free; 200 MiB are wanted")
        return found

    @classmethod
    def resume(cls, results: Path, run_id: str) -> Self:
        """Go on with the run `run_id` of the folder `results`.

        Raises:
            UsageError: There is no such run.
        """
        found = cls(results / run_id)
        with storage_errors(found.path):
            if not ID.fullmatch(run_id) or not found._shards.is_dir():
                raise UsageError(f"--resume: no run {run_id!r} in {results}")
            if found.path.is_symlink():
                return cls(found.path.resolve())
        return found

    def write(
        self, shard_id: str, record: Record, arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        """Store one finished piece, which is such as a report reads.

        Args:
            shard_id: Its name, of letters, digits and `._-`.
            record: Of one of `bench.contract.envelopes.KINDS`; with arrays it gets their hash.
            arrays: Arrays to store beside it.

        Raises:
            StorageError: The disk does not take it. Nothing half-written stays.
            ValueError: The id is bad or taken, or the record is beyond what its schema allows.
        """
        data = None
        if arrays is not None:
            data, sha256 = packed(arrays)
            record = replace(record, arrays_sha256=sha256)
        content = msgspec.to_builtins(record)
        msgspec.convert(content, type(record))
        self.store(kind_of(record), shard_id, content, data)

    def store(
        self, kind: str, shard_id: str, payload: Mapping[str, Any], arrays: bytes | None
    ) -> None:
        """Write a shard and the bytes of its arrays; the JSON file comes last and makes it count.

        Raises:
            StorageError, ValueError: As `write`.
        """
        path = self._path(shard_id)
        if self.has(shard_id):
            raise ValueError(f"shard {shard_id} exists, and shards never change")
        if arrays is not None:
            write_atomically(path.with_suffix(".npz"), arrays)
        write_atomically(path, sealed(kind, self.run_id, shard_id, payload))

    def read(self, shard_id: str, struct: type[R]) -> R | None:
        """An intact shard of this run, or None: then it has to be made again."""
        path = self._path(shard_id)
        try:
            envelope = read_envelope(path)
            record = payload(path, envelope, struct)
            arrays = getattr(record, "arrays_sha256", None)
            if arrays is not None:
                data = path.with_suffix(".npz").read_bytes()
                if hashlib.sha256(data).hexdigest() != arrays:
                    return None
        except (OSError, ShardError):
            return None
        ours = (SCHEMA, kind_of(record), self.run_id)
        return record if (envelope.schema, envelope.kind, envelope.run_id) == ours else None

    def has(self, shard_id: str) -> bool:
        """Whether this shard was written, whatever has become of it."""
        path = self._path(shard_id)
        with storage_errors(path):
            return path.exists()

    def attempts(self, prefix: str) -> list[str]:
        """Ids of the shards `<prefix>.try<n>`, in order of n."""
        return [f"{prefix}.try{number}" for number in self.numbers(f"{prefix}.try")]

    def next_attempt(self, prefix: str) -> str:
        """Id of the shard of the next attempt."""
        return f"{prefix}.try{max(self.numbers(f'{prefix}.try'), default=0) + 1}"

    def numbers(self, prefix: str) -> list[int]:
        """All n for which something of the shard `<prefix><n>` is there, in order."""
        pattern = re.compile(re.escape(prefix) + r"(\d+)\.(json|npz)")
        with storage_errors(self._shards):
            matches = [pattern.fullmatch(path.name) for path in self._shards.iterdir()]
        return sorted({int(match[1]) for match in matches if match})

    def ids(self, pattern: str) -> list[str]:
        """Ids of the shards that are named like a pattern of `glob`."""
        with storage_errors(self._shards):
            return sorted(path.stem for path in self._shards.glob(f"{pattern}.json"))

    def lock(self) -> None:
        """Keep this run to this process, until it ends.

        Raises:
            UsageError: Another process works on it.
        """
        with storage_errors(self.path):
            self._lock = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"run {self.run_id} is in use by another process") from None
        with storage_errors(self.path):
            for partial in self._shards.glob(".*"):  # of a process that was killed
                partial.unlink()

    def point_latest(self) -> None:
        """Make `results/latest` a link to this run."""
        link = self.path.parent / f".latest-{os.getpid()}"
        with storage_errors(link):
            link.unlink(missing_ok=True)
            link.symlink_to(self.run_id)
            link.replace(self.path.parent / "latest")

    def plan(self) -> Plan:
        """The run's plan.

        Raises:
            DataError: The plan is missing or damaged.
        """
        plan = self.read("plan", Plan)
        if plan is None:
            raise DataError(f"{self._path('plan')}: {self._why_unread()}; start a new run")
        return plan

    def _why_unread(self) -> str:
        """What is wrong with the plan."""
        with contextlib.suppress(ShardError):
            schema = read_envelope(self._path("plan")).schema
            if schema != SCHEMA:
                return f"of schema {schema}, which can be reported but not gone on with"
        return "missing or damaged"

    def _path(self, shard_id: str) -> Path:
        if not ID.fullmatch(shard_id):
            raise ValueError(f"bad shard id {shard_id!r}")
        return self._shards / f"{shard_id}.json"


def packed(arrays: Mapping[str, NDArray[Any]]) -> tuple[bytes, str]:
    """Arrays as the bytes of an npz, and their hash."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
    data = buffer.getvalue()
    return data, hashlib.sha256(data).hexdigest()


def _new_folder(results: Path) -> Path:
    """Make a folder of a name that no run has: runs that begin in one second may draw alike."""
    for _ in range(NAMES_TRIED):
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        folder = results / f"{stamp}-{secrets.token_hex(2)}"
        with storage_errors(folder):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if not folder.exists():  # what exists is its parent, and no folder
                    raise
            else:
                return folder
    raise StorageError(
        f"{results}: {NAMES_TRIED} names of runs are taken; choose another --results"
    )
