"""What the kernel counted while a round ran: evidence that may void it, whatever its times were."""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil

from bench.contract.speed_schema import Evidence, MachineState
from bench.process import cgroup, steal
from bench.process.cgroup import Stopped
from bench.process.system import kernel_file, usable_cores


@dataclass(frozen=True)
class Counters:
    """Readings at one moment, all in seconds since some beginning of their own."""

    monotonic: float
    suspended: float
    stopped: Stopped
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
        stopped=cgroup.stopped() or Stopped(),
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
    cores = len(usable_cores())
    percent = 100 / (seconds * cores)
    return Evidence(
        seconds=seconds,
        steal_percent=percent * max(0.0, after.steal - before.steal),
        throttled_seconds=max(0.0, after.stopped.seconds - before.stopped.seconds),
        throttled_periods=max(0, after.stopped.periods - before.stopped.periods),
        periods=max(0, after.stopped.of - before.stopped.of),
        suspended_seconds=max(0.0, after.suspended - before.suspended),
        others_percent=percent * max(0.0, others),
        idle_cpu_percent=100 * max(each for each in [0.0, *idle] if each >= 0) / seconds,
    )


def state(cores: Sequence[int]) -> MachineState:
    """How the machine is at this moment."""
    governor = kernel_file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return MachineState(
        load=psutil.getloadavg()[0],
        memory_available_mib=psutil.virtual_memory().available >> 20,
        governor=governor.strip() if governor else None,
        affinity=sorted(cores),
        unseen=list(_unseen()),
    )


def _unseen() -> Iterator[str]:
    """What would void a round here if it were seen, and is not."""
    if kernel_file("/proc/stat") is None:
        yield "CPU time that a hypervisor takes"
    if cgroup.stopped() is None:
        yield "time for which a CPU quota stops us"
    if not hasattr(time, "CLOCK_BOOTTIME"):
        yield "time for which the machine sleeps"


def _suspended() -> float:
    """How long the machine has slept since it started: only one of the two clocks counts it."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _busy() -> float:
    """CPU seconds that all processes have used of the cores that we may use, since the start."""
    times = psutil.cpu_times(percpu=True)
    chosen = [times[core] for core in usable_cores() if core < len(times)]
    kinds = ("user", "nice", "system", "irq", "softirq")  # a guest's time is in user already
    return sum(getattr(core, kind, 0.0) for core in chosen for kind in kinds)


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
