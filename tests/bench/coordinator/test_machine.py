"""An identity is never that of two machines; what of a machine may be used decides with it."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.contract.schema import Machine
from bench.coordinator import machine as told
from bench.process import cgroup, system

FILES = {
    "/etc/machine-id": "a" * 32 + "\n",
    "/proc/sys/kernel/random/boot_id": "boot-one\n",
    "/proc/cpuinfo": "processor : 0\nmodel name\t: Some CPU\nflags\t\t: fpu sse\n",
    "/sys/class/dmi/id/sys_vendor": "Some maker\n",
    "/sys/class/dmi/id/product_name": "Some board\n",
}
MAKERS, MADE_UP = "00:0d:3a:12:34:56", "02:fc:00:00:00:01"


class Fake:
    """A machine as its kernel tells of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files, self.network = dict(FILES), folder / "net"
        self.network.mkdir()
        monkeypatch.setattr(told, "NETWORK", self.network)
        monkeypatch.setattr(told, "kernel_file", self._read)
        monkeypatch.setattr(platform, "node", lambda: "host")

    def _read(self, path: str | Path) -> str | None:
        known = self.files.get(str(path))
        return known if known is not None else system.kernel_file(path)

    def device(self, address: str, *, hardware: bool = True, assigned: str = "0") -> None:
        folder = self.network / f"eth{len(list(self.network.iterdir()))}"
        folder.mkdir()
        (folder / "address").write_text(f"{address}\n")
        (folder / "addr_assign_type").write_text(f"{assigned}\n")
        if hardware:
            (folder / "device").mkdir()

    def told(self, **environ: str) -> tuple[str, str]:
        found = told.machine(environ)
        return found["identity"], found["id"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(tmp_path, monkeypatch)


def test_here_it_is_told_without_its_name() -> None:
    here = told.machine()
    assert here == told.machine()
    assert len(here["id"]) == 16
    assert platform.node() not in str(here)
    msgspec.convert(here, Machine)


def test_hardware_stays_whatever_the_host_is_called_and_however_often_it_starts(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.device(MAKERS)
    before = fake.told()
    monkeypatch.setattr(platform, "node", lambda: "renamed")
    fake.files["/proc/sys/kernel/random/boot_id"] = "boot-two\n"
    assert before == fake.told()
    assert before[0] == told.HARDWARE


def test_a_clone_of_an_image_is_another_machine(fake: Fake) -> None:
    fake.device(MAKERS)
    before = fake.told()
    (fake.network / "eth0" / "address").write_text("00:0d:3a:65:43:21\n")
    assert fake.told() != before


@pytest.mark.parametrize(
    "device",
    [
        {"address": MADE_UP},  # as all virtual machines of one kind have it
        {"address": MAKERS, "hardware": False},  # a container's
        {"address": MAKERS, "assigned": "1"},  # drawn
        {"address": "00:00:00:00:00"},
        {"address": "00:00:00:00:00:00"},
    ],
)
def test_what_is_not_hardware_is_known_until_the_next_start(
    fake: Fake, device: dict[str, Any]
) -> None:
    fake.device(**device)
    before = fake.told()
    assert before[0] == told.BOOT
    assert before == fake.told()
    fake.files["/proc/sys/kernel/random/boot_id"] = "boot-two\n"
    assert before != fake.told()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/proc/cpuinfo", "model name : Some CPU\nflags : fpu hypervisor sse\n"),
        ("/sys/class/dmi/id/sys_vendor", "innotek GmbH\n"),
        ("/sys/class/dmi/id/product_name", "Virtual Machine\n"),
    ],
)
def test_a_virtual_machine_may_have_the_address_of_another(
    fake: Fake, path: str, text: str
) -> None:
    fake.device("08:00:27:12:34:56")
    assert fake.told()[0] == told.HARDWARE
    fake.files[path] = text
    assert fake.told()[0] == told.BOOT


def test_a_name_that_a_person_gave_stays(fake: Fake) -> None:
    before = fake.told(BENCH_MACHINE="lab 7")
    fake.files["/proc/sys/kernel/random/boot_id"] = "boot-two\n"
    assert before == fake.told(BENCH_MACHINE="lab 7")
    assert before != fake.told(BENCH_MACHINE="lab 8")
    assert before[0] == told.NAMED


def test_without_proc_and_sys_it_is_known_until_the_next_start(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "kernel_file", lambda _: None)
    monkeypatch.setattr(told, "NETWORK", Path("/nowhere"))
    assert fake.told()[0] == told.BOOT


MACHINE = Machine("a" * 16, "CPU", 8, 16_000, "Linux", "hardware")


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"memory_mib": 15_900}, True),  # another kernel
        ({"system": "Linux 7"}, True),
        ({"id": "b" * 16}, False),
        ({"cpu_model": "Other"}, False),
        ({"cores": 4}, False),
        ({"quota_cpus": 2.0}, False),
        ({"memory_mib": 8_000}, False),
    ],
)
def test_what_may_be_used_of_it_decides_too(changes: dict[str, Any], same: bool) -> None:
    other = msgspec.structs.replace(MACHINE, **changes)
    assert MACHINE.same_as(other) is other.same_as(MACHINE) is same


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of our own group, below two others."""
    cgroup._folders.cache_clear()
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    own = tmp_path / "pod" / "container"
    own.mkdir(parents=True)

    def read(path: str | Path) -> str | None:
        return "0::/pod/container\n" if str(path) == "/proc/self/cgroup" else file(path)

    file = system.kernel_file
    monkeypatch.setattr(cgroup, "kernel_file", read)
    yield own
    cgroup._folders.cache_clear()


def test_the_least_quota_counts_also_of_a_group_above(groups: Path) -> None:
    assert cgroup.quota() is None
    (groups / "cpu.max").write_text("400000 100000\n")
    (groups.parent / "cpu.max").write_text("150000 100000\n")
    (groups.parent.parent / "cpu.max").write_text("max 100000\n")
    assert cgroup.quota() == 1.5


def test_of_version_1_too(groups: Path) -> None:
    (groups / "cpu.cfs_quota_us").write_text("50000\n")
    (groups / "cpu.cfs_period_us").write_text("100000\n")
    (groups / "cpu.stat").write_text("nr_periods 40\nnr_throttled 10\nthrottled_time 2500000000\n")
    assert cgroup.quota() == 0.5
    assert cgroup.stopped() == (2.5, 10, 40)


@pytest.mark.parametrize("text", ["", "nonsense\n", "max\n", "100000 0\n", "-1 100000\n"])
def test_a_quota_that_is_none(groups: Path, text: str) -> None:
    (groups / "cpu.max").write_text(text)
    assert cgroup.quota() is None


def test_whoever_was_stopped_most_is_told(groups: Path) -> None:
    told_by = {groups: (1, 2_000_000), groups.parent: (7, 9_500_000)}
    for folder, (periods, microseconds) in told_by.items():
        (folder / "cpu.stat").write_text(
            f"usage_usec 5\nnr_periods 100\nnr_throttled {periods}\nthrottled_usec {microseconds}\n"
        )
    assert cgroup.stopped() == (9.5, 7, 100)


def test_where_nothing_can_be_seen_that_is_told(groups: Path) -> None:
    assert cgroup.stopped() is None
    assert groups.is_dir()


def test_where_there_are_no_masks_all_cores_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert system.usable_cores() == list(range(os.cpu_count() or 1))


def test_a_file_that_is_not_for_us_says_nothing(tmp_path: Path) -> None:
    assert system.kernel_file(tmp_path / "none") is None
    assert system.kernel_file(tmp_path) is None
