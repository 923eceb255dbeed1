"""Lowered models against the models whose place they take, under this backend."""

import importlib
from typing import Any

import keras
import numpy as np
import pytest

import models
from models.lowering import LOWERINGS, PooledConvolution, lower

BACKEND = keras.backend.backend()
LOOP = importlib.import_module(f"bench.worker.loops.{BACKEND}")
# What TensorFlow cannot do on a CPU is a status in a run, and no test of ours.
HERE = [name for name in LOWERINGS if (BACKEND, name) != ("tensorflow", "channels_first")]


def convolution(
    size: tuple[int, int], kernel: tuple[int, int], window: tuple[int, int], **options: Any
) -> keras.Model:
    inputs = keras.Input((*size, 3))
    maps = keras.layers.Conv2D(4, kernel, activation="tanh", name="maps", **options)(inputs)
    pooled = keras.layers.MaxPooling2D(window, name="pooled")(maps)
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(pooled))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mean_squared_error")
    return model


def answers(model: keras.Model, x: Any, y: Any) -> list[Any]:
    ((loss, gradients),) = LOOP.gradients(model, [model.get_weights()], [(x, y)])
    return [loss, *gradients, model.predict(x, batch_size=len(x), verbose=0)]


@pytest.mark.parametrize("lowering", HERE)
@pytest.mark.parametrize(
    ("size", "kernel", "window", "use_bias"),
    [
        ((9, 9), (3, 3), (2, 2), True),
        ((11, 8), (1, 4), (3, 1), False),
        ((7, 12), (5, 2), (2, 5), True),
    ],
)
def test_answers_and_gradients_are_the_same(
    lowering: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    window: tuple[int, int],
    use_bias: bool,
) -> None:
    """Of kernels and windows of all sizes, with a rest at the edge and without."""
    keras.utils.set_random_seed(1)
    model = convolution(size, kernel, window, use_bias=use_bias)
    lowered = lower(model, lowering)
    assert isinstance(lowered.get_layer("maps"), PooledConvolution)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(6, *size, 3)).astype(np.float32)
    y = generator.normal(size=(6, 2)).astype(np.float32)
    for found, true in zip(answers(lowered, x, y), answers(model, x, y), strict=True):
        np.testing.assert_allclose(found, true, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("lowering", HERE)
@pytest.mark.parametrize("name", models.names())
def test_weights_go_both_ways_by_name(name: str, lowering: str) -> None:
    model = models.build(name)
    lowered = lower(model, lowering)
    assert [weight.path for weight in lowered.weights] == [weight.path for weight in model.weights]
    assert [layer.name for layer in lowered.layers] == [layer.name for layer in model.layers]
    assert lowered.loss == model.loss
    for one, other in zip(lowered.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model.set_weights(lowered.get_weights())


def test_a_patch_that_would_be_mostly_zeros_is_no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(PooledConvolution, "_largest_product", refuse)
    x = np.zeros((1, 9, 9, 3), np.float32)
    wasteful, fitting = (
        lower(convolution((9, 9), kernel, (2, 2)), "product") for kernel in ((2, 2), (3, 3))
    )
    wasteful(x)
    with pytest.raises(NotImplementedError):
        fitting(x)


def unlike() -> dict[str, keras.Model]:
    """Models of which nothing may be lowered, by why."""
    inputs = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(4, 3, activation="relu")
    pool = keras.layers.MaxPooling2D()
    told = maps(inputs)
    strided = keras.layers.Conv2D(4, 3, strides=2)(inputs)
    swish = keras.layers.Conv2D(4, 3, activation="swish")(inputs)
    padded = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    twice = keras.layers.Conv2D(3, 1)
    dense = keras.layers.Dense(2)
    within = keras.Sequential([keras.Input((6, 6, 4)), keras.layers.Flatten()])

    def pooled(activation: Any) -> keras.Model:
        convolved = keras.layers.Conv2D(4, 3, activation=activation)(inputs)
        return keras.Model(inputs, keras.layers.MaxPooling2D()(convolved))

    def relu(x: Any) -> Any:  # of that name, and not monotone
        return keras.ops.sin(3 * x)

    class Own(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            raise NotImplementedError

    return {
        "an operation takes the maps": keras.Model(inputs, [pool(told), keras.ops.mean(told)]),
        "a layer takes the maps and more": keras.Model(
            inputs, [pool(told), dense(told), dense(keras.layers.Conv2D(4, 1)(inputs))]
        ),
        "a model takes the maps": keras.Model(inputs, [pool(told), within(told)]),
        "another function of that name": pooled(relu),
        "a layer as activation": pooled(keras.layers.LeakyReLU()),
        "steps of its own": Own(inputs, pool(told)),
        "another takes the maps": keras.Model(inputs, [pool(told), keras.layers.Flatten()(told)]),
        "they are an output": keras.Model(inputs, [pool(told), told]),
        "strides": keras.Model(inputs, keras.layers.MaxPooling2D()(strided)),
        "not monotone": keras.Model(inputs, keras.layers.MaxPooling2D()(swish)),
        "padding": keras.Model(inputs, keras.layers.MaxPooling2D()(padded)),
        "windows overlap": keras.Model(
            inputs, keras.layers.MaxPooling2D(3, strides=2)(keras.layers.Conv2D(4, 3)(inputs))
        ),
        "average": keras.Model(
            inputs, keras.layers.AveragePooling2D(2)(keras.layers.Conv2D(4, 3)(inputs))
        ),
        "called twice": keras.Model(inputs, keras.layers.MaxPooling2D()(twice(twice(inputs)))),
    }


@pytest.mark.parametrize("why", unlike())
def test_what_is_not_the_same_stays_as_it_is(why: str) -> None:
    model = unlike()[why]
    assert lower(model, "late") is model


def test_a_model_that_declares_no_graph_stays_as_it_is() -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    model = Own()
    model(np.zeros((1, 2), np.float32))
    assert lower(model, "late") is model


def test_an_unknown_lowering_is_refused() -> None:
    with pytest.raises(ValueError, match="sideways"):
        lower(models.build("single_layer"), "sideways")


def test_the_loss_and_its_gradients_are_told_without_their_scale() -> None:
    """As an optimizer scales them so that small ones are not lost in half precision."""
    keras.utils.set_random_seed(1)
    model = convolution((9, 9), (3, 3), (2, 2))
    x, y = np.ones((6, 9, 9, 3), np.float32), np.ones((6, 2), np.float32)
    plain = answers(model, x, y)
    model.compile(keras.optimizers.SGD(loss_scale_factor=1024.0), "mean_squared_error")
    for found, true in zip(answers(model, x, y), plain, strict=True):
        np.testing.assert_array_equal(found, true)  # by a power of two nothing is rounded
