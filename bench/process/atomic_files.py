"""Files that are there whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench.contract.errors import StorageError


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile.

    Raises:
        StorageError: The disk does not take it. Nothing half-written stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with storage_errors(path):
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(mode)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Tell what the disk refuses as a `StorageError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror}); choose another --results"
        ) from error
