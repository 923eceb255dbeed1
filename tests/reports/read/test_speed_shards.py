"""Speed shards as foreign input: one that lies is one line, two that do not fit are refused."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.contract.envelopes import sealed
from reports.read import shards
from reports.tables import comparable
from tests.support.stored_launches import (
    LATENCY,
    TRAIN,
    Payload,
    in_memory,
    launch_payload,
    store_launches,
)
from tests.support.stored_runs import accuracy_payload, keep, store_run


def launches(count: int = 2) -> list[Payload]:
    workloads = [TRAIN, LATENCY]
    return [
        launch_payload(number, twin="jax", workloads=workloads, rounds=2)
        for number in range(1, count + 1)
    ]


def sample(payload: Payload, workload: int = 0) -> Payload:
    found: Payload = payload["rounds"][workload]["samples"][0]
    return found


def test_what_bench_writes_reports_reads(tmp_path: Path) -> None:
    found = shards.read([store_launches(tmp_path, launches(12)).path])
    assert found.problems == []
    assert [shard.payload.launch for shard in found.speed] == list(range(1, 13))
    assert len(found.speed[0].payload.rounds[0].samples) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.update(launch=1), "launch 1 stands in another shard too"),
        (lambda p: p.update(launch=0), "$.launch"),
        (lambda p: p.update(extra=1), "unknown field `extra`"),
        (lambda p: p["workloads"][0].update(batch_size=9), "a workload that was not planned"),
        (lambda p: p["workloads"].append(TRAIN), "duplicate workload"),
        (lambda p: p["lanes"].append(p["lanes"][0]), "duplicate lane"),
        (lambda p: p["lanes"][3]["lane"].update(lane="x"), "a lane that was not planned"),
        (lambda p: p["lanes"].pop(), "a sample of lane 3, which there is not"),
        (
            lambda p: p["lanes"][0]["worker"].update(backend="jax"),
            "was run by tensorflow, jax on cpu",
        ),
        (lambda p: p["lanes"][0].update(worker=None), "status ok, but no worker"),
        (lambda p: p["lanes"][0]["worker"]["versions"].pop("keras"), "no version of keras"),
        (lambda p: p["lanes"][0]["warm_ups"][0].update(workload=2), "a warm-up of no workload"),
        (lambda p: p["lanes"][0]["warm_ups"][0].update(workload=1), "duplicate warm-up"),
        (lambda p: p["lanes"][0]["preparations"][0].update(model="x"), "is in no workload"),
        (lambda p: p["rounds"][0].update(workload=7), "there is no such workload"),
        (lambda p: p["rounds"].append(p["rounds"][0]), "duplicate round"),
        (lambda p: p["anchor"].append(p["anchor"][0]), "duplicate anchor of a round"),
        (lambda p: sample(p).update(lane=4), "a sample of lane 4"),
        (lambda p: sample(p).update(lane=-1), "Expected `int` >= 0"),
        (lambda p: p["rounds"][0]["samples"].append(sample(p)), "sample of a lane in one round"),
        (lambda p: sample(p).update(seconds=0.0), "$.rounds[0].samples[0].seconds"),
        (lambda p: sample(p).update(seconds=1e300), "$.rounds[0].samples[0].seconds"),
        (lambda p: sample(p).update(minor_faults=10**30), "minor_faults"),
        (lambda p: sample(p).update(one_step_seconds=None), "one_step_seconds must be there"),
        (lambda p: sample(p, 1).update(one_step_seconds=0.001), "one_step_seconds must be there"),
        (lambda p: sample(p).update(latencies=[0.001]), "1 latencies of 40 steps"),
        (lambda p: sample(p, 1)["latencies"].pop(), "39 latencies of 40 steps"),
    ],
)
def test_a_launch_that_does_not_hold_together_is_one_problem(
    tmp_path: Path, change: Callable[[Payload], object], words: str
) -> None:
    good, bad = copy.deepcopy(launches())
    folder = store_launches(tmp_path, [good]).path
    change(bad)
    run = json.loads((folder / "shards" / "plan.json").read_text())["run_id"]
    path = folder / "shards" / "speed-launch02.json"
    path.write_bytes(sealed("speed", run, path.stem, bad))
    found = shards.read([folder])
    assert [shard.payload.launch for shard in found.speed] == [1]
    (problem,) = found.problems
    assert words in problem
    assert "\n" not in problem


def test_a_launch_in_a_run_without_speed_is_refused(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax")])
    keep(run_folder, "speed", "speed-launch01", launch_payload(1))
    (problem,) = shards.read([run_folder.path]).problems
    assert "a launch, in a run that planned none" in problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.update(dataset_sha256="e" * 64), "datasets differ"),
        (lambda p: p["machine"].update(id="other"), "machines differ"),
        (
            lambda p: p["lanes"][1]["worker"]["versions"].update(keras="3.0"),
            "Keras versions differ",
        ),
        (lambda p: p["lanes"][1]["worker"]["versions"].update(jax="2.0"), "jax on cpu: versions"),
        (lambda p: p["lanes"][1]["worker"]["versions"].update(numpy="1.0"), "jax on cpu: versions"),
        (lambda p: p["lanes"][1]["worker"]["settings"].update(threads=9), "jax on cpu: settings"),
        (
            lambda p: p["lanes"][1]["preparations"][0]["costs"].update(jit_compile=False),
            "jit_compile differ",
        ),
        (
            lambda p: p["lanes"][1]["preparations"][0]["costs"].update(parameters=9),
            "parameters differ",
        ),
        (
            lambda p: p["lanes"][1]["preparations"][0]["costs"].update(weights_sha256="e" * 64),
            "initial weights differ",
        ),
    ],
)
def test_fault_15_launches_of_other_things_are_never_pooled(
    change: Callable[[Payload], object], words: str
) -> None:
    good, bad = copy.deepcopy(launches())
    change(bad)
    found, _ = in_memory([good, bad])
    with pytest.raises(comparable.NotComparableError, match=words):
        comparable.check(found)


def test_backends_may_differ_in_all_but_keras() -> None:
    (payload,) = copy.deepcopy(launches(1))
    payload["lanes"][0]["worker"]["versions"]["numpy"] = "1.0"
    payload["lanes"][0]["worker"]["settings"] = {"threads": 1}
    comparable.check(in_memory([payload])[0])
