"""A layer under the file system in which one call fails."""

import builtins
import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

PATHS = ("open", "mkdir", "replace", "unlink", "chmod", "symlink", "stat", "lstat", "listdir")
DESCRIPTORS = ("fsync",)
FILE = ("read", "write", "flush", "close")


class Calls:
    """Counts calls on what lies in a folder, and has one of them fail.

    Attributes:
        count: So many were made, the failed one too.
    """

    def __init__(self, folder: Path, number: int, code: int) -> None:
        self.count = 0
        self._folder, self._number, self._code = folder, number, code

    def count_one(self, path: object) -> None:
        self.count += 1
        if self.count == self._number:
            raise OSError(self._code, os.strerror(self._code), str(path))

    def concern(self, path: object) -> bool:
        return isinstance(path, (str, os.PathLike)) and Path(path).is_relative_to(self._folder)


class File:
    """An open file of which each call counts; what fails is not done, but it is closed."""

    def __init__(self, file: Any, calls: Calls) -> None:
        self._file, self._calls = file, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._file, name)
        if name not in FILE:
            return found

        def counted(*arguments: Any) -> Any:
            try:
                self._count()
            except OSError:
                if name == "close":
                    self._file.close()
                raise
            return found(*arguments)

        return counted

    def _count(self) -> None:
        try:
            self._calls.count_one("")
        except OSError as error:  # as the kernel says it of a descriptor
            raise OSError(error.errno, error.strerror) from None

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)


@contextlib.contextmanager
def failing(folder: Path, number: int, code: int) -> Iterator[Calls]:
    """Have call `number` on files in `folder` fail with `code`, from 1; none if it is too large."""
    calls = Calls(folder, number, code)
    with contextlib.ExitStack() as stack:

        def put(owner: Any, name: str, function: Callable[..., Any]) -> None:
            stack.enter_context(mock.patch.object(owner, name, function))

        for name in PATHS:
            put(os, name, _counting_paths(getattr(os, name), calls))
        for name in DESCRIPTORS:
            put(os, name, _counting_all(getattr(os, name), calls))
        opened = _opening(io.open, calls)
        put(io, "open", opened)
        put(builtins, "open", opened)
        yield calls


def _counting_paths(function: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    def counted(*arguments: Any, **rest: Any) -> Any:
        if arguments and any(calls.concern(each) for each in arguments[:2]):
            calls.count_one(arguments[0])
        return function(*arguments, **rest)

    return counted


def _counting_all(function: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        calls.count_one("")
        return function(*arguments)

    return counted


def _opening(function: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    def opened(file: Any, *arguments: Any, **rest: Any) -> Any:
        if not calls.concern(file):
            return function(file, *arguments, **rest)
        calls.count_one(file)
        return File(function(file, *arguments, **rest), calls)

    return opened
