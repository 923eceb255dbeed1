"""Shards of older schemas are read as today's; their files stay as they are."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from bench.contract import migrations
from bench.contract.envelopes import read_envelope, sealed
from reports.read import shards

STORED = Path(__file__).parents[2] / "data"


def test_fault_13_a_run_of_schema_5_is_read_as_one_of_keras_as_shipped() -> None:
    """Written by the program that wrote schema 5, of the same made-up run as the golden one."""
    old = STORED / "schema5"
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    found, today = shards.read([old]), shards.read([STORED / "golden"])
    assert found.problems == []
    assert found.plans["golden"].variants == ["stock"]
    (lane, *_) = found.speed[0].payload.lanes
    assert [(each.variant, each.error) for each in lane.preparations] == [("stock", None)] * 2
    assert lane.preparations[0].costs == today.speed[0].payload.lanes[0].preparations[0].costs
    assert found.accuracy[0].payload == today.accuracy[0].payload
    assert {path: path.read_bytes() for path in before} == before


def test_every_schema_from_the_oldest_on_has_a_step() -> None:
    assert sorted(migrations.STEPS) == list(range(migrations.OLDEST, migrations.SCHEMA))
    assert read_envelope(STORED / "golden" / "shards" / "plan.json").schema == migrations.SCHEMA


@pytest.mark.parametrize("lanes", [None, [1], [{}], [{"preparations": [[]]}]])
def test_a_shard_that_only_claims_an_older_schema_is_told(tmp_path: Path, lanes: object) -> None:
    run = tmp_path / "golden"
    shutil.copytree(STORED / "schema5", run)
    path = run / "shards" / "speed-launch01.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    payload = content["payload"] | {"lanes": lanes}
    told = json.loads(sealed("speed", "golden", "speed-launch01", payload)) | {"schema": 5}
    told.pop("sha256")
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    told["sha256"] = hashlib.sha256(canonical).hexdigest()
    path.write_text(json.dumps(told), encoding="utf-8")
    (problem,) = shards.read([run]).problems
    assert "not of schema 5" in problem
