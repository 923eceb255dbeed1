"""What workers say, and how they end, as shards keep it."""

import json
from typing import Any, TypeVar

import msgspec

from bench.contract.errors import WorkerError
from bench.contract.schema import Machine
from bench.process.worker_environment import machine

LOG_CHARACTERS = 4000

T = TypeVar("T")


def said(told: dict[str, Any], struct: type[T]) -> T:
    """What a worker said, checked as it arrives: what a shard keeps, a report can read.

    Raises:
        WorkerError: It is of another form.
    """
    try:
        json.dumps(told, ensure_ascii=False).encode()  # half a surrogate is no text
        return msgspec.convert(told, struct)
    except ValueError as error:  # msgspec's is one
        raise WorkerError("invalid", f"the worker said what no report reads: {error}") from error


def ended(error: WorkerError | None) -> dict[str, Any]:
    """Status, error and log: of what went well, or how a worker failed."""
    if error is None:
        return {"status": "ok", "error": None, "log": None}
    return {
        "status": error.status,
        "error": _text(str(error)),
        "log": _text(error.log[-LOG_CHARACTERS:]),
    }


def this_machine() -> Machine:
    """Where this is."""
    return msgspec.convert(machine(), Machine)


def _text(said: str) -> str:
    """With nothing in it that is no text."""
    return said.encode("utf-8", "backslashreplace").decode()
