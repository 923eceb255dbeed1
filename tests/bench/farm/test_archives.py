"""Archives come from other machines: what is no plain file of a plain name is refused."""

import io
import tarfile

import pytest

from bench.contract.errors import DataError
from bench.farm import archives
from bench.farm.units import Unit

FILES = {"b.json": b"{}", "a.npz": b"1234", "model0/mine.py": b"x = 1\n"}


def made(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size, found.linkname = kind, size, "/etc/passwd"
    return found


def test_the_same_files_make_the_same_bytes_and_come_out_again() -> None:
    data = archives.packed(FILES)
    assert data == archives.packed(dict(reversed(FILES.items())))
    assert archives.unpacked(data) == FILES
    assert archives.sha256(data) != archives.sha256(archives.packed({**FILES, "b.json": b"[]"}))


@pytest.mark.parametrize(
    "bad",
    [
        member("../a.json"),
        member("/a.json"),
        member("a/b/c/d.json"),
        member(".a"),
        member("a", tarfile.SYMTYPE),
        member("a", tarfile.LNKTYPE),
        member("a", tarfile.DIRTYPE),
        member("a", tarfile.FIFOTYPE),
    ],
    ids=lambda each: f"{each.name}{each.type!r}",
)
def test_what_is_no_plain_file_is_refused(bad: tarfile.TarInfo) -> None:
    with pytest.raises(DataError, match="an archive with"):
        archives.unpacked(made(bad))


def test_a_name_twice_and_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="an archive with 'a'"):
        archives.unpacked(made(member("a"), member("a")))
    monkeypatch.setattr(archives, "MOST_BYTES", 3)
    with pytest.raises(DataError, match="too large"):
        archives.unpacked(made(member("a", size=4)))


def test_what_was_cut_short_is_refused_wherever_it_was_cut() -> None:
    data = archives.packed(FILES)
    for length in range(0, len(data), 256):
        with pytest.raises(DataError):
            archives.unpacked(data[:length])
    with pytest.raises(DataError):
        archives.unpacked(b"no tar at all" * 100)


def test_a_unit_is_named_by_all_that_it_says_and_a_foreign_one_is_refused() -> None:
    one = Unit("accuracy", "m-stock-jax-cpu-seed0", "run", "a" * 64, ("b" * 64,), {"jax": "c"})
    assert Unit.read(one.content) == one
    other = Unit("accuracy", "m-stock-jax-cpu-seed1", "run", "a" * 64, ("b" * 64,), {"jax": "c"})
    assert one.name != other.name
    for bad in (b"", b"{}", one.content[:-2], one.content.replace(b'"schema": 1', b'"schema": 2')):
        with pytest.raises(DataError, match="unit"):
            Unit.read(bad)
