import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from msgspec.structs import asdict

from bench.contract.speed_schema import Evidence
from bench.coordinator.speed import evidence
from bench.process.cgroup import Stopped

BEFORE = evidence.Counters(
    monotonic=10.0,
    suspended=5.0,
    stopped=Stopped(1.0, 2, 10),
    steal=2.0,
    busy=9.0,
    own=1.0,
    cpu=(1.0, 1.0),
)


def test_nothing_happened() -> None:
    told = evidence.between(BEFORE, replace(BEFORE, monotonic=12.0), (0.0, 0.0))
    assert told == Evidence(2.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_what_happened_is_told() -> None:
    cores = psutil.cpu_count() or 1
    after = evidence.Counters(
        monotonic=12.0,
        suspended=5.5,
        stopped=Stopped(1.25, 5, 30),
        steal=2.0 + 0.2 * cores,
        busy=9.0 + 0.25 + 1.5 + 0.1 * cores,
        own=1.25,
        cpu=(2.0, 1.5),
    )
    told = evidence.between(BEFORE, after, (1.0, 0.1))
    assert asdict(told) == {
        "seconds": 2.0,
        "steal_percent": pytest.approx(10.0),
        "throttled_seconds": 0.25,
        "throttled_periods": 3,
        "periods": 20,
        "suspended_seconds": 0.5,
        "others_percent": pytest.approx(5.0),  # not the lanes' 1.5 s, nor the coordinator's 0.25
        "idle_cpu_percent": pytest.approx(20.0),  # 0.4 s of 2 s that were not its own turn
    }


def test_a_lane_that_has_gone_is_no_idle_lane() -> None:
    after = replace(BEFORE, monotonic=12.0, cpu=(float("nan"), 1.0))
    assert evidence.between(BEFORE, after, (0.0, 0.0)).idle_cpu_percent == 0.0


def test_a_worker_that_spins_is_seen_and_one_that_sleeps_is_not() -> None:
    programs = ("while True: pass", "import signal; signal.pause()")
    processes = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    try:
        watched = [process.pid for process in processes]
        before = evidence.read(watched)
        while evidence.read(watched[:1]).cpu[0] < before.cpu[0] + 0.2:
            pass
        after = evidence.read(watched)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    spun, slept = (end - start for start, end in zip(before.cpu, after.cpu, strict=True))
    assert spun >= 0.2
    assert slept < 0.1  # it was starting up
    assert evidence.between(before, after, (0.0, slept)).idle_cpu_percent > 5


def test_a_process_that_is_gone_has_no_reading() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (cpu,) = evidence.read([process.pid]).cpu
    assert cpu != cpu  # NaN


def test_the_state_of_the_machine() -> None:
    state = evidence.state([1, 0])
    assert state.affinity == [0, 1]
    assert state.load >= 0
    assert state.memory_available_mib > 0


def test_another_process_is_seen_and_a_lane_is_none() -> None:
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before = evidence.read([spinner.pid])
        while evidence.read([spinner.pid]).cpu[0] < before.cpu[0] + 0.5:
            pass
        after = evidence.read([spinner.pid])
    finally:
        spinner.kill()
        spinner.wait()
    spun = after.cpu[0] - before.cpu[0]
    as_lane = evidence.between(before, after, (spun,)).others_percent
    stranger = {"before": replace(before, cpu=()), "after": replace(after, cpu=())}
    as_other = evidence.between(**stranger, own_cpu=()).others_percent
    share = 100 * spun / ((after.monotonic - before.monotonic) * (psutil.cpu_count() or 1))
    assert as_other - as_lane == pytest.approx(share, abs=0.2 * share)
