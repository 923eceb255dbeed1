"""Archives that go to nodes and come back: packed alike from alike, and unpacked warily."""

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping

from bench.contract.errors import DataError

PART = r"[A-Za-z0-9_][A-Za-z0-9.@+_-]{0,199}"
NAME = re.compile(rf"(?:{PART}/){{0,2}}{PART}")
MOST_BYTES = 4 << 30
MOST_FILES = 5_000


def packed(files: Mapping[str, bytes]) -> bytes:
    """A tar of these files; the same files make the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """The files of an archive that came from elsewhere.

    Raises:
        DataError: It is cut short or no archive, or holds what is no plain file of a plain name.
    """
    files: dict[str, bytes] = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                total += member.size
                if not member.isreg() or not NAME.fullmatch(member.name) or member.name in files:
                    raise DataError(f"an archive with {member.name!r} in it")
                if total > MOST_BYTES or len(files) >= MOST_FILES:
                    raise DataError("an archive that is too large")
                content = archive.extractfile(member)
                read = content.read() if content else b""
                if len(read) != member.size:
                    raise DataError("an archive that was cut short")
                files[member.name] = read
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise DataError(f"not an archive: {error}") from error
    if packed(files) != data:
        raise DataError("an archive that was cut short, or made by another program")
    return files


def sha256(data: bytes) -> str:
    """What an archive is named by."""
    return hashlib.sha256(data).hexdigest()
