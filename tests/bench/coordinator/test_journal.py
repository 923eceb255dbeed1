import errno
import json
import os
import secrets
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from bench.contract.errors import DataError, StorageError, UsageError
from bench.coordinator import run_folder as journal_module
from bench.coordinator.run_folder import Journal

PAYLOAD = {"status": "ok", "value": 1.5, "list": [1, None, "text"]}
ARRAYS = {"a": np.arange(5, dtype=np.float32)}


class OneSecond(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(tmp_path / "results")


def test_what_is_written_is_read(journal: Journal) -> None:
    journal.write("accuracy", "cell.try1", PAYLOAD)
    assert journal.read("accuracy", "cell.try1") == PAYLOAD
    assert journal.read("accuracy", "cell.try2") is None
    assert journal.read("plan", "cell.try1") is None


def test_a_damaged_shard_is_not_read(journal: Journal) -> None:
    journal.write("accuracy", "cell.try1", PAYLOAD, ARRAYS)
    for suffix in ("json", "npz"):
        path = journal.folder / "shards" / f"cell.try1.{suffix}"
        whole = path.read_bytes()
        for length in range(0, len(whole), 7):
            path.write_bytes(whole[:length])
            assert journal.read("accuracy", "cell.try1") is None
        for position in range(0, len(whole), 5):
            path.write_bytes(
                whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :]
            )
            assert journal.read("accuracy", "cell.try1") is None
        path.write_bytes(whole)
        assert journal.read("accuracy", "cell.try1") is not None


def test_results_that_are_a_link_to_nowhere_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(tmp_path / "gone")
    with pytest.raises(StorageError, match="File exists"):
        Journal.create(tmp_path / "results")


def test_shards_never_change(journal: Journal) -> None:
    journal.write("accuracy", "cell.try1", PAYLOAD)
    with pytest.raises(ValueError, match="never change"):
        journal.write("accuracy", "cell.try1", {"status": "other"})
    assert journal.read("accuracy", "cell.try1") == PAYLOAD


def test_attempts_are_in_order_and_of_one_cell_alone(journal: Journal) -> None:
    for shard_id in ("cell.try10", "cell.try2", "cell2.try1", "cell.try2x", "mycell.try1"):
        journal.write("accuracy", shard_id, PAYLOAD)
    assert journal.attempts("cell") == ["cell.try2", "cell.try10"]


@pytest.mark.parametrize("shard_id", ["../escape", "a/b", "", "x" * 129, "nul\0"])
def test_fault_28_an_id_cannot_leave_the_folder(journal: Journal, shard_id: str) -> None:
    with pytest.raises(ValueError, match="bad shard id"):
        journal.write("accuracy", shard_id, PAYLOAD)


def test_nan_is_not_stored(journal: Journal) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.write("accuracy", "cell.try1", {"loss": float("nan")})
    assert list((journal.folder / "shards").iterdir()) == []


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_disk_that_fails_leaves_nothing_half_written(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, fail)
        with pytest.raises(StorageError) as caught:
            journal.write("accuracy", "cell.try1", PAYLOAD)
    assert "cell.try1.json" in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert list((journal.folder / "shards").iterdir()) == []
    journal.write("accuracy", "cell.try1", PAYLOAD)
    assert journal.read("accuracy", "cell.try1") == PAYLOAD


def test_a_results_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        Journal.create(tmp_path / "file" / "results")


def test_two_runs_that_draw_one_name_get_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = iter(["cf2e", "cf2e", "cf2e", "0a1b"])
    monkeypatch.setattr(journal_module, "datetime", OneSecond)
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(draws))
    first, second = Journal.create(tmp_path), Journal.create(tmp_path)
    assert first.run_id == "20260102T030405Z-cf2e"
    assert second.run_id == "20260102T030405Z-0a1b"


def test_names_that_are_all_taken_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "datetime", OneSecond)
    monkeypatch.setattr(secrets, "token_hex", lambda _: "cf2e")
    Journal.create(tmp_path)
    with pytest.raises(StorageError, match="names of runs are taken; choose another --results"):
        Journal.create(tmp_path)


def test_a_full_disk_is_seen_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "FREE_BYTES_WANTED", 1 << 60)
    with pytest.raises(StorageError, match="MiB free"):
        Journal.create(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal.create(tmp_path)
        journal.point_latest()
        assert (tmp_path / "latest").resolve() == journal.folder
    assert len({path.name for path in tmp_path.iterdir()}) == 3


def test_resume_finds_a_run_by_name_and_by_latest(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path)
    journal.point_latest()
    for name in (journal.run_id, "latest"):
        assert Journal.resume(tmp_path, name).run_id == journal.run_id


@pytest.mark.parametrize("name", ["nothing", "..", "../results", ""])
def test_resume_of_what_is_no_run(tmp_path: Path, name: str) -> None:
    Journal.create(tmp_path)
    with pytest.raises(UsageError, match="no run"):
        Journal.resume(tmp_path, name)


def test_a_run_without_a_plan_cannot_go_on(journal: Journal) -> None:
    with pytest.raises(DataError, match=r"plan\.json: missing or damaged"):
        journal.plan()


def test_a_shard_is_plain_json(journal: Journal) -> None:
    journal.write("accuracy", "cell.try1", PAYLOAD)
    content = json.loads((journal.folder / "shards" / "cell.try1.json").read_text())
    assert content.keys() == {"schema", "kind", "run_id", "shard_id", "sha256", "payload"}
    assert content["payload"] == PAYLOAD


def test_a_run_of_another_schema_is_not_called_damaged(journal: Journal) -> None:
    journal.write("plan", "plan", PAYLOAD)
    path = journal.folder / "shards" / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 5}))
    with pytest.raises(DataError, match="of schema 5, which can be reported but not gone on with"):
        journal.plan()
