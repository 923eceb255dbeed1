"""The CNNs in JAX alone: pure functions, compiled with `jax.jit`."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from models.native import Adam, State, Weights, batches, classes

Parameters = list[jax.Array]
ADAM = Adam()


def single_layer(parameters: Parameters, images: jax.Array) -> jax.Array:
    """Logits, shape (examples, 10)."""
    maps = _pooled(jax.nn.relu(_convolved(images, *parameters[:2])))
    return _classified(maps, *parameters[2:])


def two_layer(parameters: Parameters, images: jax.Array) -> jax.Array:
    """Logits, shape (examples, 10)."""
    maps = _pooled(jax.nn.relu(_convolved(images, *parameters[:2])))
    maps = _pooled(jax.nn.relu(_convolved(maps, *parameters[2:4])))
    return _classified(maps, *parameters[4:])


def _convolved(images: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return (
        lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=layout) + bias
    )


def _pooled(maps: jax.Array) -> jax.Array:
    window = (1, 2, 2, 1)
    return lax.reduce_window(maps, -jnp.inf, lax.max, window, window, "VALID")


def _classified(maps: jax.Array, *parameters: jax.Array) -> jax.Array:
    kernel, bias, last_kernel, last_bias = parameters
    features = maps.reshape(len(maps), -1)
    return jax.nn.relu(features @ kernel + bias) @ last_kernel + last_bias


def images(x: Any) -> Any:
    """NumPy's images where they are needed."""
    return jnp.asarray(x)


def labels(y: Any) -> Any:
    """Class numbers of one-hot targets where they are needed."""
    return jnp.asarray(classes(y), jnp.int32)


class Network:
    """One of the CNNs, its weights and its optimizer.

    Attributes:
        functions: What is compiled, once for each size of batches.
    """

    def __init__(self, model: str, state: State) -> None:
        """Compile nothing yet.

        Args:
            model: Name of one of the functions above.
            state: Where training begins.
        """
        self._forward = globals()[model]
        self._train = jax.jit(self._train_step, donate_argnums=0, static_argnames="size")
        self._test = jax.jit(self._test_step, static_argnames="size")
        self._probabilities = jax.jit(self._predict_step, static_argnames="size")
        self._gradient = jax.jit(jax.value_and_grad(self._loss, has_aux=True))
        self.functions = (self._train, self._test, self._probabilities, self._gradient)
        self.restore(state)

    def restore(self, state: State) -> None:
        """Go on from there."""
        self._state = (
            [jnp.array(weight) for weight in state.weights],
            [jnp.array(moment) for moment in state.momentum],
            [jnp.array(moment) for moment in state.velocity],
            jnp.array(state.steps, jnp.int32),
        )

    def state(self) -> State:
        """Where training stands."""
        *lists, steps = self._state
        weights, momentum, velocity = ([np.asarray(each) for each in some] for some in lists)
        return State(weights, momentum, velocity, int(steps))

    def fit(self, x: Any, y: Any, batch_size: int) -> tuple[float, float]:
        """Train over the examples once, in order; mean loss and accuracy on the way."""
        sums = jnp.zeros(2)
        for begin, size in batches(len(x), batch_size):
            self._state, sums = self._train(self._state, sums, begin, x, y, size=size)
        return _means(sums, len(x))

    def evaluate(self, x: Any, y: Any, batch_size: int) -> tuple[float, float]:
        """Mean loss and accuracy."""
        sums = jnp.zeros(2)
        for begin, size in batches(len(x), batch_size):
            sums = self._test(self._state[0], sums, begin, x, y, size=size)
        return _means(sums, len(x))

    def predict(self, x: Any, batch_size: int) -> NDArray[np.float32]:
        """Probabilities, shape (examples, 10)."""
        found = [
            self._probabilities(self._state[0], begin, x, size=size)
            for begin, size in batches(len(x), batch_size)
        ]
        return np.concatenate([np.asarray(each) for each in found])

    def logits(self, x: Any) -> NDArray[np.float32]:
        """What the softmax is taken of."""
        return np.asarray(self._forward(self._state[0], x))

    def gradients(self, x: Any, y: Any) -> tuple[float, Weights]:
        """Mean loss of one batch, and its gradient."""
        (loss, _), found = self._gradient(self._state[0], x, y)
        return float(loss), [np.asarray(each) for each in found]

    def _loss(self, parameters: Parameters, x: jax.Array, y: jax.Array) -> tuple[Any, Any]:
        logits = self._forward(parameters, x)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
        return -chosen.mean(), (logits.argmax(axis=1) == y).sum()

    def _train_step(self, state: Any, sums: Any, begin: Any, x: Any, y: Any, size: int) -> Any:
        parameters, momentum, velocity, steps = state
        images, labels = _batch(x, y, begin, size)
        (loss, correct), found = jax.value_and_grad(self._loss, has_aux=True)(
            parameters, images, labels
        )
        steps = steps + 1
        one, two = 1 - ADAM.beta_1, 1 - ADAM.beta_2
        rate = ADAM.rate * jnp.sqrt(1 - ADAM.beta_2**steps) / (1 - ADAM.beta_1**steps)
        momentum = [m + one * (g - m) for m, g in zip(momentum, found, strict=True)]
        velocity = [v + two * (g * g - v) for v, g in zip(velocity, found, strict=True)]
        parameters = [
            p - rate * m / (jnp.sqrt(v) + ADAM.epsilon)
            for p, m, v in zip(parameters, momentum, velocity, strict=True)
        ]
        sums = sums + jnp.array([size * loss, correct])
        return (parameters, momentum, velocity, steps), sums

    def _test_step(self, parameters: Any, sums: Any, begin: Any, x: Any, y: Any, size: int) -> Any:
        loss, correct = self._loss(parameters, *_batch(x, y, begin, size))
        return sums + jnp.array([size * loss, correct])

    def _predict_step(self, parameters: Parameters, begin: Any, x: jax.Array, size: int) -> Any:
        images = lax.dynamic_slice_in_dim(x, begin, size)
        return jax.nn.softmax(self._forward(parameters, images))


def _batch(x: jax.Array, y: jax.Array, begin: Any, size: int) -> tuple[jax.Array, jax.Array]:
    cut = partial(lax.dynamic_slice_in_dim, start_index=begin, slice_size=size)
    return cut(x), cut(y)


def _means(sums: jax.Array, count: int) -> tuple[float, float]:
    loss, correct = np.asarray(sums) / count
    return float(loss), float(correct)
