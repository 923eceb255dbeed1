import errno
import json
import os
import secrets
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from bench.contract.envelopes import content_sha256
from bench.contract.errors import DataError, StorageError, UsageError
from bench.contract.schema import Accuracy, Plan
from bench.coordinator import run_folder as module
from bench.coordinator.run_folder import RunFolder
from tests.support.stored_runs import accuracy_payload, keep, run_plan

RECORD = msgspec.convert(accuracy_payload("jax"), Accuracy)
ARRAYS = {"a": np.arange(5, dtype=np.float32)}


class OneSecond(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "results")


def test_what_is_written_is_read(run_folder: RunFolder) -> None:
    run_folder.write("cell.try1", RECORD)
    assert run_folder.read("cell.try1", Accuracy) == RECORD
    assert run_folder.read("cell.try2", Accuracy) is None
    assert run_folder.read("cell.try1", Plan) is None


def test_a_damaged_shard_is_not_read(run_folder: RunFolder) -> None:
    run_folder.write("cell.try1", RECORD, ARRAYS)
    for suffix in ("json", "npz"):
        path = run_folder.path / "shards" / f"cell.try1.{suffix}"
        whole = path.read_bytes()
        for length in range(0, len(whole.rstrip()), 7):  # its last newline says nothing
            path.write_bytes(whole[:length])
            assert run_folder.read("cell.try1", Accuracy) is None
        for position in range(0, len(whole), 5):
            path.write_bytes(
                whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :]
            )
            assert run_folder.read("cell.try1", Accuracy) is None
        path.write_bytes(whole)
        assert run_folder.read("cell.try1", Accuracy) is not None


def test_results_that_are_a_link_to_nowhere_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(tmp_path / "gone")
    with pytest.raises(StorageError, match="File exists"):
        RunFolder.create(tmp_path / "results")


def test_shards_never_change(run_folder: RunFolder) -> None:
    run_folder.write("cell.try1", RECORD)
    with pytest.raises(ValueError, match="never change"):
        run_folder.write("cell.try1", replace(RECORD, error="other"))
    assert run_folder.read("cell.try1", Accuracy) == RECORD


def test_attempts_are_in_order_and_of_one_cell_alone(run_folder: RunFolder) -> None:
    for shard_id in ("cell.try10", "cell.try2", "cell2.try1", "cell.try2x", "mycell.try1"):
        run_folder.write(shard_id, RECORD)
    assert run_folder.attempts("cell") == ["cell.try2", "cell.try10"]


@pytest.mark.parametrize("shard_id", ["../escape", "a/b", "", "x" * 193, "nul\0"])
def test_fault_28_an_id_cannot_leave_the_folder(run_folder: RunFolder, shard_id: str) -> None:
    with pytest.raises(ValueError, match="bad shard id"):
        run_folder.write(shard_id, RECORD)


def test_what_no_report_reads_is_not_stored(run_folder: RunFolder) -> None:
    assert RECORD.training is not None
    for seconds, words in ((float("nan"), "Expected `float`"), (-1.0, "Expected `float` >= 1e-09")):
        training = replace(RECORD.training, load_seconds=seconds)
        with pytest.raises(ValueError, match=words):
            run_folder.write("cell.try1", replace(RECORD, training=training))
    assert list((run_folder.path / "shards").iterdir()) == []


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_disk_that_fails_leaves_nothing_half_written(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, fail)
        with pytest.raises(StorageError) as caught:
            run_folder.write("cell.try1", RECORD)
    assert "cell.try1.json" in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert list((run_folder.path / "shards").iterdir()) == []
    run_folder.write("cell.try1", RECORD)
    assert run_folder.read("cell.try1", Accuracy) == RECORD


def test_a_results_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        RunFolder.create(tmp_path / "file" / "results")


def test_two_runs_that_draw_one_name_get_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = iter(["cf2e", "cf2e", "cf2e", "0a1b"])
    monkeypatch.setattr(module, "datetime", OneSecond)
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(draws))
    first, second = RunFolder.create(tmp_path), RunFolder.create(tmp_path)
    assert first.run_id == "20260102T030405Z-cf2e"
    assert second.run_id == "20260102T030405Z-0a1b"


def test_names_that_are_all_taken_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "datetime", OneSecond)
    monkeypatch.setattr(secrets, "token_hex", lambda _: "cf2e")
    RunFolder.create(tmp_path)
    with pytest.raises(StorageError, match="names of runs are taken; choose another --results"):
        RunFolder.create(tmp_path)


def test_a_full_disk_is_seen_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FREE_BYTES_WANTED", 1 << 60)
    with pytest.raises(StorageError, match="MiB free"):
        RunFolder.create(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    for _ in range(2):
        run_folder = RunFolder.create(tmp_path)
        run_folder.point_latest()
        assert (tmp_path / "latest").resolve() == run_folder.path
    assert len({path.name for path in tmp_path.iterdir()}) == 3


def test_resume_finds_a_run_by_name_and_by_latest(tmp_path: Path) -> None:
    run_folder = RunFolder.create(tmp_path)
    run_folder.point_latest()
    for name in (run_folder.run_id, "latest"):
        assert RunFolder.resume(tmp_path, name).run_id == run_folder.run_id


@pytest.mark.parametrize("name", ["nothing", "..", "../results", ""])
def test_resume_of_what_is_no_run(tmp_path: Path, name: str) -> None:
    RunFolder.create(tmp_path)
    with pytest.raises(UsageError, match="no run"):
        RunFolder.resume(tmp_path, name)


def test_a_run_without_a_plan_cannot_go_on(run_folder: RunFolder) -> None:
    with pytest.raises(DataError, match=r"plan\.json: missing or damaged"):
        run_folder.plan()


def test_a_shard_is_plain_json(run_folder: RunFolder) -> None:
    run_folder.write("cell.try1", RECORD)
    content = json.loads((run_folder.path / "shards" / "cell.try1.json").read_text())
    assert content.keys() == {"schema", "kind", "run_id", "shard_id", "sha256", "payload"}
    assert content["payload"] == msgspec.to_builtins(RECORD)


def test_a_run_of_another_schema_is_not_called_damaged(run_folder: RunFolder) -> None:
    keep(run_folder, "plan", "plan", run_plan([]))
    path = run_folder.path / "shards" / "plan.json"
    content = json.loads(path.read_text()) | {"schema": 5}
    del content["sha256"]
    path.write_text(json.dumps(content | {"sha256": content_sha256(content)}))
    with pytest.raises(DataError, match="of schema 5, which can be reported but not gone on with"):
        run_folder.plan()
