import contextlib
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract import envelopes, limits
from bench.contract.envelopes import sealed
from bench.contract.errors import DataError
from bench.contract.migrations import SCHEMA
from bench.coordinator.run_folder import RunFolder
from bench.inputs.datasets import read_npz
from reports.read import shards
from tests.support.stored_runs import (
    BACKENDS,
    PROTOCOL,
    accuracy_payload,
    failed_payload,
    predictions,
    store_run,
)


def room() -> envelopes.Room:
    return envelopes.Room(limits.MAX_ARRAYS_BYTES)


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    return store_run(tmp_path / "results", [accuracy_payload(backend) for backend in BACKENDS])


def shard_path(run_folder: RunFolder, backend: str = "jax") -> Path:
    return run_folder.path / "shards" / f"single_layer-stock-{backend}-cpu-seed0.try1.json"


def rewrite(path: Path, run_folder: RunFolder, change: dict[str, Any]) -> None:
    """Store a changed payload with a hash that fits it, as a hostile author would."""
    content = json.loads(path.read_text())
    payload = content["payload"] | change
    path.write_bytes(sealed(content["kind"], run_folder.run_id, content["shard_id"], payload))


def test_what_bench_writes_reports_reads(run_folder: RunFolder) -> None:
    found = shards.read([run_folder.path])
    assert found.problems == []
    assert list(found.plans) == [run_folder.run_id]
    assert [shard.payload.cell.lane for shard in found.accuracy] == sorted(BACKENDS)
    assert found.accuracy[0].payload.training is not None
    assert found.accuracy[0].probabilities is not None
    assert np.array_equal(found.accuracy[0].probabilities, predictions(2))


def test_the_last_attempt_counts_unless_an_earlier_one_went_well(tmp_path: Path) -> None:
    good, bad = accuracy_payload("jax"), failed_payload("jax")
    for payloads, status, number in (
        ([bad, good], "ok", 2),
        ([good, bad], "ok", 1),
        ([bad, bad], "crashed", 2),
        ([bad] * 10 + [good], "ok", 11),
    ):
        run_folder = store_run(tmp_path / "results", payloads)
        (shard,) = shards.read([run_folder.path]).accuracy
        assert shard.payload.status == status
        assert shard.shard_id.endswith(f".try{number}")


def one_problem(run_folder: RunFolder) -> str:
    found = shards.read([run_folder.path])
    assert len(found.problems) == 1
    assert len(found.accuracy) == 2
    assert "\n" not in found.problems[0]
    return found.problems[0]


def test_every_truncation_is_one_problem(run_folder: RunFolder) -> None:
    path = shard_path(run_folder)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        assert str(path) in one_problem(run_folder)


def test_every_flipped_byte_is_one_problem_or_changes_nothing(run_folder: RunFolder) -> None:
    path = shard_path(run_folder)
    whole = path.read_bytes()
    before = json.loads(whole)
    for position in range(0, len(whole), 31):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        found = shards.read([run_folder.path])
        if not found.problems:
            assert json.loads(path.read_bytes()) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "not JSON"),
        (b"[]", "Expected `object`"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b"[" * 100_000, "not JSON"),
        (b'{"schema": 99}', f"schema 99 is newer than this program's {SCHEMA}"),
        (b'{"schema": 1}', "schema 1 is older than 5, the oldest that this program reads"),
        (b'{"schema": "1"}', "Expected `int`"),
        (b'"\\ud800"', "surrogates not allowed"),
        (b'{"schema": 0}', "Expected `int` >= 1"),
        (b"<html>", "not JSON"),
    ],
)
def test_fault_12_what_is_no_shard_is_told_with_its_reason(
    run_folder: RunFolder, content: bytes, words: str
) -> None:
    shard_path(run_folder).write_bytes(content)
    assert words in one_problem(run_folder)


