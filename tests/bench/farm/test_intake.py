"""What comes back is taken in once, whole, and only where it is what was asked for."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.contract.envelopes import sealed
from bench.contract.errors import DataError
from bench.contract.schema import WorkerInfo
from bench.coordinator.run_folder import RunFolder, packed
from bench.coordinator.speed.launches import machines, stored
from bench.farm import archives, inputs, intake
from bench.farm.greeting import environment
from bench.farm.units import Unit
from reports.read import shards
from tests.support.stored_launches import launch_payload
from tests.support.stored_runs import accuracy_payload, answers, failed_payload, store_run

CELL = "single_layer-stock-jax-cpu-seed0"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return store_run(tmp_path, [], planned=[accuracy_payload("jax")])


def unit(run: RunFolder, part: str = CELL) -> Unit:
    told = msgspec.convert(accuracy_payload("jax")["worker"], WorkerInfo)
    return Unit("accuracy", part, run.run_id, "a" * 64, (), {"jax": environment(told)})


def archive(run: RunFolder, name: str = f"{CELL}.try1", run_id: str = "", **changes: Any) -> bytes:
    """What a node sends after a training."""
    data, sha256 = packed(answers(accuracy_payload("jax"), 2))
    payload = accuracy_payload("jax") | {"arrays_sha256": sha256} | changes
    content = sealed("accuracy", run_id or run.run_id, name, payload)
    return archives.packed({f"{name}.json": content, f"{name}.npz": data})


def test_a_result_is_stored_once(folder: RunFolder) -> None:
    data = archive(folder)
    assert intake.take(unit(folder), data, folder) == "stored"
    stored = sorted(path.name for path in folder.path.glob("shards/*seed0*"))
    assert stored == [f"{CELL}.try1.json", f"{CELL}.try1.npz"]
    assert intake.take(unit(folder), data, folder) == "equal"
    assert sorted(path.name for path in folder.path.glob("shards/*seed0*")) == stored


def test_a_second_result_is_told_and_not_stored(folder: RunFolder) -> None:
    intake.take(unit(folder), archive(folder), folder)
    late = archive(folder, wall_seconds=123.0)
    assert intake.take(unit(folder), late, folder) == "other"
    assert len(folder.attempts(CELL)) == 1


def test_one_that_failed_is_followed_by_the_next(folder: RunFolder) -> None:
    name, payload = f"{CELL}.try1", failed_payload("jax")
    data = archives.packed({f"{name}.json": sealed("accuracy", folder.run_id, name, payload)})
    assert intake.take(unit(folder), data, folder) == "stored"
    assert intake.take(unit(folder), archive(folder), folder) == "stored"
    assert folder.attempts(CELL) == [f"{CELL}.try1", f"{CELL}.try2"]
    assert shards.read([folder.path]).problems == []


def _of_other_arrays(run: RunFolder) -> bytes:
    files = archives.unpacked(archive(run))
    files[f"{CELL}.try1.npz"] = packed({"probabilities": np.zeros((2, 10), np.float32)})[0]
    return archives.packed(files)


def _without_arrays(run: RunFolder) -> bytes:
    files = archives.unpacked(archive(run))
    return archives.packed({n: c for n, c in files.items() if n.endswith(".json")})


def _of_other_packages(run: RunFolder) -> bytes:
    worker = accuracy_payload("jax")["worker"]
    return archive(run, worker=worker | {"versions": worker["versions"] | {"numpy": "9.9"}})


def _changed(run: RunFolder) -> bytes:
    files = archives.unpacked(archive(run))
    told = json.loads(files[f"{CELL}.try1.json"])
    told["payload"]["wall_seconds"] = 1.0
    return archives.packed(files | {f"{CELL}.try1.json": json.dumps(told).encode()})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda run: archive(run, run_id="another"), "of another run"),
        (lambda run: archive(run, name="single_layer-stock-jax-cpu-seed7.try1"), "not of accuracy"),
        (lambda run: archive(run, name="plan"), "not of accuracy"),
        (_of_other_arrays, "not its arrays"),
        (_without_arrays, "arrays are missing"),
        (_of_other_packages, "jax has other packages where it was made"),
        (_changed, "does not have the hash"),
        (lambda run: archive(run)[:-600], "cut short"),
        (lambda _: archives.packed({}), "without a result"),
        (lambda run: archives.packed({**archives.unpacked(archive(run)), "x.py": b""}), "x.py"),
    ],
)
def test_what_was_not_asked_for_is_refused_and_leaves_nothing(
    folder: RunFolder, make: Any, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        intake.take(unit(folder), make(folder), folder)
    assert list(folder.path.glob("shards/*seed*")) == []


def speed(run: RunFolder, number: int, machine: str = "m1") -> bytes:
    """What a node sends after a launch."""
    made, name = launch_payload(number), f"speed-launch{number:02}"
    content = sealed(
        "speed", run.run_id, name, made | {"machine": made["machine"] | {"id": machine}}
    )
    return archives.packed({f"{name}.json": content})


def launches(run: RunFolder, count: int, elsewhere: str = "") -> Unit:
    told = [msgspec.convert(lane["worker"], WorkerInfo) for lane in launch_payload(1)["lanes"]]
    hashes = {each.lane: environment(each) for each in told}
    return Unit("speed", str(count), run.run_id, "a" * 64, (), hashes, (), elsewhere)


def test_launches_of_each_machine_are_kept_apart(folder: RunFolder) -> None:
    assert intake.take(launches(folder, 0), speed(folder, 1), folder) == "stored"
    there = launches(folder, 0, "m2")
    assert intake.take(there, speed(folder, 1, "m2"), folder) == "stored"
    assert intake.take(there, speed(folder, 1, "m2"), folder) == "equal"
    assert [one.machine.id for one in stored(folder)] == ["m1"]
    assert [one.machine.id for one in stored(folder, "m2")] == ["m2"]
    assert {place: one.id for place, one in machines(folder).items()} == {"": "m1", "m2": "m2"}
    # What a node gets of them are launches as if they were of its own run.
    (name,) = archives.unpacked(inputs.launches(folder, "m2"))
    assert name == "speed-launch01.json"


@pytest.mark.parametrize("elsewhere", ["", "m2"])
def test_a_launch_of_another_machine_than_the_first_is_refused(
    folder: RunFolder, elsewhere: str
) -> None:
    machine = elsewhere or "m1"
    intake.take(launches(folder, 0, elsewhere), speed(folder, 1, machine), folder)
    with pytest.raises(DataError, match="of another machine than those before it"):
        intake.take(launches(folder, 1, elsewhere), speed(folder, 2, "m3"), folder)
    assert len(stored(folder, elsewhere)) == 1


def test_a_piece_gives_no_shard_of_another_kind(folder: RunFolder) -> None:
    parity = Unit("parity", "single_layer", folder.run_id, "a" * 64, ())
    with pytest.raises(DataError, match="accuracy shard, of a parity piece"):
        intake.take(parity, archive(folder), folder)
