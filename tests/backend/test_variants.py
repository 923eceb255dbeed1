"""Tuned and native are the same mathematics as stock: they climb the ladder, and train alike."""

import dataclasses
import importlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import models
from bench.contract.rungs import CERTIFYING, PROBES
from bench.contract.units import ModelRequest
from bench.contract.variants import LOOP, NATIVE, TUNED
from bench.worker.model import building, candidate
from bench.worker.model.keras_fit import CustomLoop, KerasFit
from tests.backend import ladder

SIZE = 16


@pytest.mark.parametrize("variant", [TUNED, NATIVE])
def test_the_variant_passes_every_rung(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the model that has all of the other's layers, and more; runs ask both."""
    ladder.shorten(monkeypatch)
    model = "two_layer"
    probes, true = ladder.opened(model, tmp_path, variant), ladder.oracle(model)
    found = ladder.climb(probes, true, PROBES)
    assert {finding.rung for finding in found} == set(CERTIFYING)
    assert [finding for finding in found if finding.status != "pass"] == []


def examples(count: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    x = generator.random((count, 28, 28, 1)).astype(np.float32)
    return x, np.eye(10, dtype=np.float32)[generator.integers(0, 10, count)]


def built(variant: str) -> candidate.Candidate:
    one = candidate.build(ModelRequest("two_layer", "two_layer", "", "", variant=variant), None)
    stock = models.build("two_layer")
    drawn = np.random.default_rng(1)
    one.set_weights([drawn.normal(0, 0.1, w.shape).astype(np.float32) for w in stock.get_weights()])
    return one


@pytest.mark.parametrize("variant", [LOOP, NATIVE])
def test_metrics_are_those_of_stock(variant: str) -> None:
    """Of epochs with a smaller last batch, and so are the weights that come of them."""
    x, y = examples(5 * SIZE + 3)
    stock, other = built("stock"), built(variant)
    logs, arrays = [], []
    for one in (stock, other):
        placed = one.inputs(x), one.targets(y)
        told = [one.fit(*placed, SIZE) for _ in range(2)]
        logs.append([*told, one.evaluate(*placed, SIZE)])
        arrays.append([one.predict(placed[0], SIZE), one.predict_one(x), *one.get_weights()])
    for usual, found in zip(*logs, strict=True):
        assert found == pytest.approx(usual, rel=1e-5)
    for usual, found in zip(*arrays, strict=True):
        np.testing.assert_allclose(found, usual, atol=2e-5)
    assert stock.steps == other.steps == 12


@pytest.mark.parametrize("variant", ["stock", LOOP, NATIVE])
def test_what_was_kept_is_given_back(variant: str) -> None:
    one, (x, y) = built(variant), examples(2 * SIZE)
    placed = one.inputs(x), one.targets(y)
    one.fit(*placed, SIZE)
    before, steps = one.get_weights(), one.steps
    with one.state_restored():
        first = one.fit(*placed, SIZE)
    assert one.steps == steps
    for old, new in zip(before, one.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with one.state_restored():
        assert one.fit(*placed, SIZE) == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_a_loop_leaves_other_optimizers_to_keras(optimizer: str) -> None:
    x, y = examples(3 * SIZE)
    weights = []
    for variant in ("stock", LOOP):
        one = built(variant)
        one.model.optimizer = keras.optimizers.get(optimizer)
        one.model.optimizer.build(one.model.trainable_variables)
        one.fit(one.inputs(x), one.targets(y), SIZE)
        weights.append(one.get_weights())
    for stock, looped in zip(*weights, strict=True):
        np.testing.assert_allclose(looped, stock, atol=2e-6)


def test_a_loop_takes_a_schedule_and_decay() -> None:
    x, y = examples(3 * SIZE)
    weights = []
    for variant in ("stock", LOOP):
        one = built(variant)
        rate = keras.optimizers.schedules.ExponentialDecay(0.01, 1, 0.5)
        one.model.optimizer = keras.optimizers.Adam(rate, weight_decay=0.1)
        one.model.optimizer.build(one.model.trainable_variables)
        one.fit(one.inputs(x), one.targets(y), SIZE)
        weights.append(one.get_weights())
    for stock, looped in zip(*weights, strict=True):
        np.testing.assert_allclose(looped, stock, atol=2e-6)


def test_a_loop_takes_layers_that_keep_something_or_cannot_be_captured() -> None:
    """Moving averages; and PyTorch makes no graph of Rescaling, which imports a module."""
    x, y = examples(3 * SIZE)
    loop = importlib.import_module(f"bench.worker.loops.{keras.backend.backend()}")
    weights = []
    for looped in (False, True):
        inputs = keras.Input((28, 28, 1))
        hidden = keras.layers.Flatten()(keras.layers.Rescaling(0.5)(inputs))
        outputs = keras.layers.Dense(10)(keras.layers.BatchNormalization()(hidden))
        model = keras.Model(inputs, outputs)
        drawn = np.random.default_rng(2)
        model.set_weights([drawn.random(w.shape).astype(np.float32) for w in model.get_weights()])
        model.compile(optimizer="adam", loss="mean_squared_error")
        model.optimizer.build(model.trainable_variables)
        if looped:
            epochs = loop.EpochLoop(model)
            for _ in range(2):
                epochs.fit(loop.on_device(x), loop.on_device(y), SIZE)
        else:
            model.fit(x, y, batch_size=SIZE, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for stock, found in zip(*weights, strict=True):
        np.testing.assert_allclose(found, stock, rtol=1e-4, atol=1e-5)


def test_a_loop_keeps_constraints() -> None:
    x, y = examples(3 * SIZE)
    weights = []
    for variant in ("stock", LOOP):
        one = built(variant)
        for weight in one.model.trainable_variables:
            weight.constraint = keras.constraints.MaxNorm(0.1)
        one.fit(one.inputs(x), one.targets(y), SIZE)
        weights.append(one.get_weights())
    for stock, looped in zip(*weights, strict=True):
        np.testing.assert_allclose(looped, stock, atol=2e-6)


def test_a_model_with_steps_of_its_own_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variant is tuned without a loop, which would leave them out."""

    class Own(keras.Model):  # type: ignore[misc]
        def train_step(self, *data: Any) -> Any:
            return super().train_step(*data)

    plain = building.build

    def build(*arguments: Any) -> Any:
        found = plain(*arguments)
        model = Own(found.model.inputs, found.model.outputs)
        model.compile_from_config(found.model.get_compile_config())
        return dataclasses.replace(found, model=model)

    assert type(built(LOOP)) is CustomLoop
    monkeypatch.setattr(building, "build", build)
    assert type(built(LOOP)) is KerasFit


def test_what_is_compiled_is_seen() -> None:
    for variant in ("stock", LOOP, NATIVE):
        one, (x, y) = built(variant), examples(SIZE)
        placed = one.inputs(x), one.targets(y)
        counts = [one.compilations()]
        for _ in range(2):
            one.fit(*placed, SIZE)
            counts.append(one.compilations())
        eager = keras.backend.backend() == "torch" and variant in {"stock", NATIVE}
        assert counts[1] == counts[2]
        assert (counts[1] > counts[0]) is not eager


def test_a_variant_that_is_wrong_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving out layers that are computed otherwise excuses nothing that comes of them."""
    ladder.shorten(monkeypatch)
    probes, true = ladder.opened("two_layer", tmp_path, TUNED), ladder.oracle("two_layer")
    layer = probes._candidate.model.get_layer("convolution_1")
    assert layer.name in probes.identity()[0]["unlike"]
    monkeypatch.setattr(layer, "activation", keras.activations.linear)
    found = ladder.climb(probes, true, ["identity", "forward"])
    assert {each.rung for each in found if each.status == "fail"} == {"P2"}
