"""Folders that live as long as a part of a run, and are swept up after a run that was killed."""

import os
import re
import shutil
import tempfile
from pathlib import Path

PREFIX = "keras-backend-bench-"
FOLDER = re.compile(re.escape(PREFIX) + r"(\d+)-[a-z0-9_]{8}")


def scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder among the temporary files, whose name says which process it is of."""
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")


def sweep() -> None:
    """Remove the folders of processes that are gone. Those of other users stay."""
    for path in Path(tempfile.gettempdir()).iterdir():
        match = FOLDER.fullmatch(path.name)
        if match and not _lives(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, and does no more
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
