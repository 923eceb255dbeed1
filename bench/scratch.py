"""Folders that live as long as a part of a run, and are swept up after a run that was killed."""

import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "keras-backend-bench-"


def scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder among the temporary files, whose name says which process it is of."""
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")


def sweep() -> None:
    """Remove the folders of processes that are gone. Those of other users stay."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(path, ignore_errors=True)
