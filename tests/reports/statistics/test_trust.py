"""Every flag of `reports.statistics.validity` fires for its mutant, and none for a good run."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from reports.judging import notes
from reports.statistics import validity
from reports.statistics.validity import Trust
from tests.support.stored_launches import (
    LATENCY,
    PREDICT,
    STEPS,
    TRAIN,
    Machine,
    Payload,
    in_memory,
    launch_payload,
    mutate,
    turns_of,
)

NOISY = Machine(round_sd=0.2, launch_sd=0.02, turn_sd=0.1)


def good_launches(count: int = 4, machine: Machine = NOISY) -> list[Payload]:
    workloads = [TRAIN, PREDICT, LATENCY]
    return [
        launch_payload(number, twin="jax", workloads=workloads, rounds=10, machine=machine)
        for number in range(1, count + 1)
    ]


def judge(launches: list[Payload]) -> Trust:
    return notes.judge(*in_memory(launches))["run"]


def test_a_good_run_is_trusted_and_nothing_is_noted() -> None:
    judged = judge(good_launches())
    assert judged.reasons == judged.notes == ()


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"suspended_seconds": 0.2}, "suspended"),
        ({"throttled_seconds": 0.03}, "throttled"),
        ({"steal_percent": 21.0}, "steal"),
        ({"others_percent": 5.1, "seconds": 1.0}, "others_busy"),
        ({"idle_cpu_percent": 6.0}, "idle_lane_busy"),
    ],
)
def test_fault_19_what_was_seen_beside_a_round_voids_it(seen: Payload, reason: str) -> None:
    launches = good_launches()
    rounds = [item for payload in launches for item in payload["rounds"]]
    for item in rounds[:24]:
        item["evidence"] |= seen
    judged = judge(launches)
    assert judged.reasons == ()
    assert f"24 of 120 rounds void ({reason} 24)" in judged.notes
    rounds[24]["evidence"] |= seen
    judged = judge(launches)
    assert judged.reasons == (f"25 of 120 rounds void ({reason} 25)",)


@pytest.mark.parametrize(
    "seen",
    [
        {"suspended_seconds": 0.1},
        {"throttled_seconds": 0.02},
        {"steal_percent": 10.0},
        {"others_percent": 5.0, "seconds": 1.0},
        {"others_percent": 60.0, "seconds": 0.4},  # of so few ticks no percentage is to be had
        {"idle_cpu_percent": 5.0},
    ],
)
def test_what_lies_within_the_limits_voids_nothing(seen: Payload) -> None:
    launches = good_launches()
    for payload in launches:
        for item in payload["rounds"]:
            item["evidence"] |= seen
    assert judge(launches).notes == ()


def test_steal_of_a_few_ticks_voids_no_short_round() -> None:
    launches = good_launches()
    for payload in launches:
        for item in payload["rounds"]:
            item["evidence"] |= {"seconds": 0.05, "steal_percent": 40.0}
    assert judge(launches).notes == ()


def test_what_was_made_up_for_is_told_and_costs_no_trust() -> None:
    """Half of the rounds of a launch were disturbed, and measured again with higher numbers."""
    launches = good_launches()
    again = []
    for item in launches[1]["rounds"]:
        if item["number"] <= 5:
            made_up = item | {"number": item["number"] + 10, "evidence": dict(item["evidence"])}
            again.append(made_up)
            item["evidence"] |= {"seconds": 1.0, "others_percent": 50.0}
    launches[1]["rounds"] += again
    launches[1]["planned_rounds"] = 10
    launches[1]["anchor"] += [launches[1]["anchor"][0] | {"round": n} for n in range(11, 16)]
    judged = judge(launches)
    assert judged.reasons == ()
    assert judged.voided == "15 of 135 rounds void"
    assert "15 of 135 rounds void (others_busy 15), 15 of them made up for" in judged.notes


def missing_synchronisation(sample: Payload) -> Payload:
    """The clock stops when the work has been handed over, not when it is done."""
    return {"seconds": sample["one_step_seconds"] * 1.05}


def not_waited_for(sample: Payload) -> Payload:
    """Handing over takes a tenth of the time, growing with the steps; `fit` waits at its end."""
    return {
        "seconds": sample["seconds"] / 10,
        "outside_seconds": 0.9 * sample["seconds"],
        "one_step_seconds": sample["one_step_seconds"] / 10,
        "one_step_outside_seconds": 0.9 * sample["one_step_seconds"],
    }


def slow_clock(sample: Payload) -> Payload:
    """The worker says half of what the coordinator waited."""
    return {"call_seconds": 2 * (sample["seconds"] + sample["one_step_seconds"]) + 0.1}


def too_fast(sample: Payload) -> Payload:
    """More arithmetic than the machine can do."""
    step = sample["seconds"] / STEPS / 100
    return {"seconds": STEPS * step, "one_step_seconds": step, "call_seconds": 41 * step}


@pytest.mark.parametrize(
    ("mutant", "reason"),
    [
        (missing_synchronisation, "not_linear"),
        (not_waited_for, "not_waited_for"),
        (lambda _: {"compilations": 1}, "recompiled"),
        (slow_clock, "late"),
        (too_fast, "impossible"),
    ],
)
def test_fault_30_a_sample_that_is_none_makes_the_run_untrusted(
    mutant: Callable[[Payload], Payload], reason: str
) -> None:
    launches = [launch_payload(number, machine=NOISY, rounds=10) for number in (1, 2, 3)]
    judged = judge(list(mutate(launches, "jax", mutant)))
    assert judged.reasons == (
        f"30 of 30 samples of jax in single_layer stock train batch 200 are invalid ({reason} 30)",
    )


def test_a_few_invalid_samples_are_noted() -> None:
    launches = [launch_payload(number, rounds=10) for number in (1, 2, 3)]
    for sample in turns_of(launches[0], "torch")[:6]:
        sample["compilations"] = 1
    judged = judge(launches)
    assert judged.reasons == ()
    assert "6 of 30 samples of torch" in judged.notes[0]


def test_the_high_price_of_a_call_is_not_missing_synchronisation() -> None:
    """TensorFlow: 0.1 s for the call and 0.16 s for the steps of a slot."""
    _, found = in_memory(good_launches())
    assert set(found.samples["invalid"]) == {""}


def test_a_slot_that_costs_no_more_than_its_call_is_not_linear() -> None:
    launches = [launch_payload(1)]
    mutate(launches, "torch", lambda sample: {"one_step_seconds": 2 * sample["seconds"]})
    mutate(launches, "torch", lambda sample: {"call_seconds": 3 * sample["seconds"]})
    _, found = in_memory(launches)
    invalid = found.samples.groupby("lane")["invalid"].agg(set)
    assert invalid.to_dict() == {"jax": {""}, "tensorflow": {""}, "torch": {"not_linear"}}


def test_fault_29_a_twin_that_differs_makes_the_run_untrusted() -> None:
    launches = good_launches(machine=Machine(round_sd=0.2, launch_sd=0.005))
    for payload in launches:
        for sample in turns_of(payload, "jax", twin=True):
            for name in ("seconds", "call_seconds"):
                sample[name] *= 1.1
            if sample["one_step_seconds"]:
                sample["one_step_seconds"] *= 1.1
    (first, *_) = reasons = judge(launches).reasons
    assert len(reasons) == 3
    assert first.startswith(
        "the A/A twin differs from its original in single_layer stock train batch 200 with jax ("
    )


def test_equal_twins_rarely_make_a_run_untrusted() -> None:
    """Over all workloads together, by Holm: 5 % of runs."""
    machine = Machine(launch_sd=0.05, turn_sd=0.05)
    wrong = 0
    for seed in range(20):
        workloads = [TRAIN, PREDICT]
        launches = [
            launch_payload(n, twin="jax", workloads=workloads, machine=machine, seed=seed)
            for n in (1, 2, 3, 4)
        ]
        wrong += bool(judge(launches).reasons)
    assert wrong <= 4


def test_no_steady_state_is_noted_with_lane_and_workload() -> None:
    launches = good_launches()
    launches[0]["lanes"][3]["warm_ups"][2]["steady"] = False
    judged = judge(launches)
    assert judged.reasons == ()
    assert judged.notes == (
        "no steady state before measuring: jax (twin) in single_layer stock latency",
    )


@pytest.mark.parametrize(
    ("spread", "grade"), [(0.01, "quiet"), (0.03, "fair"), (0.07, "noisy"), (0.3, "very noisy")]
)
def test_the_anchor_grades_the_machine(spread: float, grade: str) -> None:
    generator = np.random.default_rng(0)
    found, percent = validity.noise(pd.Series(np.exp(generator.normal(0, spread, 2000))))
    assert found == grade
    assert percent == pytest.approx(100 * spread, rel=0.1)


def test_ties_hide_no_noise() -> None:
    """Seen with three processes to a core, in ms: slices of the scheduler's make most alike."""
    seconds = [40, 19.5, 27.8, 24, 24, 26.7, 19.3, *[24] * 8, 12.2, 24, 12.8]
    grade, percent = validity.noise(1 / pd.Series(seconds))
    assert grade == "very noisy"
    assert percent > 10


def test_no_anchor_no_grade() -> None:
    assert validity.noise(pd.Series([], dtype="float64"))[0] is None
