"""A process that does not outlive the one that started it."""

import ctypes
import signal
import sys


def die_with_parent() -> None:
    """Have Linux kill this process with its parent, even while it hangs in native code."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
