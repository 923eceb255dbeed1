"""What workers say, and how they end, as shards keep it."""

import json
from typing import Any, TypeVar

import msgspec

from bench.contract.errors import WorkerError
from bench.contract.schema import Machine, WorkerInfo, missing_versions
from bench.contract.units import Lane
from bench.coordinator.machine import machine
from bench.process.worker_process import Worker

KEPT_CHARACTERS = 4000

T = TypeVar("T")


def checked(told: Any, struct: type[T], lane: Lane) -> T:
    """What a worker said, checked as it arrives: what a shard keeps, a report can read.

    Raises:
        WorkerError: It is of another form.
    """
    try:
        # Half a surrogate is no text, and 1e999 no number.
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
        return msgspec.convert(told, struct)
    except ValueError as error:  # msgspec's is one
        raise invalid(lane, f"said what no report reads: {error}") from error


def invalid(lane: Lane, what: str) -> WorkerError:
    """For an answer that cannot be used."""
    return WorkerError("invalid", f"{lane.id} on {lane.device}: {what}")


def greeted(worker: Worker) -> WorkerInfo:
    """Who a worker says it is.

    Raises:
        WorkerError: It failed, or is not what was asked for.
    """
    told = {**worker.greet(), "lane": worker.lane.name}
    info = checked(told, WorkerInfo, worker.lane)
    if missing := missing_versions(info, worker.lane.backend):
        raise invalid(worker.lane, f"named no version of {', '.join(missing)}")
    return info


def ended(error: WorkerError | None) -> dict[str, Any]:
    """Status, error and log: of what went well, or how a worker failed."""
    if error is None:
        return {"status": "ok", "error": None, "log": None}
    return {
        "status": error.status,
        "error": _text(str(error))[:KEPT_CHARACTERS],
        "log": _text(error.log)[-KEPT_CHARACTERS:],
    }


def this_machine() -> Machine:
    """Where this is."""
    return msgspec.convert(machine(), Machine)


def _text(said: str) -> str:
    """With nothing in it that is no text."""
    return said.encode("utf-8", "backslashreplace").decode()
