"""Shards: every finished piece of a run is one immutable file, written atomically at once.

`results/<run>/shards/<shard id>.json` is an envelope `{schema, kind, run_id, shard_id, sha256,
payload}`; arrays lie beside it in `<shard id>.npz`, whose own hash stands in the payload.
Nothing in a shard is judged: `reports` does that, and reads these files alone.
"""

import fcntl
import hashlib
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bench.contract.envelopes import sealed
from bench.contract.errors import DataError, StorageError, UsageError
from bench.contract.migrations import SCHEMA
from bench.process.atomic_files import storage_errors, write_atomically

# Room for the longest names of a model and of its variant, for backend, device, seed and attempt.
ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
FREE_BYTES_WANTED = 200 << 20
NAMES_TRIED = 100


class Journal:
    """The shards of one run.

    Attributes:
        run_id: Name of the run and of its folder.
        folder: `results/<run_id>`.
    """

    def __init__(self, folder: Path) -> None:
        """Open the run in `folder`, which exists."""
        self.run_id = folder.name
        self.folder = folder
        self._shards = folder / "shards"

    @classmethod
    def create(cls, results: Path) -> Self:
        """Start a new run in the folder `results`.

        Raises:
            StorageError: The folder cannot be written, or its disk is nearly full.
        """
        journal = cls(_new_folder(results))
        with storage_errors(journal.folder):
            journal._shards.mkdir()
            free = shutil.disk_usage(results).free
        if free < FREE_BYTES_WANTED:
            shutil.rmtree(journal.folder, ignore_errors=True)
            raise StorageError(f"{results}: {free >> 20} MiB free; 200 MiB are wanted")
        return journal

    @classmethod
    def resume(cls, results: Path, run_id: str) -> Self:
        """Go on with the run `run_id` of the folder `results`.

        Raises:
            UsageError: There is no such run.
        """
        journal = cls(results / run_id)
        with storage_errors(journal.folder):
            if not ID.fullmatch(run_id) or not journal._shards.is_dir():
                raise UsageError(f"--resume: no run {run_id!r} in {results}")
            if journal.folder.is_symlink():
                return cls(journal.folder.resolve())
        return journal

    def write(
        self,
        kind: str,
        shard_id: str,
        payload: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Store one finished piece; the JSON file comes last and makes it count.

        Args:
            kind: What it is: `plan`, `images`, `accuracy`, `speed`, `parity` or `reference`.
            shard_id: Its name, of letters, digits and `._-`.
            payload: JSON values; with arrays it gets `arrays_sha256`.
            arrays: Arrays to store beside it.

        Raises:
            StorageError: The disk does not take it. Nothing half-written stays.
            ValueError: The id is bad or taken, or the payload holds NaN.
        """
        path = self._path(shard_id)
        if self.has(shard_id):
            raise ValueError(f"shard {shard_id} exists, and shards never change")
        if arrays is not None:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
            data = buffer.getvalue()
            payload = {**payload, "arrays_sha256": hashlib.sha256(data).hexdigest()}
            write_atomically(path.with_suffix(".npz"), data)
        write_atomically(path, sealed(kind, self.run_id, shard_id, payload))

    def read(self, kind: str, shard_id: str) -> dict[str, Any] | None:
        """Payload of an intact shard of this run, or None: then it has to be made again."""
        path = self._path(shard_id)
        try:
            shard = json.loads(path.read_bytes())
            payload = shard["payload"]
            whole = sealed(kind, self.run_id, shard_id, payload) == path.read_bytes()
            arrays = payload.get("arrays_sha256")
            if arrays is not None:
                data = path.with_suffix(".npz").read_bytes()
                whole = whole and hashlib.sha256(data).hexdigest() == arrays
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        return dict(payload) if whole else None

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

    def lock(self) -> None:
        """Keep this run to this process, until it ends.

        Raises:
            UsageError: Another process works on it.
        """
        with storage_errors(self.folder):
            self._lock = os.open(self.folder / ".lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"run {self.run_id} is in use by another process") from None
        with storage_errors(self.folder):
            for partial in self._shards.glob(".*"):  # of a process that was killed
                partial.unlink()

    def point_latest(self) -> None:
        """Make `results/latest` a link to this run."""
        link = self.folder.parent / f".latest-{os.getpid()}"
        with storage_errors(link):
            link.unlink(missing_ok=True)
            link.symlink_to(self.run_id)
            link.replace(self.folder.parent / "latest")

    def plan(self) -> dict[str, Any]:
        """Payload of the run's plan.

        Raises:
            DataError: The plan is missing or damaged.
        """
        payload = self.read("plan", "plan")
        if payload is None:
            raise DataError(f"{self._path('plan')}: {self._why_unread()}; start a new run")
        return payload

    def _why_unread(self) -> str:
        """What is wrong with the plan."""
        try:
            schema = json.loads(self._path("plan").read_bytes())["schema"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            schema = SCHEMA
        if schema == SCHEMA:
            return "missing or damaged"
        return f"of schema {schema!s:.20}, which can be reported but not gone on with"

    def _path(self, shard_id: str) -> Path:
        if not ID.fullmatch(shard_id):
            raise ValueError(f"bad shard id {shard_id!r}")
        return self._shards / f"{shard_id}.json"


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
