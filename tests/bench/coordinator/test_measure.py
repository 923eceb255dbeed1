"""Launches on a virtual machine: what is estimated, what is stored, and when it stops."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from bench.contract.errors import UsageError
from bench.contract.speed_schema import Anchor as AnchorRecord
from bench.contract.speed_schema import Evidence, Speed
from bench.contract.units import Series, Workload
from bench.coordinator import fleet
from bench.coordinator.accuracy import protocol
from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed import evidence, launches, turn_order
from bench.coordinator.speed import launch as measure
from bench.inputs import datasets
from bench.planning.options import NOT_GIVEN
from bench.planning.plan import Plan
from bench.planning.resolving import resolve
from bench.planning.selection import Selection
from bench.process.cgroup import Stopped
from bench.session.stored_plan import plan_record
from reports.read import shards
from reports.statistics import intervals
from reports.tables import pairs, samples
from tests.support.virtual import Machine, VirtualWorker

TRAIN = Workload("two_layer", "stock", "train", 200)
STEPS = {"tensorflow": 0.02, "jax": 0.05, "torch": 0.03, "torch-twin": 0.03}


@pytest.fixture(autouse=True)
def virtual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lanes and clocks are virtual; the process that stands for each lane sleeps."""

    class Anchor:
        def measure(self, number: int) -> AnchorRecord:
            return AnchorRecord(number, 0.01, 10**9)

    sleeper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    monkeypatch.setattr(fleet, "Worker", VirtualWorker)
    monkeypatch.setattr(measure, "Anchor", Anchor)

    def now() -> float:
        return VirtualWorker.machine.now

    clocks = SimpleNamespace(monotonic=now, perf_counter=now, sleep=lambda _: None)
    monkeypatch.setattr(measure, "time", clocks)
    monkeypatch.setattr(
        evidence,
        "read",
        lambda them: evidence.Counters(now(), 0, Stopped(), 0, 0, 0, (0.0,) * len(them)),
    )
    monkeypatch.setattr(VirtualWorker, "sleeper", sleeper.pid, raising=False)
    yield
    sleeper.kill()
    sleeper.wait()


@pytest.fixture
def dataset(tmp_path: Path) -> datasets.Dataset:
    return datasets.Dataset("mnist", tmp_path / "none.npz", "d" * 64, 60_000, 10_000, 255)


def planned(monkeypatch: pytest.MonkeyPatch, machine: Machine, **changes: Any) -> Plan:
    monkeypatch.setattr(VirtualWorker, "machine", machine, raising=False)
    sizes = {"rounds": 6, "precision_percent": None, **changes}
    return replace(resolve(NOT_GIVEN, (), {}), models=("two_layer",), **sizes)


def selected(plan: Plan, *workloads: Workload) -> Selection:
    return Selection(
        (), tuple(Series(each, lane) for each in workloads or (TRAIN,) for lane in plan.timed)
    )


def run(plan: Plan, dataset: datasets.Dataset, folder: Path) -> list[Speed]:
    run_folder = RunFolder.create(folder)
    return launches.measure(plan, selected(plan), dataset, run_folder)


def launch_values_of(plan: Plan, dataset: datasets.Dataset, folder: Path) -> dict[str, np.ndarray]:
    """Of TensorFlow over JAX and of the twin over torch, as the report reads them."""
    work = selected(plan)
    run_folder = RunFolder.create(folder)
    run_folder.write("plan", plan_record(plan, work, protocol(plan, dataset), "", ()))
    launches.measure(plan, work, dataset, run_folder)
    found = shards.read([run_folder.path])
    assert found.problems == []
    measured = samples.collect(found)
    speed = found.plans[run_folder.run_id].speed
    assert speed is not None
    tensorflow, jax, torch, twin = ((speed.workloads[0], lane) for lane in speed.lanes)
    return {
        name: pairs.values_of(measured, run_folder.run_id, pair)[0]
        for name, pair in (("step", (tensorflow, jax)), ("twin", (twin, torch)))
    }


def covers(values: np.ndarray, truth: float) -> bool:
    low, high = intervals.interval(values)
    return low < truth < high


