"""What the kernel counted while a round ran: evidence that may void it, whatever its times were."""

import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from bench.contract.speed_schema import Evidence, MachineState
from bench.process import steal

# Of control groups of version 2 and of version 1: seconds per unit of their counter.
_THROTTLED = {"throttled_usec": 1e-6, "throttled_time": 1e-9}


@dataclass(frozen=True)
class Counters:
    """Readings at one moment, all in seconds since some beginning of their own."""

    monotonic: float
    suspended: float
    throttled: float
    steal: float
    busy: float
    own: float
    cpu: tuple[float, ...]


def read(processes: Sequence[int]) -> Counters:
    """Read all counters, of the cores that we may use.

    `cpu` has one entry for each process id, NaN for one that is gone; `own` is what this process
    has used, and `busy` what all processes of the system have used of our cores.
    """
    return Counters(
        monotonic=time.monotonic(),
        suspended=_suspended(),
        throttled=_throttled(),
        steal=steal.taken_seconds(),
        busy=_busy(),
        own=time.process_time(),
        cpu=tuple(_cpu(process) for process in processes),
    )


def between(before: Counters, after: Counters, own_cpu: Sequence[float]) -> Evidence:
    """What is to be said of the time between two readings.

    Args:
        before: The first reading.
        after: The second, of the same processes.
        own_cpu: CPU seconds that each process used in its own turns.
    """
    seconds = after.monotonic - before.monotonic
    used = [end - start for start, end in zip(before.cpu, after.cpu, strict=True)]
    idle = [all_of_it - own for all_of_it, own in zip(used, own_cpu, strict=True)]
    ours = after.own - before.own + sum(each for each in used if not math.isnan(each))
    others = after.busy - before.busy - ours
    cores = len(os.sched_getaffinity(0))
    percent = 100 / (seconds * cores)
    return Evidence(
        seconds=seconds,
        steal_percent=percent * max(0.0, after.steal - before.steal),
        throttled_seconds=max(0.0, after.throttled - before.throttled),
        suspended_seconds=max(0.0, after.suspended - before.suspended),
        others_percent=percent * max(0.0, others),
        idle_cpu_percent=100 * max(each for each in [0.0, *idle] if each >= 0) / seconds,
    )


def state(cores: Sequence[int]) -> MachineState:
    """How the machine is at this moment."""
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return MachineState(
        load=psutil.getloadavg()[0],
        memory_available_mib=psutil.virtual_memory().available >> 20,
        governor=governor.read_text(encoding="ascii").strip() if governor.exists() else None,
        affinity=sorted(cores),
    )


def _suspended() -> float:
    """How long the machine has slept since it started: only one of the two clocks counts it."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _busy() -> float:
    """CPU seconds that all processes have used of the cores that we may use, since the start."""
    times = psutil.cpu_times(percpu=True)
    chosen = [times[core] for core in os.sched_getaffinity(0) if core < len(times)]
    kinds = ("user", "nice", "system", "irq", "softirq")  # a guest's time is in user already
    return sum(getattr(core, kind, 0.0) for core in chosen for kind in kinds)


def _throttled() -> float:
    """Seconds for which the quota of our control group has stopped it so far."""
    for file in _cpu_stat_files():
        if file.exists():
            for line in file.read_text(encoding="ascii").splitlines():
                counter, _, value = line.partition(" ")
                if counter in _THROTTLED:
                    return int(value) * _THROTTLED[counter]
    return 0.0


@cache
def _cpu_stat_files() -> tuple[Path, ...]:
    """Where it may stand: under our own group as the kernel names it, or at the root."""
    root, own = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
    groups = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    paths = []
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            paths += [root / controllers / path.lstrip("/") / "cpu.stat"]
    return (*paths, root / "cpu.stat", root / "cpu" / "cpu.stat")


def _cpu(process: int) -> float:
    """CPU seconds of a process; where the system has it, by its own clock, which has no ticks."""
    try:
        if sys.platform == "linux":
            # What clock_getcpuclockid(3) computes; the standard library has no name for it.
            return time.clock_gettime((~process << 3) | 2)
        times = psutil.Process(process).cpu_times()
    except (psutil.NoSuchProcess, OSError):
        return math.nan  # it is gone
    return float(times.user + times.system)