def test_fault_11_every_truncation_and_every_bit_of_a_small_shard(tmp_path: Path) -> None:
    """Of the file and of its arrays: each is an error with a reason, or changes nothing."""
    stored = Path(__file__).parents[2] / "data" / "golden" / "shards"
    path = tmp_path / "images.json"
    whole = (stored / "images.json").read_bytes()
    content = json.loads(whole)
    for damaged in damages(whole):
        path.write_bytes(damaged)
        with contextlib.suppress(envelopes.ShardError):  # and nothing else
            read = envelopes.read_envelope(path)
            assert (read.sha256, read.payload) == (content["sha256"], content["payload"])
    arrays = stored / "single_layer-stock-jax-cpu-seed0.try1.npz"
    sha256 = hashlib.sha256(arrays.read_bytes()).hexdigest()
    path = tmp_path / "arrays.npz"
    for damaged in damages(arrays.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(envelopes.ShardError, match="does not have the hash"):
            envelopes.read_arrays(path, sha256, room())


def damages(whole: bytes) -> Iterator[bytes]:
    yield from (whole[:length] for length in range(len(whole)))
    for place, byte in enumerate(whole):
        for bit in range(8):
            yield whole[:place] + bytes([byte ^ (1 << bit)]) + whole[place + 1 :]


def test_fault_12_a_number_beyond_all_numbers(run_folder: RunFolder) -> None:
    path = shard_path(run_folder)
    path.write_text(path.read_text().replace('"wall_seconds": ', '"wall_seconds": 1e400'))
    assert str(path) in one_problem(run_folder)


def test_fault_14_a_newer_schema_says_what_reads_it(run_folder: RunFolder) -> None:
    path = shard_path(run_folder)
    path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 1}'))
    assert "is newer than this program's" in one_problem(run_folder)
    assert "use a newer Keras Backend Bench" in one_problem(run_folder)


def test_fault_27_what_is_no_plain_file_is_not_opened(
    run_folder: RunFolder, tmp_path: Path
) -> None:
    """A link of a stranger's leads where it likes, and nobody ever writes into a pipe."""
    path = shard_path(run_folder)
    elsewhere = path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(elsewhere)
    assert "not a plain file" in one_problem(run_folder)
    path.unlink()
    os.mkfifo(path)
    assert "not a plain file" in one_problem(run_folder)


def test_fault_27_a_run_of_too_many_files_is_not_read(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "MAX_SHARDS", 2)
    found = shards.read([run_folder.path])
    assert found.accuracy == []
    assert "more than 2 files" in found.problems[0]


