"""What a node says of itself before it gets a piece, and whether that will do."""

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Mapping

import msgspec

from bench.contract.errors import DataError
from bench.contract.schema import Machine, Record, WorkerInfo
from bench.coordinator.fleet import Fleet, Member
from bench.coordinator.preflight import GREETING_SECONDS
from bench.coordinator.records import this_machine
from bench.planning.plan import Plan

FILE = "greeting.json"
"""Of an archive that a greeting is."""

LEAST_DISK, LEAST_MEMORY_MIB = 1 << 30, 2048


class Greeting(Record, frozen=True):
    """Of one node.

    Attributes:
        python: Version of the harness's interpreter.
        machine: Which machine it is.
        disk_bytes: Free among its temporary files.
        environments: Hash of what is installed, by lane.
        errors: Why a lane is not there, by its name.
    """

    python: str
    machine: Machine
    disk_bytes: int
    environments: dict[str, str]
    errors: dict[str, str]


def greet(plan: Plan) -> Greeting:
    """This machine, and what every lane of a plan is here."""
    with Fleet([Member(lane) for lane in plan.lanes], GREETING_SECONDS) as fleet:
        fleet.each(lambda member: member.greet(), fleet.members)
    return Greeting(
        python=platform.python_version(),
        machine=this_machine(),
        disk_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        environments={m.lane.name: environment(m.info) for m in fleet.members if m.info},
        errors={each.lane.name: str(each.error) for each in fleet.members if each.error},
    )


def environment(info: WorkerInfo) -> str:
    """The hash of what is installed for a lane, and of where it computes."""
    told = [sorted(info.distributions.items()), sorted(info.versions.items()), info.device]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def unfit(greeting: Greeting, wanted: Mapping[str, str]) -> str:
    """Why a node cannot take part, and what would prepare it; empty if it can.

    Args:
        greeting: What it said.
        wanted: `environment` of each lane on the machine that farms.
    """
    if greeting.errors:
        lane, why = next(iter(greeting.errors.items()))
        return f"{lane} is not there ({why}); prepare it with nox -s harness worker"
    for lane, sha256 in wanted.items():
        if greeting.environments.get(lane) != sha256:
            return f"{lane} is installed otherwise there; prepare it with nox -s harness worker"
    if greeting.disk_bytes < LEAST_DISK:
        return f"{greeting.disk_bytes >> 20} MiB of disk are free, and 1 GiB is wanted"
    if greeting.machine.memory_mib < LEAST_MEMORY_MIB:
        return f"{greeting.machine.memory_mib} MiB of memory, and 2 GiB are wanted"
    return ""


def read(content: bytes) -> Greeting:
    """What a node sent.

    Raises:
        DataError: It is none.
    """
    try:
        return msgspec.json.decode(content, type=Greeting)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DataError(f"no greeting: {error}") from error
