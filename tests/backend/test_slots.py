import importlib
import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

import models
from bench.contract.errors import DataError
from bench.contract.units import PHASES, SlotsRequest, Workload
from bench.contract.variants import NATIVE, STOCK, TUNED
from bench.inputs.datasets import content_sha256
from bench.process import steal
from bench.worker.loops.step_clock import StepClock
from bench.worker.model import flops
from bench.worker.slots import Slots
from tests.backend import ladder

BATCH, EXAMPLES = 32, 100


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Slots, list[dict[str, Any]]]:
    generator = np.random.default_rng(0)
    arrays = {
        f"{axis}_{part}": generator.integers(0, top, shape).astype(np.uint8)
        for part in ("train", "test")
        for axis, top, shape in (("x", 256, (EXAMPLES, 28, 28, 1)), ("y", 10, (EXAMPLES,)))
    }
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    asked = [ladder.asked(name, path, content_sha256(arrays)) for name in models.names()]
    asked += [replace(asked[-1], variant=name) for name in (TUNED, NATIVE)]
    request = SlotsRequest(asked, [PHASES] * len(asked), 0, BATCH, 1.0)
    slots = Slots(request)
    return slots, slots.prepare()


@pytest.fixture(scope="module")
def slots(made: tuple[Slots, list[dict[str, Any]]]) -> Slots:
    return made[0]


def workload(phase: str, batch_size: int = BATCH, variant: str = STOCK) -> Workload:
    return Workload("two_layer", variant, phase, batch_size)


def test_preparing_tells_what_it_cost(made: tuple[Slots, list[dict[str, Any]]]) -> None:
    _, prepared = made
    assert [(each["model"], each["variant"]) for each in prepared] == [
        ("single_layer", "stock"),
        ("two_layer", "stock"),
        ("two_layer", "tuned"),
        ("two_layer", "native"),
    ]
    assert {each["error"] for each in prepared} == {None}
    costs = [each["costs"] for each in prepared]
    assert [each["parameters"] for each in costs] == [231_926, 22_046, 22_046, 22_046]
    for each in costs:
        assert each["second_step_seconds"] > 0
        assert each["first_step_seconds"] > 0
        assert each["build_seconds"] > 0


@pytest.mark.parametrize("slot_first", [True, False])
@pytest.mark.parametrize("phase", PHASES)
def test_a_turn_is_timed_and_counted(slots: Slots, phase: str, slot_first: bool) -> None:
    slots.warm_up(workload(phase), 40)
    # More examples than there are: they repeat. Three turns, since a machine may stall in one.
    turns = [slots.turn(workload(phase), 40, slot_first) for _ in range(3)]
    shortest = {name: min(turn[name] for turn in turns) for name in ("seconds", "one_step_seconds")}
    assert 0 < shortest["one_step_seconds"] < shortest["seconds"]
    turn = turns[0]
    assert turn["steps"] == 40
    assert turn["outside_seconds"] > 0
    assert turn["one_step_outside_seconds"] > 0
    assert turn["cpu_seconds"] > 0
    assert turn["turn_cpu_seconds"] >= turn["cpu_seconds"]
    assert turn["compilations"] == 0
    assert turn["latencies"] == []


def test_latency_times_every_call(slots: Slots) -> None:
    latency = workload("predict", 1)
    slots.warm_up(latency, 9)
    turn = slots.turn(latency, 9, slot_first=False)
    assert turn["one_step_seconds"] is None
    assert len(turn["latencies"]) == 9
    assert turn["seconds"] == pytest.approx(sum(turn["latencies"]))


def test_training_slots_are_undone(slots: Slots) -> None:
    model = slots._candidates["two_layer", "stock"].model
    before = model.get_weights()
    slots.turn(workload("train"), 3, slot_first=True)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 0


