"""A process that does not outlive the one that started it."""

import ctypes
import os
import signal
import sys


def die_with_parent(parent: int | None = None) -> None:
    """Have Linux kill this process with its parent, even while it hangs in native code.

    Args:
        parent: Its process id: one that went before this could be said is not waited for.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)
