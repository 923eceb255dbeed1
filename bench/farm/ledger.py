"""What has become of the pieces of a run, line by line, each on the disk before the next."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from bench.process.atomic_files import storage_errors

TRIES = 3
"""How often a piece is begun at most: a node may be lost, or have a fault of its own."""


class Ledger:
    """Lines `{"what": ..., "unit": ..., "node": ...}` of one run, in their order."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier part of the run has written; a line that was cut off is none."""
        self._path = path
        self._faults: dict[str, Counter[str]] = {}
        if path.exists():
            for text in path.read_bytes().split(b"\n"):
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                if isinstance(line, dict):
                    self._count(line)

    def add(self, what: str, unit: str, node: str, **more: Any) -> None:
        """Write a line, and have it on the disk.

        Raises:
            StorageError: The disk does not take it.
        """
        line = {"what": what, "unit": unit, "node": node, **more}
        begun = b"" if self._ends_whole() else b"\n"
        with storage_errors(self._path), self._path.open("ab") as file:
            file.write(begun + json.dumps(line, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._count(line)

    def faults(self, unit: str) -> Counter[str]:
        """On which nodes a piece was lost or failed for reasons of the node, and how often."""
        return self._faults.get(unit, Counter())

    def _count(self, line: dict[str, Any]) -> None:
        if line.get("what") == "failed":
            self._faults.setdefault(str(line.get("unit")), Counter())[str(line.get("node"))] += 1

    def _ends_whole(self) -> bool:
        with storage_errors(self._path):
            data = self._path.read_bytes()[-1:] if self._path.exists() else b""
        return data in (b"", b"\n")
