"""Exit codes and the errors that carry them."""

import re
from enum import IntEnum
from typing import ClassVar

_COLOURS = re.compile(r"\x1b\[[\d;]*m")


class ExitCode(IntEnum):
    """What the process says to a script or to CI."""

    OK = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    ENVIRONMENT = 4
    DATA = 5
    INTERNAL = 6
    INTERRUPTED = 130


class BenchError(Exception):
    """An expected failure: its message is one line that says what to do next."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class UsageError(BenchError):
    """An option or a variable that cannot be obeyed."""

    exit_code = ExitCode.USAGE


class DataError(BenchError):
    """A dataset or a stored result that is missing or not what it should be."""

    exit_code = ExitCode.DATA


class StorageError(BenchError):
    """The results folder cannot be written."""

    exit_code = ExitCode.ENVIRONMENT


class WorkerError(BenchError):
    """A worker that could not do its work.

    Attributes:
        status: One word for tables: `crashed`, `out_of_memory`, `timed_out`, `protocol_error`,
            `python_error`, `invalid` or `wrong_environment`.
        log: The end of what the worker wrote to stdout and stderr.
        kind: Name of the exception that the worker raised, where it raised one.
    """

    exit_code = ExitCode.ENVIRONMENT

    def __init__(self, status: str, message: str, log: str = "", kind: str = "") -> None:
        """Keep the status, the log and the kind beside the message."""
        super().__init__(message)
        self.status = status
        self.log = log
        self.kind = kind


def shortened(line: str) -> str:
    """Of a long line its ends: the first says where, the last why."""
    return line if len(line) <= 300 else f"{line[:140]} ... {line[-150:]}"


def in_one_line(error: BaseException) -> str:
    """What an exception says, less its colours and the arguments that Keras lists behind it."""
    said, *_ = _COLOURS.sub("", str(error)).split("Arguments received by")
    return " ".join(said.split())
