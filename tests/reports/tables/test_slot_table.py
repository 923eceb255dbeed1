"""The speed table of runs that measured slots in turn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.read import shards
from reports.tables import accuracy, cells, columns, samples, speed
from tests.support.stored_launches import (
    ANCHOR_GFLOPS,
    LATENCY,
    PREDICT,
    TRUTH,
    Machine,
    launch_payload,
    mutate,
    store_launches,
    turns_of,
)
from tests.support.stored_runs import BACKENDS, accuracy_payload, store_run


def table_of(*folders: Path) -> pd.DataFrame:
    found = shards.read(folders)
    assert found.problems == []
    return speed.table(found, accuracy.table(found), samples.collect(found), cells.collect(found))


def test_a_row_says_what_the_lane_truly_does(tmp_path: Path) -> None:
    launches = [launch_payload(number, twin="jax") for number in (1, 2, 3)]
    table = table_of(store_launches(tmp_path, launches).path)
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("speed")
    assert table["lane"].tolist() == list(TRUTH)
    row = table.set_index("lane").loc["tensorflow"]
    assert row["images_per_second"] == pytest.approx(200 / 0.004)
    assert row["ms_per_step"] == pytest.approx(4)
    assert row["fixed_seconds"] == pytest.approx(0.1)
    assert row["gflops"] == pytest.approx(200 * 30_000 / 0.004 / 1e9)
    assert row["utilisation_percent"] == pytest.approx(100 * row["gflops"] / ANCHOR_GFLOPS)
    assert row["cpu_seconds_per_step"] == pytest.approx(1.5 * (0.2 + 41 * 0.004) / 41)
    assert row["page_faults_per_step"] == 10
    assert (row["launches"], row["rounds"], row["status"]) == (3, 18, "ok")
    assert (row["import_seconds"], row["first_step_seconds"]) == (3, 4)
    assert np.isnan(row["peak_rss_mib"])


def test_the_interval_is_that_of_the_launches(tmp_path: Path) -> None:
    machine = Machine(launch_sd=0.03)
    launches = [launch_payload(number, machine=machine) for number in range(1, 9)]
    table = table_of(store_launches(tmp_path, launches).path).set_index("lane")
    # Torch has no price of a call, and this machine no noise within a launch.
    steps = [turns_of(payload, "torch")[0]["seconds"] / 40 for payload in launches]
    expected = stats.ttest_1samp(np.log(200 / np.array(steps)), 0).confidence_interval(0.95)
    row = table.loc["torch"]
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.exp(expected)))
    assert row["images_per_second"] == pytest.approx(stats.gmean(200 / np.array(steps)))
    few = table_of(store_launches(tmp_path, launches[:2]).path)
    assert few[["low", "high"]].isna().all(axis=None)


def test_start_and_memory_come_from_workers_that_had_the_machine_to_themselves(
    tmp_path: Path,
) -> None:
    trained = [accuracy_payload(backend, seed=seed) for backend in BACKENDS for seed in (0, 1)]
    folder = store_launches(tmp_path, [launch_payload(1)], trained).path
    table = table_of(folder)
    assert len(table) == 3
    assert set(table["first_step_seconds"]) == {2}
    assert set(table["peak_rss_mib"]) == {700}


def test_latency_has_percentiles_of_single_calls(tmp_path: Path) -> None:
    launches = [launch_payload(number, workloads=[PREDICT, LATENCY]) for number in (1, 2, 3)]
    table = table_of(store_launches(tmp_path, launches).path)
    slots = table[table["batch_size"] == 200]
    assert slots.filter(like="latency").isna().all(axis=None)
    assert slots.set_index("lane").loc["jax", "gflops"] == pytest.approx(200 * 10_000 / 0.004 / 1e9)
    calls = table[table["batch_size"] == 1].set_index("lane")
    assert calls.loc["jax", "latency_p99_ms"] == pytest.approx(4)
    assert calls.loc["jax", "images_per_second"] == pytest.approx(250)
    assert pd.isna(calls["fixed_seconds"]["jax"])


def test_a_gpu_is_not_measured_by_the_processors_product(tmp_path: Path) -> None:
    payload = launch_payload(1)
    for record in payload["lanes"]:
        record["lane"]["device"] = record["worker"]["device"] = "gpu"
    mutate(
        [payload],
        "jax",
        lambda _: {"seconds": 1e-3, "one_step_seconds": 1e-4, "call_seconds": 1e-2},
    )
    table = table_of(store_launches(tmp_path, [payload]).path)
    assert set(table["status"]) == {"ok"}
    assert table["utilisation_percent"].isna().all()
    assert table["gflops"].max() > ANCHOR_GFLOPS


def test_flops_that_were_not_counted_leave_no_utilisation(tmp_path: Path) -> None:
    payload = launch_payload(1)
    for record in payload["lanes"]:
        record["preparations"][0]["costs"]["train_flops"] = None
    table = table_of(store_launches(tmp_path, [payload]).path)
    assert table[["gflops", "utilisation_percent"]].isna().all(axis=None)
    assert set(table["status"]) == {"ok"}


def test_what_is_not_there_is_a_row(tmp_path: Path) -> None:
    none = launch_payload(1)
    none["rounds"] = []
    run_folder = store_launches(tmp_path, [none], rounds=6)
    table = table_of(run_folder.path)
    assert table["status"].tolist() == ["missing"] * 3
    assert table["launches"].tolist() == [0] * 3


def test_a_lane_that_failed_for_good_is_not_hidden_by_good_launches(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2)]
    launches[1]["lanes"][2] |= {"status": "timed_out", "worker": None, "warm_ups": []}
    for item in launches[1]["rounds"]:
        item["samples"] = [sample for sample in item["samples"] if sample["lane"] != 2]
    table = table_of(store_launches(tmp_path, launches).path).set_index("lane")
    assert table["status"].to_dict() == {"tensorflow": "ok", "jax": "ok", "torch": "timed_out"}
    assert table["launches"].to_dict() == {"tensorflow": 2, "jax": 2, "torch": 1}
    assert table["rounds"].to_dict() == {"tensorflow": 12, "jax": 12, "torch": 6}


def test_an_invalid_lane_shows_no_figures(tmp_path: Path) -> None:
    launches = [launch_payload(1)]
    mutate(launches, "jax", lambda _: {"compilations": 1})
    table = table_of(store_launches(tmp_path, launches).path).set_index("lane")
    assert table["status"].to_dict() == {"tensorflow": "ok", "jax": "invalid", "torch": "ok"}
    assert pd.isna(table["images_per_second"]["jax"])


def test_one_bad_sample_is_left_out_and_told_by_the_count(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2)]
    turns_of(launches[0], "jax")[0]["compilations"] = 1
    table = table_of(store_launches(tmp_path, launches).path).set_index("lane")
    assert (table.loc["jax", "status"], table.loc["jax", "rounds"]) == ("ok", 11)


def test_a_required_backend_that_was_not_planned_is_a_row(tmp_path: Path) -> None:
    folder = store_launches(tmp_path, [launch_payload(1)], [accuracy_payload("jax")]).path
    found = shards.read([folder])
    required = accuracy.table(found, ["cupy"])
    table = speed.table(found, required, samples.collect(found), cells.collect(found))
    assert table.set_index("lane")["status"]["cupy"] == "missing"


def test_a_run_with_slots_and_one_without_stand_in_one_table(tmp_path: Path) -> None:
    launches = [launch_payload(1, truth={"jax": TRUTH["jax"]})]
    with_slots = store_launches(tmp_path, launches, [accuracy_payload("jax")])
    without = store_run(tmp_path, [accuracy_payload("torch")])
    table = table_of(with_slots.path, without.path).set_index("lane")
    assert table.loc["jax", "images_per_second"] == pytest.approx(200 / 0.008)
    assert table.loc["torch", "images_per_second"] == pytest.approx(60_000 / 20)


def test_what_a_hypervisor_took_is_taken_off(tmp_path: Path) -> None:
    """Each percent costs JAX 4 % here and torch nothing, and more is taken in each launch."""
    quiet = table_of(store_launches(tmp_path, [launch_payload(n) for n in (1, 2, 3, 4)]).path)
    launches = [launch_payload(number) for number in (1, 2, 3, 4)]
    generator = np.random.default_rng(0)
    for number, payload in enumerate(launches):
        percent, cores = 2 * number, len(payload["state"]["affinity"])
        for backend in TRUTH:
            for sample in turns_of(payload, backend):
                factor = float(np.exp(0.04 * percent)) if backend == "jax" else 1.0
                for name in TIMES:
                    sample[name] *= factor
                worked = sum(sample[name] for name in TIMES) - sample["call_seconds"]
                ticks = percent / 100 * worked / samples.TICK_SECONDS
                counted = np.floor(ticks + generator.random(cores)).sum()  # each core on its own
                sample["steal_seconds"] = float(counted * samples.TICK_SECONDS)
    rows = table_of(store_launches(tmp_path / "noisy", launches).path).set_index("lane")
    assert rows["images_per_second"].to_list() == pytest.approx(
        quiet["images_per_second"].to_list(), rel=0.02
    )
    assert rows["steal_percent"].to_list() == pytest.approx([3.0] * 3, abs=0.3)  # it comes in ticks
    # exp(0.04 x 3) - 1
    assert rows.loc["jax", "steal_slowdown_percent"] == pytest.approx(12.7, abs=1)
    assert rows.loc["torch", "steal_slowdown_percent"] == 0


TIMES = (
    "seconds",
    "one_step_seconds",
    "outside_seconds",
    "one_step_outside_seconds",
    "call_seconds",
)


def test_a_value_that_no_column_is_declared_for_is_not_lost() -> None:
    with pytest.raises(KeyError, match=r"\[history\.columns\]: watts missing"):
        columns.frame("history", [{"watts": 1.0}])
