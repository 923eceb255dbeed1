"""CPU time that a hypervisor has taken from us: the kernel's count, for worker and coordinator."""

import os
import re

from bench.process.system import kernel_file, usable_cores

_CORE = re.compile(r"cpu(\d+) (.*)")
_FIELD = 7  # user, nice, system, idle, iowait, irq, softirq, steal: see proc(5)


def taken_seconds() -> float:
    """Seconds taken from the cores that we may use, all of them together, since the system began.

    It counts in ticks, of 10 ms as a rule. Where the system does not say, it is 0.
    """
    told = kernel_file("/proc/stat")
    if told is None:
        return 0.0
    cores = usable_cores()
    lines = map(_CORE.match, told.splitlines())
    ticks = sum(int(line[2].split()[_FIELD]) for line in lines if line and int(line[1]) in cores)
    return ticks / os.sysconf("SC_CLK_TCK")
