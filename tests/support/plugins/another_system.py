"""A plugin for runs of tests: a system without `/proc`, `/sys`, masks of cores or Linux's clocks.

From its import on no more of Linux is seen than macOS shows.
"""

import os
import sys
import time
from pathlib import Path

import psutil  # before it looks which system this is

from bench.process import system

LINUX_ALONE = ((os, "sched_getaffinity"), (os, "sched_setaffinity"), (time, "CLOCK_BOOTTIME"))


def _nothing(path: str | Path) -> str | None:
    return None


assert psutil.pid_exists(os.getpid())
sys.platform = "darwin"
for module, name in LINUX_ALONE:
    delattr(module, name)
for each in list(sys.modules.values()):
    if each is not system and vars(each).get("kernel_file") is system.kernel_file:
        vars(each)["kernel_file"] = _nothing
system.kernel_file = _nothing
