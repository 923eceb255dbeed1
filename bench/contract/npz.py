"""What the arrays of an npz claim to be, before NumPy allocates it. NumPy alone."""

import math
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

# Others are unpacked without end, whatever size a member claims.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class ArrayError(ValueError):
    """An array that is not what it claims; the message says which and why."""


@dataclass(frozen=True)
class Claim:
    """One array, by its header."""

    name: str
    elements: int
    dtype: np.dtype[Any]


def claims(archive: zipfile.ZipFile) -> Iterator[Claim]:
    """The arrays of an open file, each as large as it claims, but for objects.

    Raises:
        ArrayError: One is not.
    """
    for member in archive.infolist():
        if member.compress_type not in METHODS:
            raise ArrayError(f"{member.filename} has an unsupported compression method")
        with archive.open(member) as file:
            if np.lib.format.read_magic(file) != (1, 0):  # others have headers without end
                raise ArrayError(f"{member.filename} has no header of version 1.0")
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a header of Python 2, which takes long to read
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            elements = math.prod(shape)
            size = member.file_size - file.tell()
            if not dtype.hasobject and elements * dtype.itemsize != size:
                raise ArrayError(f"{member.filename} is not as large as it claims")
        yield Claim(member.filename, elements, dtype)
