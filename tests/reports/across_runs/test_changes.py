"""What changed between two runs, on machines whose truth is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.across_runs import changes, two_runs
from reports.across_runs.changes import LogChange
from reports.across_runs.two_runs import ComparedRun
from reports.read import shards
from reports.read.shards import Shards
from tests.support.stored_launches import TRUTH, Machine, Truth, in_memory, launch_payload
from tests.support.stored_runs import accuracy_payload, store_run

NOISY = Machine(round_sd=0.05, launch_sd=0.03, turn_sd=0.03)
SLOWER = TRUTH | {"torch": replace(TRUTH["torch"], step_seconds=0.0125)}


def side(
    truth: dict[str, Truth] = TRUTH, machine: Machine = NOISY, seed: int = 0, launches: int = 6
) -> ComparedRun:
    payloads = [
        launch_payload(number, truth=truth, machine=machine, seed=seed)
        for number in range(1, launches + 1)
    ]
    return ComparedRun(in_memory(payloads)[0])


def verdicts(old: ComparedRun, new: ComparedRun) -> dict[str, str]:
    table = changes.speed_changes(old, new)
    return dict(zip(table["lane"], table["verdict"], strict=True))


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        old, new = generator.normal(0, 0.05, 4), generator.normal(0.1, 0.02, 8)
        low, high = LogChange(((old, new),)).interval(0.95)
        held += low <= np.exp(0.1) <= high
    assert 930 <= held <= 975


def test_of_several_units_the_interval_holds_all() -> None:
    old, new = np.array([0.0, 0.01, 0.02]), np.array([0.0, 0.02, 0.01])
    one = LogChange(((old, new),)).interval(0.95)
    both = LogChange(((old, new), (old, new - 0.2))).interval(0.95)
    assert both[1] == one[1]
    assert both[0] == pytest.approx(one[0] * np.exp(-0.2))


def test_the_same_twice_is_rarely_called_changed() -> None:
    generator = np.random.default_rng(2)
    called = 0
    for _ in range(500):
        old, new = generator.normal(0, 0.05, (2, 6))
        verdict = LogChange(((old, new),)).verdict(family=3)
        called += verdict in {"faster", "slower"}
    assert called <= 10  # at most 5 % of families of three


def test_a_backend_that_takes_a_quarter_longer_is_found_and_no_other() -> None:
    found = verdicts(side(seed=1), side(SLOWER, seed=2))
    assert found["torch"] == "slower"
    assert {found["tensorflow"], found["jax"]} <= {"equivalent", "unresolved"}


def test_a_machine_that_was_slow_for_an_hour_is_no_change() -> None:
    """The anchor took as much longer: in its units nothing changed."""
    old, new = side(seed=1), side(seed=2)
    slow: list[Any] = []
    for number in range(1, 7):
        payload = launch_payload(number, machine=NOISY, seed=2)
        for item in payload["rounds"]:
            for sample in item["samples"]:
                for name in sample:
                    if name.endswith("seconds") and sample[name]:
                        sample[name] *= 1.3
        for anchor in payload["anchor"]:
            anchor["seconds"] *= 1.3
        slow.append(payload)
    assert set(verdicts(old, new).values()) <= {"equivalent", "unresolved"}
    assert set(verdicts(old, ComparedRun(in_memory(slow)[0])).values()) == {"unresolved"}


def test_ratios_of_ratios_do_not_care_for_the_machine() -> None:
    table = changes.ratio_changes(side(seed=1), side(SLOWER, seed=2))
    found = dict(zip(table["lane"] + table["baseline"], table["verdict"], strict=True))
    assert found["tensorflowtorch"] == "faster"
    assert found["tensorflowjax"] in {"equivalent", "unresolved"}


def test_too_few_launches_change_nothing() -> None:
    table = changes.speed_changes(side(launches=2), side(SLOWER, launches=6))
    assert set(table["verdict"]) == {"indicative"}
    assert table[["low", "high"]].isna().all(axis=None)


def read(folder: Path, wrong: dict[int, int]) -> ComparedRun:
    payloads = [accuracy_payload("jax", seed=seed) for seed in wrong]
    run_folder = store_run(folder, payloads, wrong=lambda cell: wrong[cell["seed"]])
    return ComparedRun(shards.read([run_folder.path]))


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ({0: 3}, {0: 3}, "identical"),
        ({0: 3}, {0: 4}, "indicative"),
        ({0: 3, 1: 4, 2: 5}, {0: 9, 1: 10, 2: 12}, "worse"),
        ({0: 9, 1: 10, 2: 12}, {0: 3, 1: 4, 2: 5}, "better"),
        ({0: 3, 1: 4, 2: 5}, {0: 4, 1: 4, 2: 4}, "unresolved"),
        ({0: 3, 7: 4}, {0: 3, 1: 9}, "identical"),  # the seed that both have
    ],
)
def test_errors_are_paired_by_seed(
    tmp_path: Path, old: dict[int, int], new: dict[int, int], verdict: str
) -> None:
    table = changes.error_changes(read(tmp_path / "old", old), read(tmp_path / "new", new))
    assert list(table["verdict"]) == [verdict]
    assert table["old"].iloc[0] == pytest.approx(
        np.mean([old[seed] / 2 for seed in old.keys() & new.keys()])
    )


def test_nothing_in_common_is_no_change() -> None:
    empty = ComparedRun(Shards())
    assert changes.speed_changes(empty, side()).empty
    assert changes.ratio_changes(side(), empty).empty
    assert changes.error_changes(empty, empty).empty
    assert two_runs.machines_differ(empty, side()) == ""


def test_a_model_that_is_another_one_now_is_named(tmp_path: Path) -> None:
    def stored(sha256: str) -> ComparedRun:
        own = {"name": "mine", "path": "mine.py", "function": "build", "sha256": sha256}
        run = store_run(tmp_path, [accuracy_payload("jax")], own_models=[own])
        return ComparedRun(shards.read([run.path]))

    old, new = stored("a" * 64), stored("b" * 64)
    assert two_runs.changed_models(old, old) == []
    (line,) = two_runs.changed_models(old, new)
    assert line.startswith("mine: its file")
