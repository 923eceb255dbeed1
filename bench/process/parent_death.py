"""A process that does not outlive the one that started it.

`python -m bench.process.parent_death PID MODULE ARGUMENT...` runs a module that ends with its
parent, also while it is still importing what it needs.
"""

import ctypes
import os
import runpy
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


if __name__ == "__main__":
    parent, module, *arguments = sys.argv[1:]
    die_with_parent(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
