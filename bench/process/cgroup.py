"""What our control group is allowed of the CPU, and how long its quota has stopped it.

A quota (`cpu.max`) is no set of cores: frameworks start a thread for each core that they see, and
all of them are stopped together when the time of a period is used up.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.process.system import kernel_file

ROOT = Path("/sys/fs/cgroup")

# Of control groups of version 2 and of version 1: seconds per unit of their counter.
_THROTTLED = {"throttled_usec": 1e-6, "throttled_time": 1e-9}


class Stopped(NamedTuple):
    """What a quota has done so far.

    Attributes:
        seconds: For how long it has stopped us, all cores together.
        periods: In how many periods.
        of: Of how many.
    """

    seconds: float = 0.0
    periods: int = 0
    of: int = 0


def quota() -> float | None:
    """CPU seconds per second that we may use: the least of our own group and those above it.

    None where nothing limits them, or nothing can be seen.
    """
    return min((limit for folder in _folders() if (limit := _limit(folder))), default=None)


def stopped() -> Stopped | None:
    """What quotas have done, of the group that was stopped most; None where none can be seen."""
    found = [told for folder in _folders() if (told := _stopped(folder)) is not None]
    return max(found, default=None)


def _limit(folder: Path) -> float | None:
    if (told := kernel_file(folder / "cpu.max")) is not None:  # version 2: "max 100000"
        share, _, period = told.partition(" ")
    else:
        share = kernel_file(folder / "cpu.cfs_quota_us") or "-1"
        period = kernel_file(folder / "cpu.cfs_period_us") or "0"
    try:
        return int(share) / int(period) if int(share) > 0 else None
    except (ValueError, ZeroDivisionError):
        return None


def _stopped(folder: Path) -> Stopped | None:
    told = kernel_file(folder / "cpu.stat")
    if told is None:
        return None
    counters = dict(line.split(maxsplit=1) for line in told.splitlines() if " " in line)
    seconds = (int(counters[name]) * unit for name, unit in _THROTTLED.items() if name in counters)
    return Stopped(
        next(seconds, 0.0),
        int(counters.get("nr_throttled", 0)),
        int(counters.get("nr_periods", 0)),
    )


@cache
def _folders() -> tuple[Path, ...]:
    """Of our own group as the kernel names it and of those above it, whichever are there."""
    return tuple(dict.fromkeys(folder for folder in _candidates() if folder.is_dir()))


def _candidates() -> Iterator[Path]:
    for group in (kernel_file("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = group.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            own = ROOT / controllers / path.lstrip("/")
            yield own
            yield from (above for above in own.parents if above.is_relative_to(ROOT))
    yield from (ROOT, ROOT / "cpu")