def test_a_slot_with_fewer_steps_is_told(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `KERAS_MAX_STEPS_PER_EPOCH` would do if it got through to a worker."""
    model = slots._candidates["two_layer", "stock"].model
    fit = model.fit
    monkeypatch.setattr(model, "fit", lambda x, y, **rest: fit(x[:BATCH], y[:BATCH], **rest))
    assert slots.turn(workload("train"), 5, slot_first=False)["steps"] == 1


def test_new_shapes_are_seen_to_be_compiled(slots: Slots) -> None:
    compiled = slots.turn(workload("evaluate", 17), 2, slot_first=False)["compilations"]
    if keras.backend.backend() == "torch":
        assert compiled == 0  # eager: there is nothing to compile
    else:
        assert compiled > 0


@pytest.mark.parametrize("variant", [STOCK, TUNED, NATIVE])
@pytest.mark.parametrize("phase", ["train", "predict"])
def test_warming_up_leaves_nothing_to_compile(slots: Slots, phase: str, variant: str) -> None:
    """Of a loop over an epoch the number of steps is compiled in."""
    told = slots.warm_up(workload(phase, variant=variant), 7)
    assert told["steps"] >= 10
    assert told["seconds"] > 0
    turn = slots.turn(workload(phase, variant=variant), 7, slot_first=False)
    assert turn["compilations"] == 0


def test_a_machine_without_time_still_warms_up(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.worker.slots.WARM_UP_SECONDS", 0)
    told = slots.warm_up(workload("evaluate"), 4)
    assert (told["steps"], told["steady"]) == (5, False)


def calibrated(slots: Slots, which: Workload, seconds: float) -> int:
    """Steps of a slot; the warm-up before it tells how long a step is."""
    slots.warm_up(which, 0)
    return int(slots.calibrate(which, seconds)["steps"])


def test_a_slot_is_long_enough_beyond_one_step(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 0.1 s to begin, 0.03 s a step: 7 more steps last 0.2 s beyond the first.
    monkeypatch.setattr(slots, "_call", lambda _, steps: 0.1 + 0.03 * steps)
    assert calibrated(slots, workload("train"), 0.2) == 8
    # Well above one step, and no more than 65,536 examples.
    monkeypatch.setattr(slots, "_call", lambda _, steps: 1.0 + 0.1 * steps)
    assert calibrated(slots, workload("train"), 0.2) == 32
    assert calibrated(slots, workload("train"), 1e9) == 1024
    assert calibrated(slots, workload("train", 8192), 1e9) == 8


def test_a_slot_is_not_made_long_by_one_step_that_was_slow(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "_call", lambda _, steps: 1.0 if steps == 1 else 0.05 * steps)
    assert calibrated(slots, workload("train"), 0.2) <= 64


def test_a_slowdown_stretches_the_time_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(factor: float) -> float:
        ticks = itertools.count()
        clocks = SimpleNamespace(perf_counter=lambda: next(ticks) / 100)
        monkeypatch.setattr("bench.worker.loops.step_clock.time", clocks)
        clock = StepClock(lambda: [next(ticks) for _ in range(9)], factor)  # type: ignore[arg-type]
        clock.on_epoch_begin(0)
        clock.on_epoch_end(0)
        return clock.seconds

    assert timed(1.0) == pytest.approx(0.10)
    assert timed(2.95) == pytest.approx(0.30)


def test_the_clock_waits_for_the_device() -> None:
    waited = []
    clock = StepClock(lambda: waited.append(True), 1.0)
    clock.on_test_begin()
    clock.on_test_end({})
    assert waited == [True]


def test_the_clock_listens_to_no_batch() -> None:
    """Keras dispatches asynchronously only while no callback does."""
    plain = keras.callbacks.Callback
    for name in (name for name in dir(plain) if "batch" in name):
        assert getattr(StepClock, name) is getattr(plain, name)


# By hand: 2 x window x channels x positions x filters, and 2 x inputs x units.
SINGLE = 2 * 25 * 1 * 24 * 24 * 16 + 2 * 12 * 12 * 16 * 100 + 2 * 100 * 10
TWO = 2 * 25 * 1 * 24 * 24 * 16 + 2 * 4 * 16 * 11 * 11 * 8 + 2 * 5 * 5 * 8 * 100 + 2 * 100 * 10
FIRST = 2 * 25 * 1 * 24 * 24 * 16


@pytest.mark.parametrize(("name", "count"), [("single_layer", SINGLE), ("two_layer", TWO)])
def test_flops_are_those_counted_by_hand(name: str, count: int) -> None:
    model = models.build(name)
    assert flops.forward(model) == count
    assert flops.train(model) == 3 * count - FIRST


def test_torch_counts_what_the_shapes_do_not_tell_and_the_others_leave_it_to_it() -> None:
    loop = importlib.import_module(f"bench.worker.loops.{keras.backend.backend()}")
    model = models.build("two_layer")
    x, y = np.zeros((3, 28, 28, 1), np.float32), np.eye(10, dtype=np.float32)[:3]
    told = loop.forward_flops(model, x), loop.train_flops(model, x, y)
    if keras.backend.backend() == "torch":
        assert told == (TWO, 3 * TWO - FIRST)
    else:
        assert told == (None, None)


def test_a_layer_that_cannot_be_counted_leaves_no_number() -> None:
    inputs = keras.Input((4, 8))
    model = keras.Model(inputs, keras.layers.LSTM(3)(inputs))
    assert flops.forward(model) is None
    assert flops.train(model) is None


def test_the_wrong_dataset_is_refused(slots: Slots) -> None:
    request = slots._request
    other = [replace(model, data_sha256="0" * 64) for model in request.models]
    wrong = SlotsRequest(other, request.phases, 0, BATCH, 1.0)
    with pytest.raises(DataError, match="hash"):
        Slots(wrong)


@pytest.mark.parametrize(("readings", "taken"), [((5.0, 5.25), 0.25), ((5.0, 4.0), 0.0)])
def test_a_turn_tells_what_was_taken_while_it_ran(
    slots: Slots,
    monkeypatch: pytest.MonkeyPatch,
    readings: tuple[float, float],
    taken: float,
) -> None:
    monkeypatch.setattr(steal, "taken_seconds", iter(readings).__next__)
    assert slots.turn(workload("evaluate"), 2, True)["steal_seconds"] == taken
