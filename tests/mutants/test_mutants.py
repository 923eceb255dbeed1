"""The kill matrix: a backend that computes something else is caught, at the rung that says what.

Each mutant is this backend with one thing wrong. `RUNGS` names the rung at which it must be caught;
all rungs before it must have nothing to say, so that the first failure is a diagnosis.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops, optimizers

from bench.worker.loops.input_pipeline import Feed
from bench.worker.model import building
from bench.worker.model.building import Built
from tests.backend import ladder

Mutant = Callable[[pytest.MonkeyPatch], None]


def of_layer(name: str, call: Callable[[Any, Any], Any]) -> Mutant:
    """A mutant whose layer `name` does something else."""

    def change(model: keras.Model) -> None:
        layer = model.get_layer(name)
        layer.call = lambda x, *_, **__: call(layer, x)

    return of_model(change)


def of_model(change: Callable[[keras.Model], None]) -> Mutant:
    """A mutant whose models come out of `build` changed."""

    def apply(monkeypatch: pytest.MonkeyPatch) -> None:
        build = building.build

        def mutated(*given: Any) -> Built:
            built = build(*given)
            change(built.model)
            return built

        monkeypatch.setattr(building, "build", mutated)

    return apply


def with_loss(loss: Any) -> Mutant:
    """A mutant that minimises something else."""
    return of_model(lambda model: model.compile(optimizer="adam", loss=loss, metrics=["accuracy"]))


def with_optimizer(optimizer: Any, **settings: Any) -> Mutant:
    """A mutant whose optimizer is another, or set otherwise."""
    return of_model(
        lambda model: model.compile(
            optimizer=optimizer(**settings), loss=model.loss, metrics=["accuracy"]
        )
    )


def of_fit(change: Callable[..., Any]) -> Mutant:
    """A mutant that trains on something else; `change` takes x, y and the batch size."""

    def apply(model: keras.Model) -> None:
        fit = model.fit

        def mutated(x: Any, y: Any, batch_size: int, **rest: Any) -> Any:
            return fit(*change(x, y, batch_size), batch_size=batch_size, **rest)

        model.fit = mutated

    return of_model(apply)


def of_feed(name: str, change: Callable[[Any], Any]) -> Mutant:
    """A mutant whose inputs (`x`) or targets (`y`) are something else."""

    def apply(monkeypatch: pytest.MonkeyPatch) -> None:
        right = getattr(Feed, name)
        monkeypatch.setattr(Feed, name, lambda *given: change(right(*given)))

    return apply


def convolved(layer: Any, x: Any, kernel: Any, padding: str = "valid") -> Any:
    return ops.relu(ops.conv(x, kernel, 1, padding) + layer.bias)


def dense(layer: Any, x: Any, kernel: Any) -> Any:
    return ops.relu(ops.matmul(x, kernel) + layer.bias)


def shifted(x: Any) -> Any:
    return ops.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]])[:, :-1, :-1]


def halved(layer: Any, x: Any) -> Any:
    product = ops.matmul(ops.cast(x, "float16"), ops.cast(layer.kernel, "float16"))
    return ops.relu(ops.cast(product, "float32") + layer.bias)


def loss_on_probabilities_as_logits(y: Any, outputs: Any) -> Any:
    # Times 1, or TensorFlow would find the logits behind the softmax and be right after all.
    return keras.losses.categorical_crossentropy(y, outputs * 1.0, from_logits=True)


def swapped(weights: list[Any]) -> list[Any]:
    return [weights[0][..., ::-1].copy(), *weights[1:]]


def with_swapped_weights(model: keras.Model) -> None:
    put = model.set_weights
    model.set_weights = lambda weights: put(swapped(weights))


def flipped(targets: Any) -> Any:
    targets = targets.copy()
    targets[:20] = np.roll(targets[:20], 1, axis=1)
    return targets


def one_step_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `KERAS_MAX_STEPS_PER_EPOCH` does to a process that it reaches."""
    config = keras.src.backend.config
    monkeypatch.setattr(config, "_MAX_STEPS_PER_EPOCH", 1)


def shuffled(x: Any, y: Any, _: int) -> tuple[Any, Any]:
    return x[::-1].copy(), y[::-1].copy()


def at_random(x: Any, y: Any, _: int) -> tuple[Any, Any]:
    order = np.random.default_rng().permutation(len(x))
    return x[order], y[order]


def of_whole_batches(y: Any, outputs: Any) -> Any:
    """The sum over the nominal batch size: the mean, but where a batch is not full."""
    losses = keras.losses.categorical_crossentropy(y, outputs)
    return losses * ops.cast(ops.shape(y)[0], "float32") / ladder.BATCH


