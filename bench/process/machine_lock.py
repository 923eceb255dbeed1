"""One run at a time on one machine: two that measure at once measure each other."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.contract.errors import StorageError

NAME = "keras-backend-bench.lock"


def acquire_machine_lock(say: Callable[[str], None], *, shared: bool = False) -> int:
    """Hold this machine's lock until this process ends, however it ends.

    Args:
        say: Is told if another run has to end first.
        shared: Whether others that time nothing may hold it as well.

    Returns:
        Its descriptor; whoever closes it gives the lock back before.

    Raises:
        StorageError: There can be no such file.
    """
    path = Path(tempfile.gettempdir()) / NAME
    try:
        lock = _opened(path)
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            raise StorageError(f"{path}: not a plain file; remove it, or set TMPDIR")
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another run is in progress on this machine; waiting for it (Ctrl-C to quit).")
            fcntl.flock(lock, kind)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; remove it, or set TMPDIR") from error
    return lock


def _opened(path: Path) -> int:
    """Descriptor of a file that is anybody's, as the folder is; children do not inherit it."""
    while True:
        try:
            # Without O_CREAT: Linux refuses that for a file of another user's in such a folder.
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            try:
                made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444)
            except FileExistsError:
                continue
            os.fchmod(made, 0o444)  # whatever the umask
            os.close(made)