def test_fault_27_a_run_of_too_much_json_is_not_read(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its files may be of a permitted size."""
    sizes = [path.stat().st_size for path in shard_path(run_folder).parent.glob("*.json")]
    monkeypatch.setattr(shards, "MAX_SHARDS_BYTES", sum(sizes))
    assert shards.read([run_folder.path]).problems == []
    monkeypatch.setattr(shards, "MAX_SHARDS_BYTES", sum(sizes) - 1)
    found = shards.read([run_folder.path])
    assert found.accuracy == []
    assert "MiB of JSON; none of it is read" in found.problems[0]


def test_fault_27_small_files_that_are_huge_together(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand zeros take a byte, so each file may be small and within its own limit."""
    found = shards.read([run_folder.path]).accuracy[0]
    assert found.probabilities is not None
    assert found.labels is not None
    one = 8 * (found.probabilities.size + found.labels.size)
    monkeypatch.setattr(shards, "MAX_ARRAYS_BYTES", 3 * one - 1)
    read = shards.read([run_folder.path])
    assert len(read.accuracy) == 2
    assert f"takes {one:,} bytes, and {one - 1:,} are left" in read.problems[0]


def test_fault_27_more_arrays_than_a_list_can_hold(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelopes, "MAX_ARRAYS", 2)
    assert shards.read([run_folder.path]).problems == []
    monkeypatch.setattr(envelopes, "MAX_ARRAYS", 1)
    assert "more than 1 arrays" in shards.read([run_folder.path]).problems[0]


def test_fault_27_more_arrays_than_a_run_has(tmp_path: Path) -> None:
    """However empty they are, each takes its time."""
    path, left = tmp_path / "arrays.npz", envelopes.Room(10**9, arrays=3)
    np.savez(path, one=np.zeros(0, np.float32), two=np.zeros(0, np.float32))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(envelopes.read_arrays(path, sha256, left)) == 2
    with pytest.raises(envelopes.ShardError, match="arrays in its run"):
        envelopes.read_arrays(path, sha256, left)


def test_fault_27_headers_that_take_long_to_read(tmp_path: Path) -> None:
    """Python 2 wrote whole numbers with an L; NumPy still reads that, by way of a tokenizer."""
    path, member = tmp_path / "arrays.npz", io.BytesIO()
    np.save(member, np.zeros(4, np.float32))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", member.getvalue().replace(b"(4,), ", b"(4L,),"))
    with pytest.raises(envelopes.ShardError, match="created on Python 2"):
        envelopes.read_arrays(path, hashlib.sha256(path.read_bytes()).hexdigest(), room())


def test_fault_27_what_is_no_array_among_arrays(tmp_path: Path) -> None:
    """Hashed by its author as it should be. NumPy gives the bytes of such a member."""
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", b"not an array")
    with pytest.raises(envelopes.ShardError, match="not the arrays of a shard"):
        envelopes.read_arrays(path, hashlib.sha256(path.read_bytes()).hexdigest(), room())


def test_fault_27_an_array_that_is_smaller_than_it_claims(tmp_path: Path) -> None:
    """NumPy would allocate 64 GiB before it found out."""
    path, header = tmp_path / "arrays.npz", io.BytesIO()
    claim = {"descr": "<f4", "fortran_order": False, "shape": (1 << 34,)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", header.getvalue() + bytes(8))
    with pytest.raises(envelopes.ShardError, match="not as large as it claims"):
        envelopes.read_arrays(path, hashlib.sha256(path.read_bytes()).hexdigest(), room())
    with pytest.raises(DataError, match="not as large as it claims"):
        read_npz(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_fault_27_members_that_unpack_without_end(tmp_path: Path, method: int) -> None:
    """Of bzip2 Python unpacks all that there is, whatever size the member claims."""
    path, member = tmp_path / "arrays.npz", io.BytesIO()
    np.save(member, np.zeros(4, np.float32))
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("labels.npy", member.getvalue())
    with pytest.raises(envelopes.ShardError, match="unsupported compression method"):
        envelopes.read_arrays(path, hashlib.sha256(path.read_bytes()).hexdigest(), room())
    with pytest.raises(DataError, match="unsupported compression method"):
        read_npz(path)


def test_fault_27_what_is_refused_has_taken_its_room(tmp_path: Path) -> None:
    """Else a thousand files that are refused one by one would be unpacked one by one."""
    path, left = tmp_path / "arrays.npz", room()
    np.savez(path, one=np.zeros(10_000, np.float32))
    data = bytearray(path.read_bytes())
    data[20_000] = 1  # no longer what its checksum says
    path.write_bytes(data)
    with pytest.raises(envelopes.ShardError, match="not the arrays of a shard"):
        envelopes.read_arrays(path, hashlib.sha256(data).hexdigest(), left)
    assert left.left == room().left - 80_000


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_fault_27_an_array_that_stands_twice(tmp_path: Path) -> None:
    path, member = tmp_path / "arrays.npz", io.BytesIO()
    np.save(member, np.zeros(4, np.float32))
    with zipfile.ZipFile(path, "w") as archive:
        for _ in range(2):
            archive.writestr("labels.npy", member.getvalue())
    with pytest.raises(envelopes.ShardError, match="duplicate array"):
        envelopes.read_arrays(path, hashlib.sha256(path.read_bytes()).hexdigest(), room())


@pytest.mark.parametrize("dtype", ["c8", "S3", "U3", "f16", "M8[s]"])
def test_fault_27_arrays_of_other_types_are_not_even_read(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, one=np.zeros(3, dtype))
    with pytest.raises(envelopes.ShardError, match=r"one\.npy is"):
        envelopes.read_arrays(path, hashlib.sha256(path.read_bytes()).hexdigest(), room())


def test_fault_27_a_link_in_the_place_of_the_shards(run_folder: RunFolder, tmp_path: Path) -> None:
    elsewhere = (run_folder.path / "shards").rename(tmp_path / "elsewhere")
    (run_folder.path / "shards").symlink_to(elsewhere)
    assert "a link, where a folder is wanted" in shards.read([run_folder.path]).problems[0]


def test_fault_28_no_problem_moves_the_cursor(run_folder: RunFolder) -> None:
    path = shard_path(run_folder)
    path.write_text(path.read_text().replace('"error"', '"\\u001b[2J\\u202eerror"'))
    (problem,) = shards.read([run_folder.path]).problems
    assert "does not have the hash" in problem
    path.rename(path.with_name("\x1b[2J.json"))
    (problem,) = shards.read([run_folder.path]).problems
    assert "?[2J.json" in problem


def test_fault_28_a_file_whose_name_is_no_text(run_folder: RunFolder) -> None:
    Path(os.fsdecode(os.fsencode(shard_path(run_folder).parent) + b"/b\xff.json")).touch()
    (problem,) = shards.read([run_folder.path]).problems
    assert "b\\udcff.json: not JSON" in problem


def test_fault_27_arrays_that_claim_to_be_huge(run_folder: RunFolder, monkeypatch: Any) -> None:
    monkeypatch.setattr(shards, "MAX_ARRAYS_BYTES", 100)
    found = shards.read([run_folder.path])
    assert len(found.problems) == 3
    assert "larger than" in found.problems[0]


def test_a_huge_file_is_not_read(run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shard_path(run_folder)
    path.write_bytes(path.read_bytes() + b" " * 10_000)
    monkeypatch.setattr(envelopes, "MAX_JSON_BYTES", 9_000)
    assert "larger than" in one_problem(run_folder)


def test_a_shard_of_another_run_is_refused(run_folder: RunFolder) -> None:
    other = store_run(run_folder.path.parent, [accuracy_payload("jax")])
    shutil.copy(shard_path(other), shard_path(run_folder))
    assert f"belongs to run {other.run_id}" in one_problem(run_folder)


def test_fault_16_a_shard_under_another_name_is_refused(run_folder: RunFolder) -> None:
    shard_path(run_folder).rename(shard_path(run_folder).with_name("other.json"))
    assert "under another name" in one_problem(run_folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "<script>"}, "$.status"),
        ({"extra": 1}, "unknown field `extra`"),
        ({"training": None}, "status ok, but no result"),
        ({"wall_seconds": None}, "status ok, but no wall_seconds or start_seconds"),
        ({"cell": {"model": "../../x"}}, "$.cell"),
        ({"protocol": PROTOCOL | {"epochs": 3}}, "not all of its 3 epochs"),
        ({"protocol": PROTOCOL | {"epochs": 2**53}}, "not all of its 9007199254740992 epochs"),
        ({"protocol": PROTOCOL | {"dataset": "digits"}}, "by another protocol than the plan's"),
        ({"protocol": PROTOCOL | {"test_examples": 1}}, "by another protocol than the plan's"),
        ({"cell": accuracy_payload("jax", seed=77)["cell"]}, "a training that was not planned"),
        ({"error": "half a surrogate: \ud800"}, "surrogates not allowed"),
        ({"cell": {**accuracy_payload("jax")["cell"], "model": "x\n"}}, "$.cell.model"),
        ({"protocol": PROTOCOL | {"batch_size": 100}}, "600 steps, where 1200 were planned"),
        ({"worker": accuracy_payload("torch")["worker"]}, "no version of jax"),
        ({"cell": accuracy_payload("torch")["cell"]}, "no version of torch"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused(
    run_folder: RunFolder, change: dict[str, Any], words: str
) -> None:
    rewrite(shard_path(run_folder), run_folder, change)
    assert words in one_problem(run_folder)


def test_arrays_that_were_exchanged_are_refused(run_folder: RunFolder) -> None:
    arrays = shard_path(run_folder).with_suffix(".npz")
    np.savez(arrays, probabilities=predictions(0))
    assert "does not have the hash" in one_problem(run_folder)
    arrays.unlink()
    assert "No such file" in one_problem(run_folder)


def test_arrays_of_another_form_are_refused(tmp_path: Path) -> None:
    payload = accuracy_payload("jax")
    payload["protocol"]["test_examples"] = 100
    run_folder = store_run(tmp_path, [payload])
    (problem,) = shards.read([run_folder.path]).problems
    assert "labels for 100 test examples" in problem


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    found = shards.read([tmp_path / "nothing", tmp_path])
    assert "no such run" in found.problems[0]
    assert "not a run: it has no shards/plan.json" in found.problems[1]


def test_fault_16_a_run_given_twice_is_read_once(run_folder: RunFolder) -> None:
    found = shards.read([run_folder.path, run_folder.path])
    assert len(found.accuracy) == 3
    assert "given twice" in found.problems[0]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.from_regex(r'\{"schema": .*\}', fullmatch=True).map(str.encode))
def test_nothing_but_a_shard_error_is_ever_raised(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.json"
    path.write_bytes(data)
    with pytest.raises(envelopes.ShardError):
        envelopes.read_envelope(path)
