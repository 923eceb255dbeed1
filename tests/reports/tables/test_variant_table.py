"""What settings bring and what Keras costs, on simulated machines whose truth is known."""

from pathlib import Path

import pandas as pd
import pytest

from reports import precision
from reports.read import shards
from reports.statistics import intervals
from reports.tables import columns, pairs, samples, speed
from tests.support.stored_launches import (
    LATENCY,
    PREDICT,
    TRAIN,
    TRUTH,
    Machine,
    Payload,
    in_memory,
    launch_payload,
    store_launches,
)

SPEEDUPS = {"tuned": 2.0, "native": 1.5, "late": 1.25}
WORKLOADS = [TRAIN | {"variant": name} for name in ("stock", *SPEEDUPS)]


def launches(count: int = 3, machine: Machine | None = None, seed: int = 0) -> list[Payload]:
    return [
        launch_payload(
            number, workloads=WORKLOADS, speedups=SPEEDUPS, machine=machine, seed=seed, twin="torch"
        )
        for number in range(1, count + 1)
    ]


def table_of(payloads: list[Payload]) -> pd.DataFrame:
    return pairs.variants_table(*in_memory(payloads))


def test_every_variant_stands_over_stock_and_kerass_over_native() -> None:
    table = table_of(launches())
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("variants")
    true = {
        ("tuned", "stock"): 2.0,
        ("native", "stock"): 1.5,
        ("late", "stock"): 1.25,
        ("stock", "native"): 1 / 1.5,
        ("tuned", "native"): 2 / 1.5,
    }
    for backend, rows in table.groupby("lane"):
        found = rows.set_index(["variant", "over"])["ratio"].to_dict()
        assert found == {pair: pytest.approx(ratio) for pair, ratio in true.items()}, backend
    assert len(table) == 3 * len(true)  # the twin has none of its own
    assert set(table["rounds"]) == {18}


def test_intervals_hold_the_truth_of_a_noisy_machine() -> None:
    """95 % nominal, and what a launch does to all variants of a lane alike cancels."""
    noisy, told, held = Machine(round_sd=0.2, launch_sd=0.1, turn_sd=0.03), 0, 0
    for seed in range(12):
        table = table_of(launches(8, noisy, seed))
        tuned = table[(table["variant"] == "tuned") & (table["over"] == "stock")]
        told += int(tuned["ratio"].notna().sum())
        held += int(((tuned["low"] < 2) & (tuned["high"] > 2)).sum())
    assert told == 36
    assert held >= 0.85 * told


def test_a_pair_has_its_own_family_of_phases() -> None:
    phases = [each | {"variant": name} for each in (TRAIN, PREDICT) for name in ("stock", "tuned")]
    payloads = [launch_payload(n, workloads=phases, speedups=SPEEDUPS) for n in (1, 2, 3)]
    table = table_of(payloads)
    assert set(zip(table["phase"], table["variant"], strict=True)) == {
        ("train", "tuned"),
        ("predict", "tuned"),
    }


def test_what_could_not_be_prepared_is_a_row_with_the_reason(tmp_path: Path) -> None:
    """And voids no round: the other lanes are whole without it."""
    payloads = launches()
    late = WORKLOADS.index(TRAIN | {"variant": "late"})
    for payload in payloads:
        record = payload["lanes"][0]
        (prepared,) = (each for each in record["preparations"] if each["variant"] == "late")
        prepared |= {"error": "RuntimeError: no compiler", "costs": None}
        record["warm_ups"] = [each for each in record["warm_ups"] if each["workload"] != late]
        for item in payload["rounds"]:
            if item["workload"] == late:
                item["samples"] = [each for each in item["samples"] if each["lane"] != 0]
    found = shards.read([store_launches(tmp_path, payloads).path])
    assert found.problems == []
    measured = samples.collect(found)
    assert set(measured.rounds["void"]) == {""}
    table = pairs.variants_table(found, measured)
    failed = table[table["verdict"] == speed.FAILED]
    assert failed[["lane", "variant", "error"]].to_numpy().tolist() == [
        ["tensorflow", "late", "RuntimeError: no compiler"]
    ]
    assert failed["ratio"].isna().all()
    assert set(table.loc[table["lane"] != "tensorflow", "rounds"]) == {18}


def test_a_preparation_that_went_well_and_failed_is_rejected(tmp_path: Path) -> None:
    payloads = launches()
    payloads[0]["lanes"][0]["preparations"][0]["error"] = "no"
    found = shards.read([store_launches(tmp_path, payloads).path])
    assert "went well and failed" in found.problems[0]


def test_latency_is_compared_too() -> None:
    workloads = [LATENCY | {"variant": name} for name in ("stock", "tuned")]
    payloads = [launch_payload(n, workloads=workloads, speedups=SPEEDUPS) for n in (1, 2, 3)]
    table = table_of(payloads)
    assert table["ratio"].to_list() == pytest.approx([2.0] * 3)
    assert intervals.MIN_LAUNCHES == 3


def test_a_run_of_one_backend_is_as_precise_as_its_variants(tmp_path: Path) -> None:
    """Else it would stop at its first look: there is no pair of backends."""
    noisy = Machine(launch_sd=0.05, turn_sd=0.1)
    truth = {"jax": TRUTH["jax"]}
    payloads = [
        launch_payload(n, truth=truth, workloads=WORKLOADS, speedups=SPEEDUPS, machine=noisy)
        for n in range(1, 5)
    ]
    found = shards.read([store_launches(tmp_path, payloads).path])
    widths = precision.half_widths(found)
    assert widths["main"] == 0
    assert 0.5 < widths["beside"] < 50
