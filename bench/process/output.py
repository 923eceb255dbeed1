"""A stream that people stop reading: `nox -s bench | head`."""

import os
from collections.abc import Callable
from typing import Any, TextIO

STDOUT = 1


class Unbroken:
    """What is written when nobody reads any more goes nowhere, and raises nothing."""

    def __init__(self, stream: TextIO, gone: Callable[[], None] = lambda: None) -> None:
        """Write to a stream.

        Args:
            stream: Of standard output, or of a copy of its descriptor.
            gone: Called once, when the reader has gone.
        """
        self._stream, self._gone = stream, gone

    def write(self, text: str) -> int:
        """As that of any stream."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._end()
            return len(text)

    def flush(self) -> None:
        """As that of any stream."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._end()

    def __getattr__(self, name: str) -> Any:
        """Whatever else the stream has."""
        return getattr(self._stream, name)

    def _end(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in {STDOUT, self._stream.fileno()}:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
        self._gone()
