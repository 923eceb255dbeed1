"""What machine this is, and what of it may be used.

An identity must never be that of two machines: images are cloned with their `/etc/machine-id`,
containers share one, virtual network devices are all given the same address, and hosts are renamed
whenever they start. So what is taken for lasting is an address that a maker gave to hardware, or a
name that a person gave; all else is known until the next start alone.
"""

import hashlib
import os
import platform
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.process import cgroup
from bench.process.system import kernel_file, usable_cores

NETWORK = Path("/sys/class/net")

PERMANENT = "0"
"""How an address was assigned that came with its device: see the kernel's sysfs-class-net."""

NOT_A_MAKERS = 3 << 40
"""Bits of an address that was made up: by whoever runs virtual machines, or by Python."""

VIRTUAL = ("qemu", "kvm", "vmware", "virtualbox", "innotek", "xen", "bochs", "virtual machine")
"""Of what a virtual machine says of its board; its addresses may be those of any other."""

NAMED, HARDWARE, BOOT = "named", "hardware", "boot"


def machine(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Its identity, CPU, cores, quota, memory and system, as `bench.contract.schema.Machine`."""
    kind, told = _identity(environ)
    return {
        "id": hashlib.sha256(f"{kind} {told}".encode()).hexdigest()[:16],
        "identity": kind,
        "cpu_model": _cpu_model(),
        "cores": len(usable_cores()),
        "quota_cpus": cgroup.quota(),
        "memory_mib": psutil.virtual_memory().total >> 20,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _identity(environ: Mapping[str, str]) -> tuple[str, str]:
    """How it is known, and by what."""
    if name := environ.get("BENCH_MACHINE"):
        return NAMED, name
    if addresses := sorted(_addresses()):
        return HARDWARE, " ".join([_stored_id(), *addresses])
    boot = (kernel_file("/proc/sys/kernel/random/boot_id") or "").strip()
    return BOOT, boot or f"{platform.node()} {psutil.boot_time():.0f}"


def _stored_id() -> str:
    return (kernel_file("/etc/machine-id") or "").strip()


def _addresses() -> Iterator[str]:
    """Of the network devices that are hardware; those of a container are not."""
    if platform.system() != "Linux":
        if not (address := uuid.getnode()) & NOT_A_MAKERS:
            yield f"{address:012x}"
        return
    for device in NETWORK.iterdir() if NETWORK.is_dir() and not _is_virtual() else ():
        assigned = kernel_file(device / "addr_assign_type")
        link = device / "device"  # what is plugged in comes and goes
        on_board = link.exists() and (link / "subsystem").resolve().name != "usb"
        told = (kernel_file(device / "address") or "").strip().replace(":", "")
        if on_board and (assigned or "").strip() == PERMANENT and _is_a_makers(told):
            yield told


def _is_a_makers(address: str) -> bool:
    number = int(address, 16) if re.fullmatch("[0-9a-f]{12}", address) else 0
    return bool(number) and not number & NOT_A_MAKERS


def _is_virtual() -> bool:
    """Whether a hypervisor says so, by a flag of the CPU or the name of the board."""
    names = ("sys_vendor", "product_name")
    board = " ".join(kernel_file(f"/sys/class/dmi/id/{name}") or "" for name in names).lower()
    processors = kernel_file("/proc/cpuinfo") or ""
    flagged = re.search(r"^flags\s*:.*\bhypervisor\b", processors, re.MULTILINE)
    return flagged is not None or any(name in board for name in VIRTUAL)


def _cpu_model() -> str:
    for line in (kernel_file("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"