def test_interleaved_the_truth_is_found_though_the_machine_wanders(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    hits = []
    for seed in range(20):
        plan = planned(monkeypatch, Machine(STEPS, seed=seed), launches=6)
        values = launch_values_of(plan, dataset, tmp_path)
        hits += [covers(values["step"], 2.5), covers(values["twin"], 1.0)]
    assert sum(hits) >= 35  # of 40; 95 % coverage gives fewer in 1.4 % of all cases


def test_one_lane_after_the_other_it_is_missed(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    """The planner that most tools use; it lives only here.

    Its one "round" has all turns of a lane before the next lane begins, about as many as the
    machine keeps one speed for.
    """

    def one_after_the_other(lanes: int, count: int, seed: int) -> list[list[int]]:
        return [[lane for lane in range(lanes) for _ in range(60)]]

    monkeypatch.setattr(turn_order, "rounds", one_after_the_other)
    misses = 0
    for seed in range(20):
        machine = Machine(STEPS, seed=seed, launch_sd=0.0, noise_sd=0.01)
        plan = planned(monkeypatch, machine, launches=6, rounds=1)
        payloads = run(plan, dataset, tmp_path)
        values = np.array([_whole_lanes(payload) for payload in payloads])
        misses += bool(np.abs(values).max() > 0.2)
    assert misses >= 15


def _whole_lanes(launch: Speed) -> float:
    """Log of the ratio of torch and its twin, from all turns of one and then of the other."""
    (one,) = launch.rounds
    torch, twin = (
        np.median([sample.seconds for sample in one.samples if sample.lane == lane])
        for lane in (2, 3)
    )
    return float(np.log(torch / twin))


def test_every_lane_takes_every_turn_in_a_balanced_order(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    """Six rounds are one block and a half of 4; the next launch goes on."""
    payloads = run(planned(monkeypatch, Machine(STEPS), launches=2), dataset, tmp_path)
    orders = [[s.lane for s in one.samples] for p in payloads for one in p.rounds]
    assert [sorted(order) for order in orders] == [[0, 1, 2, 3]] * 12
    for place in range(4):
        assert sorted(order[place] for order in orders) == sorted([0, 1, 2, 3] * 3)


def test_slot_and_single_step_take_turns_at_being_first(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    machine = Machine(STEPS)
    plan = planned(monkeypatch, machine, launches=1, variants=("stock",))
    run_folder = RunFolder.create(tmp_path)
    launches.measure(plan, plan.everything, dataset, run_folder)
    for workload in plan.workloads:
        asked = [
            first
            for lane, what, first in machine.turns
            if (lane, what) == ("jax", asdict(workload))
        ]
        # All else takes part in every third round.
        assert asked == ([False, True] * 3 if workload.phase == "train" else [False])


def test_training_takes_part_in_every_round_and_the_rest_in_every_third(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    plan = planned(monkeypatch, Machine(STEPS), launches=1)
    run_folder = RunFolder.create(tmp_path)
    payloads = launches.measure(plan, plan.everything, dataset, run_folder)
    counts = [
        [sum(one.workload == index for one in each.rounds) for index in range(len(each.workloads))]
        for each in payloads
    ]
    assert counts == [[6], [3, 1, 1, 1, 3, 3]]  # stock in all phases, tuned and native in training


def test_twins_are_started_for_the_main_workloads_alone(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    machine = Machine(STEPS)
    plan = planned(monkeypatch, machine, launches=1)
    answered: list[int] = []
    payloads = launches.measure(
        plan,
        plan.everything,
        dataset,
        RunFolder.create(tmp_path),
        launches.Listener(answer=lambda: answered.append(len(machine.turns))),
    )
    assert [len(each.lanes) for each in payloads] == [4, 3]
    assert {what["variant"] for lane, what, _ in machine.turns if "twin" in lane} == {"stock"}
    assert answered == [6 * 4]  # as soon as the first bundle is known


def test_a_disturbed_round_is_measured_again_in_its_launch(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    """Other processes take half of the CPU in rounds 2 and 3, and in the first that is made up."""
    true, rounds = evidence.between, iter(range(1, 100))

    def between(*told: Any) -> Evidence:
        busy = 50.0 if next(rounds) in {2, 3, 7} else 0.0
        return structs.replace(true(*told), others_percent=busy, seconds=1.0)

    monkeypatch.setattr(evidence, "between", between)
    (payload,) = run(planned(monkeypatch, Machine(STEPS), launches=1), dataset, tmp_path)
    assert [one.number for one in payload.rounds] == [*range(1, 7), 7, 8, 9]
    assert [one.number for one in payload.rounds if one.evidence.void] == [2, 3, 7]
    assert [anchor.round for anchor in payload.anchor] == [*range(1, 10)]


def test_a_disturbance_that_does_not_end_costs_at_most_as_many_rounds_again(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    always = Evidence(1.0, 0.0, 0.0, 0.0, 50.0, 0.0)
    monkeypatch.setattr(evidence, "between", lambda *_: always)
    (payload,) = run(planned(monkeypatch, Machine(STEPS), launches=1), dataset, tmp_path)
    assert [one.number for one in payload.rounds] == [*range(1, 13)]


def test_the_slot_is_fixed_once_for_the_whole_run(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    machine = Machine(STEPS)
    payloads = run(planned(monkeypatch, machine, launches=2), dataset, tmp_path)
    assert machine.calls.count(("jax", "calibrate")) == 1
    steps = {s.steps for p in payloads for one in p.rounds for s in one.samples}
    assert steps == {8}


def test_a_resumed_run_keeps_launches_and_slots(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    machine = Machine(STEPS)
    plan = planned(monkeypatch, machine, launches=2)
    run_folder = RunFolder.create(tmp_path)
    work = selected(plan)
    launches.measure(replace(plan, launches=1), work, dataset, run_folder)
    payloads = launches.measure(plan, work, dataset, run_folder)
    assert [payload.launch for payload in payloads] == [1, 2]
    assert machine.calls.count(("jax", "prepare")) == 2
    assert machine.calls.count(("jax", "calibrate")) == 1


def test_fault_01_a_lane_that_dies_is_started_again_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    machine = Machine(STEPS, fails={"jax": [2]})
    payloads = run(planned(monkeypatch, machine, launches=3), dataset, tmp_path)
    assert [[*measure.failed_lanes(payload)] for payload in payloads] == [["jax"], [], [], []]
    record = payloads[0].lanes[1]
    assert record.status == "crashed"
    assert record.log == "stack"
    assert record.peak_rss_mib is None
    assert [len(one.samples) for one in payloads[0].rounds] == [4, 4, 3, 3, 3, 3]


def test_a_lane_that_dies_twice_is_given_up(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    machine = Machine(STEPS, fails={"jax": [0, 0, 0, 0]})
    payloads = run(planned(monkeypatch, machine, launches=3), dataset, tmp_path)
    assert [[*measure.failed_lanes(payload)] for payload in payloads] == [["jax"], ["jax"], []]
    assert len(payloads[2].lanes) == 3


def test_a_lane_that_was_given_up_is_measured_when_the_run_is_resumed(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    machine = Machine(STEPS, fails={"jax": [0, 0]})
    plan = planned(monkeypatch, machine, launches=3)
    run_folder = RunFolder.create(tmp_path)
    work = selected(plan)
    launches.measure(plan, work, dataset, run_folder)
    payloads = launches.measure(plan, work, dataset, run_folder)
    assert [[*measure.failed_lanes(payload)] for payload in payloads[:3]] == [["jax"], ["jax"], []]
    assert (
        sum("jax" in measure.lane_names(p) and not measure.failed_lanes(p) for p in payloads) == 3
    )


def test_fault_23_a_lane_that_does_fewer_steps_must_not_look_fast(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    machine = Machine(STEPS, shortfall={"torch": 1})
    payload = run(planned(monkeypatch, machine, launches=1), dataset, tmp_path)[0]
    record = payload.lanes[2]
    assert record.status == "invalid"
    assert record.error == "torch on cpu: 7 steps were done, not 8"
    assert all(s.lane != 2 for one in payload.rounds for s in one.samples)


Alter = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("call", "alter", "words"),
    [
        ("prepare", lambda told: told.clear(), "required field `preparations`"),
        ("prepare", lambda told: told.update(preparations=[]), "prepared other models"),
        (
            "prepare",
            lambda told: told["preparations"][0].update(costs=None),
            "went well and failed, or neither",
        ),
        ("warm_up", lambda told: told.update(steady="yes"), "`bool`"),
        ("calibrate", lambda told: told.clear(), "required field `steps`"),
        ("turn", lambda told: told.pop("turn_cpu_seconds"), "`float`"),
        ("turn", lambda told: told.update(turn_cpu_seconds="much"), "`float`"),
        ("turn", lambda told: told.update(cpu_seconds=float("inf")), "not JSON compliant"),
        ("turn", lambda told: told.update(one_step_seconds=None), "must be there"),
        ("turn", lambda told: told.update(latencies=[0.1]), "1 latencies of 8 steps"),
        ("usage", lambda told: told.update(peak_rss_mib=0), "`float`"),
    ],
)
def test_nonsense_fails_the_worker_that_says_it_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
    dataset: datasets.Dataset,
    tmp_path: Path,
    call: str,
    alter: Alter,
    words: str,
) -> None:
    machine = Machine(STEPS, says={("torch", call): alter})
    payload = run(planned(monkeypatch, machine, launches=1), dataset, tmp_path)[0]
    tensorflow, jax, torch, twin = payload.lanes
    assert torch.status == "invalid"
    assert torch.error is not None
    assert torch.error.startswith("torch on cpu: ")
    assert words in torch.error
    assert {record.status for record in (tensorflow, jax, twin)} == {"ok"}
    assert all({0, 1, 3} <= {sample.lane for sample in one.samples} for one in payload.rounds)


@pytest.mark.parametrize("text", ["10", "0m", "m", "-3s", "1.5h", "ten"])
def test_a_budget_that_cannot_be_read(text: str) -> None:
    if text == "10":
        assert resolve({**NOT_GIVEN, "budget": text}, (), {}).budget_seconds == 10
    else:
        with pytest.raises(UsageError, match="--budget"):
            resolve({**NOT_GIVEN, "budget": text}, (), {})


def test_the_cores_of_this_process_are_recorded(
    monkeypatch: pytest.MonkeyPatch, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    payload = run(planned(monkeypatch, Machine(STEPS), launches=1), dataset, tmp_path)[0]
    assert payload.state.affinity == sorted(os.sched_getaffinity(0))
