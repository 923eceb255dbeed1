"""One JSON object per line, over a pipe of its own, between coordinator and worker.

A request is `{"id": n, "call": name, "arguments": {...}}`. Its answers carry the same id:
any number of `{"id": n, "event": {...}}`, then one `{"id": n, "result": {...}}` or
`{"id": n, "error": {"type": ..., "message": ..., "traceback": ...}}`.
Frameworks print what they like: stdout and stderr are not part of the protocol.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

MAX_LINE_BYTES = 16 << 20
"""Room for the configuration of a deep model, which is one string."""


class WireError(ValueError):
    """Bytes that are no message."""


def finite(value: float) -> float | None:
    """The value; None where it is no number, which JSON cannot carry."""
    return float(value) if math.isfinite(value) else None


def encode(message: Mapping[str, Any]) -> bytes:
    """One line for `message`.

    Raises:
        ValueError: The message holds NaN or infinity, which JSON cannot carry.
    """
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The message in `line`.

    Raises:
        WireError: The line is not one JSON object, or is too long. The offending bytes are
            quoted, escaped and shortened.
    """
    if len(line) > MAX_LINE_BYTES:
        raise WireError(f"line of more than {MAX_LINE_BYTES:,} bytes: {line[:40]!r}...")
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not a JSON message: {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise WireError(f"not a JSON object: {line[:80]!r}")
    return message


class Splitter:
    """Cuts a stream of bytes into messages, with bounded memory."""

    def __init__(self) -> None:
        """Start with no bytes."""
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Take bytes as they come, give the messages that they complete.

        Raises:
            WireError: As `decode`.
        """
        self._buffer += chunk
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            yield decode(line)
        if len(self._buffer) > MAX_LINE_BYTES:
            decode(bytes(self._buffer))


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
