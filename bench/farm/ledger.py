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
    """Lines `{"what": ..., "unit": ..., "node": ...}` of one run, in their order.

    They are for people. What is left to do is what the run lacks, and whoever goes on with it has
    mended what failed: faults are counted anew.
    """

    def __init__(self, path: Path) -> None:
        """Go on behind what is there, whose last line may have been cut off."""
        self._path = path
        self._faults: dict[str, Counter[str]] = {}
        with storage_errors(path), path.open("ab") as file:
            if file.tell() and not path.read_bytes().endswith(b"\n"):
                file.write(b"\n")

    def add(self, what: str, unit: str, node: str, **more: Any) -> None:
        """Write a line, and have it on the disk.

        Raises:
            StorageError: The disk does not take it.
        """
        line = {"what": what, "unit": unit, "node": node, **more}
        with storage_errors(self._path), self._path.open("ab") as file:
            file.write(json.dumps(line, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if what == "failed":
            self._faults.setdefault(unit, Counter())[node] += 1

    def faults(self, unit: str) -> Counter[str]:
        """On which nodes a piece was lost or failed for reasons of the node, and how often."""
        return self._faults.get(unit, Counter())