def whole_batches(x: Any, y: Any, batch_size: int) -> tuple[Any, Any]:
    whole = max(1, len(x) // batch_size) * batch_size
    return x[:whole], y[:whole]


class DecaysWhatIsNotTrained(optimizers.Adam):  # type: ignore[misc]
    """Adam that lets go of what has no gradient, as a decay does where no gradient is zeros."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        before = ops.convert_to_tensor(variable)
        super().update_step(gradient, variable, learning_rate)
        lost = ops.where(ops.equal(gradient, 0), 1e-3 * before, ops.zeros_like(before))
        variable.assign(ops.subtract(variable, lost))


def wrong_beyond(layer: Any, x: Any) -> Any:
    """A kernel that is wrong beyond a size, as some are beyond 32,768 rows."""
    factor = ops.where(ops.shape(x)[0] > ladder.LARGE // 2, 1.001, 1.0)
    return dense(layer, x, layer.kernel) * factor


def now_and_then(model: keras.Model) -> None:
    """A race: every fifth prediction is another one."""
    predict, calls = model.predict_on_batch, itertools.count()
    model.predict_on_batch = lambda x: predict(x) * (1 + 1e-3 * (next(calls) % 5 == 4))


def compiled_otherwise(model: keras.Model) -> None:
    """A compiler that is wrong: what is not compiled is right."""
    predict = model.predict_on_batch
    model.predict_on_batch = lambda x: predict(x) * 1.001


MUTANTS: dict[str, tuple[str, Mutant]] = {
    "pixels divided by 256": ("P0", of_feed("x", lambda x: x * np.float32(255 / 256))),
    "20 labels flipped": ("P0", of_feed("y", flipped)),
    "one step at most": ("P0, steps", one_step_at_most),
    "last partial batch dropped": ("P0, steps", of_fit(whole_batches)),
    "weights swapped": ("P1", of_model(with_swapped_weights)),
    "kernel transposed": (
        "P2",
        of_layer(
            "convolution_1",
            lambda layer, x: convolved(layer, x, ops.transpose(layer.kernel, (1, 0, 2, 3))),
        ),
    ),
    "kernel turned, a true convolution": (
        "P2",
        of_layer(
            "convolution_1", lambda layer, x: convolved(layer, x, ops.flip(layer.kernel, (0, 1)))
        ),
    ),
    "channels first when flattened": (
        "P2",
        of_layer("flatten", lambda _, x: ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, 200))),
    ),
    "padding off by one": (
        "P2",
        of_layer("convolution_2", lambda layer, x: convolved(layer, shifted(x), layer.kernel)),
    ),
    "average for max pool": (
        "P2",
        of_layer("pooling_2", lambda _, x: ops.average_pool(x, (2, 2), (2, 2))),
    ),
    "bias dropped": (
        "P2",
        of_layer("hidden", lambda layer, x: ops.relu(ops.matmul(x, layer.kernel))),
    ),
    "output's bias dropped": (
        "P2",
        of_layer("output", lambda layer, x: ops.softmax(ops.matmul(x, layer.kernel))),
    ),
    "no ReLU": (
        "P2",
        of_layer("hidden", lambda layer, x: ops.matmul(x, layer.kernel) + layer.bias),
    ),
    "float16 compute": ("P2", of_layer("hidden", halved)),
    "probabilities taken for logits": ("P3", with_loss(loss_on_probabilities_as_logits)),
    "sum for mean": (
        "P3",
        with_loss(keras.losses.CategoricalCrossentropy(reduction="sum")),
    ),
    "smoothed labels": (
        "P3",
        with_loss(keras.losses.CategoricalCrossentropy(label_smoothing=0.001)),
    ),
    "a gradient times 1.001": (
        "P3",
        of_layer(
            "hidden",
            lambda layer, x: dense(
                layer, x, 1.001 * layer.kernel - 0.001 * ops.stop_gradient(layer.kernel)
            ),
        ),
    ),
    "a bias without gradient": (
        "P3",
        of_layer(
            "hidden",
            lambda layer, x: ops.relu(
                ops.matmul(x, layer.kernel) + ops.stop_gradient(ops.convert_to_tensor(layer.bias))
            ),
        ),
    ),
    "Adam with epsilon 1e-3": ("P4", with_optimizer(optimizers.Adam, epsilon=1e-3)),
    "learning rate times 1.01": ("P4", with_optimizer(optimizers.Adam, learning_rate=1.01e-3)),
    "RMSprop for Adam": ("P4", with_optimizer(optimizers.RMSprop, learning_rate=1e-3)),
    "clipped gradients": ("P4", with_optimizer(optimizers.Adam, clipnorm=0.1)),
    "momentum 0.99 for 0.9": ("P5", with_optimizer(optimizers.Adam, beta_1=0.99)),
    # At once, and not only later: epsilon weighs less beside a larger second moment.
    "second moment 0.99 for 0.999": ("P4", with_optimizer(optimizers.Adam, beta_2=0.99)),
    "weight decay": ("P5", with_optimizer(optimizers.AdamW, weight_decay=1e-3)),
    "batches in another order": ("P5", of_fit(shuffled)),
    "batches at random": ("P5", of_fit(at_random)),
    "another learning rate after three steps": (
        "P5",
        with_optimizer(
            optimizers.Adam,
            learning_rate=optimizers.schedules.PiecewiseConstantDecay([2], [1e-3, 1.5e-3]),
        ),
    ),
    "half a batch taken for a whole one": ("P5", with_loss(of_whole_batches)),
    "a decay of what has no gradient": ("P4", with_optimizer(DecaysWhatIsNotTrained)),
    "wrong beyond a size of a batch": ("P9", of_layer("hidden", wrong_beyond)),
    "another result now and then": ("P9", of_model(now_and_then)),
    "compiled otherwise": ("P9", of_model(compiled_otherwise)),
}


# Up to the rung at which it must be caught. What only changes the optimizer cannot change outputs;
# steps are counted by P4 and P5.
ASKED = {
    "P0": ("identity",),
    "P0, steps": ("identity", "gradients", "update", "trajectory"),
    "P1": ("identity",),
    "P2": ("identity", "forward"),
    "P3": ("identity", "forward", "gradients"),
    "P4": ("identity", "gradients", "update"),
    "P5": ("identity", "gradients", "update", "trajectory"),
    "P9": ("identity", "forward", "gradients", "update", "consistency"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught_at_its_rung(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.shorten(monkeypatch)
    true = ladder.oracle("two_layer")
    rung, mutate = MUTANTS[name]
    mutate(monkeypatch)
    found = ladder.climb(ladder.opened("two_layer", tmp_path), true, ASKED[rung])
    failed = [finding.rung for finding in found if finding.status == "fail"]
    assert failed
    assert min(failed) == rung[:2]
