"""One run at a time on one machine: two that measure at once measure each other."""

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.storage import storage_errors

NAME = "keras-backend-bench.lock"


def wait_until_alone(say: Callable[[str], None]) -> None:
    """Hold this machine's lock until this process ends, however it ends.

    Args:
        say: Is told if another run has to end first.

    Raises:
        StorageError: The folder for temporary files cannot be written.
    """
    path = Path(tempfile.gettempdir()) / NAME
    with storage_errors(path):
        lock = _opened(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another run works on this machine; waiting until it ends (Ctrl-C leaves).")
            fcntl.flock(lock, fcntl.LOCK_EX)


def _opened(path: Path) -> int:
    """Descriptor of a file that is anybody's, as the folder is; children do not inherit it."""
    while True:
        try:
            # Without O_CREAT: Linux refuses that for a file of another user's in such a folder.
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444))
            except FileExistsError:
                continue
