"""What every system has in its own way, or lacks: cores, and files of the kernel's."""

import os
from pathlib import Path


def usable_cores() -> list[int]:
    """Numbers of the cores that we may use; where the system knows no masks, all of them."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def kernel_file(path: str | Path) -> str | None:
    """What a file of `/proc` or `/sys` says; None where it is not there, or not for us."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
