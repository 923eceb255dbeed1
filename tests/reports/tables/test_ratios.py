import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract.schema import Lane, Workload
from reports import precision
from reports.read import shards
from reports.statistics import intervals
from reports.tables import columns, pairs, samples
from tests.support.stored_launches import (
    LATENCY,
    PREDICT,
    TRAIN,
    TRUTH,
    Machine,
    Payload,
    Truth,
    in_memory,
    launch_payload,
    read_launches,
    store_launches,
    turns_of,
)

LANES = [Lane(backend, "cpu", twin=False) for backend in TRUTH]
NOISY = Machine(round_sd=0.2, launch_sd=0.02, turn_sd=0.05)


def table_of(folder: Path, launches: list[Payload]) -> pd.DataFrame:
    return pairs.ratios_table(*read_launches(folder, launches))


def by_pair(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["lane", "baseline"])


def test_a_calm_machine_gives_the_true_ratios_without_the_price_of_calls(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    table = table_of(tmp_path, launches)
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("ratios")
    assert by_pair(table)["ratio"].to_dict() == {
        ("tensorflow", "jax"): pytest.approx(2.0),
        ("tensorflow", "torch"): pytest.approx(2.5),
        ("jax", "torch"): pytest.approx(1.25),
    }
    assert set(table["verdict"]) == {"faster"}
    assert set(table["launches"]) == {3}
    assert set(table["rounds"]) == {18}


def test_a_noisy_machine_gives_intervals_that_hold_the_truth() -> None:
    """95 % nominal; the rate itself is proven in test_statistics.py, with many more runs."""
    workload, (twin, *others) = Workload(**TRAIN), (Lane("jax", "cpu", twin=True), *LANES)
    truths = {(others[0], others[1]): 2, (others[1], others[2]): 1.25, (twin, others[1]): 1}
    held = 0
    for seed in range(30):
        launches = [launch_payload(n, machine=NOISY, twin="jax", seed=seed) for n in range(1, 9)]
        _, found = in_memory(launches)
        for (lane, baseline), true in truths.items():
            sides = (workload, lane), (workload, baseline)
            medians, rounds = pairs.values_of(found, "run", sides)
            low, high = intervals.interval(medians)
            assert (len(medians), rounds) == (8, 48)
            assert high / low < 1.2
            held += low < true < high
    assert held >= 0.85 * 90


def test_fewer_than_three_launches_are_indicative(tmp_path: Path) -> None:
    table = table_of(tmp_path, [launch_payload(number, twin="torch") for number in (1, 2)])
    assert set(table["verdict"]) == {"indicative"}
    assert table[["low", "high", "minimum_detectable_percent"]].isna().all(axis=None)
    assert by_pair(table).loc[("torch", "torch"), "ratio"] == pytest.approx(1)


def test_every_workload_has_its_own_pairs(tmp_path: Path) -> None:
    launches = [launch_payload(n, workloads=[TRAIN, PREDICT, LATENCY]) for n in (1, 2, 3)]
    table = table_of(tmp_path, launches)
    assert table.groupby(["phase", "batch_size"]).size().to_dict() == {
        ("train", 200): 3,
        ("predict", 200): 3,
        ("predict", 1): 3,
    }
    assert by_pair(table)["ratio"].loc[("jax", "torch")].to_list() == pytest.approx([1.25] * 3)


def test_a_lane_that_died_has_no_ratio_and_the_others_have_theirs(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    record = launches[2]["lanes"][1]
    record |= {"status": "crashed", "error": "jax on cpu: killed by SIGSEGV", "log": ""}
    for item in launches[2]["rounds"][2:]:
        item["samples"] = [sample for sample in item["samples"] if sample["lane"] != 1]
    table = by_pair(table_of(tmp_path, launches))
    assert table["verdict"].to_dict() == {
        ("tensorflow", "jax"): "missing",
        ("tensorflow", "torch"): "faster",
        ("jax", "torch"): "missing",
    }
    assert table.loc[("jax", "torch"), ["ratio", "low", "high"]].isna().all()
    # The round in which it died is void; those after it are whole rounds of the others.
    assert table.loc[("tensorflow", "torch"), "rounds"] == 17


def test_voided_rounds_do_not_count_whatever_they_say(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    for payload in launches:
        payload["rounds"][0]["evidence"] |= {"steal_percent": 30.0, "seconds": 100.0}
        for sample in payload["rounds"][0]["samples"]:
            if sample["lane"] == 0:
                for name in ("seconds", "one_step_seconds", "call_seconds"):
                    sample[name] *= 50
    table = by_pair(table_of(tmp_path, launches))
    assert table.loc[("tensorflow", "jax"), "ratio"] == pytest.approx(2.0)
    assert table.loc[("tensorflow", "jax"), "rounds"] == 15


def test_rounds_are_never_voided_by_their_times(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    for name in ("seconds", "one_step_seconds", "call_seconds"):
        turns_of(launches[0], "jax")[0][name] *= 50
    launches[0]["rounds"][0]["evidence"]["seconds"] = 100.0
    table = by_pair(table_of(tmp_path, launches))
    assert table.loc[("tensorflow", "jax"), "rounds"] == 18


def one_ratio(folder: Path, launches: list[Payload], pair: tuple[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = by_pair(table_of(folder, launches)).to_dict("index")[pair]  # type: ignore[assignment]
    return row


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10
)
@given(st.integers(0, 1000))
def test_the_ratio_of_a_over_b_is_one_over_that_of_b_over_a(tmp_path: Path, seed: int) -> None:
    launches = [launch_payload(number, machine=NOISY, seed=seed) for number in (1, 2, 3)]
    turned = copy.deepcopy(launches)
    for payload in turned:
        payload["lanes"] = payload["lanes"][::-1]
        for item in payload["rounds"]:
            for sample in item["samples"]:
                sample["lane"] = 2 - sample["lane"]
    one = one_ratio(tmp_path, launches, ("tensorflow", "torch"))
    other = one_ratio(tmp_path, turned, ("torch", "tensorflow"))
    assert one["ratio"] == pytest.approx(1 / other["ratio"])
    assert one["low"] == pytest.approx(1 / other["high"])
    assert (one["verdict"] == "faster") is (other["verdict"] == "slower")


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10
)
@given(st.lists(st.floats(0.5, 3), min_size=6, max_size=6))
def test_what_all_lanes_of_a_round_suffer_changes_nothing(
    tmp_path: Path, factors: list[float]
) -> None:
    # Without a price of the call, which is estimated over rounds.
    truth = {"jax": Truth(0.004), "torch": Truth(0.010)}
    launches = [launch_payload(1, truth=truth, machine=Machine(launch_sd=0.05, turn_sd=0.0))]
    before = one_ratio(tmp_path, launches, ("jax", "torch"))["ratio"]
    for item, factor in zip(launches[0]["rounds"], factors, strict=True):
        for sample in item["samples"]:
            for name in ("seconds", "one_step_seconds", "call_seconds"):
                sample[name] *= factor
    assert one_ratio(tmp_path, launches, ("jax", "torch"))["ratio"] == pytest.approx(before)


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10
)
@given(st.randoms(use_true_random=False))
def test_the_order_of_turns_and_rounds_is_irrelevant(tmp_path: Path, random: object) -> None:
    launches = [launch_payload(number, machine=NOISY) for number in (1, 2, 3)]
    before = table_of(tmp_path, launches)
    for payload in launches:
        random.shuffle(payload["rounds"])  # type: ignore[attr-defined]
        for item in payload["rounds"]:
            random.shuffle(item["samples"])  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(table_of(tmp_path, launches), before)


def test_the_price_of_a_call_is_found_on_a_noisy_machine(tmp_path: Path) -> None:
    launches = [launch_payload(number, machine=NOISY, rounds=12) for number in range(1, 7)]
    _, found = read_launches(tmp_path, launches)
    prices = found.samples.groupby("lane")["fixed_seconds"].median()
    assert prices["tensorflow"] == pytest.approx(0.1, rel=0.1)
    assert prices["torch"] == pytest.approx(0, abs=0.005)
    steps = found.samples.groupby("lane")["seconds_per_step"].median()
    for backend, truth in TRUTH.items():
        assert steps[backend] == pytest.approx(truth.step_seconds, rel=0.1)


def test_the_precision_is_the_widest_half_width(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launches = [launch_payload(n, machine=NOISY, twin="jax") for n in range(1, 6)]
    folder = store_launches(tmp_path, launches).path
    assert precision.main([str(folder)]) == 0
    found = shards.read([folder])
    table = pairs.ratios_table(found, samples.collect(found))
    widest = 100 * (np.sqrt(table["high"] / table["low"]) - 1).max()
    told = json.loads(capsys.readouterr().out)
    assert told == {"main": pytest.approx(widest), "beside": 0.0}
    folder = store_launches(tmp_path, launches[:2]).path
    assert precision.main([str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["main"] == np.inf


def test_the_precision_of_no_run_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert precision.main([str(tmp_path / "nothing")]) == 5
    assert "no such run" in capsys.readouterr().err
