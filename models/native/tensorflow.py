"""The CNNs in TensorFlow alone: variables and `tf.function`, whose loop over batches is a graph."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.native import Adam, State, Weights, batches, classes

Parameters = list[tf.Variable]
ADAM = Adam()


def single_layer(parameters: Parameters, images: tf.Tensor) -> tf.Tensor:
    """Logits, shape (examples, 10)."""
    maps = _pooled(tf.nn.relu(_convolved(images, *parameters[:2])))
    return _classified(maps, *parameters[2:])


def two_layer(parameters: Parameters, images: tf.Tensor) -> tf.Tensor:
    """Logits, shape (examples, 10)."""
    maps = _pooled(tf.nn.relu(_convolved(images, *parameters[:2])))
    maps = _pooled(tf.nn.relu(_convolved(maps, *parameters[2:4])))
    return _classified(maps, *parameters[4:])


def _convolved(images: tf.Tensor, kernel: tf.Variable, bias: tf.Variable) -> tf.Tensor:
    return tf.nn.bias_add(tf.nn.conv2d(images, kernel, 1, "VALID"), bias)


def _pooled(maps: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(maps, 2, 2, "VALID")


def _classified(maps: tf.Tensor, *parameters: tf.Variable) -> tf.Tensor:
    kernel, bias, last_kernel, last_bias = parameters
    features = tf.reshape(maps, (-1, kernel.shape[0]))
    hidden = tf.nn.relu(tf.nn.bias_add(tf.matmul(features, kernel), bias))
    return tf.nn.bias_add(tf.matmul(hidden, last_kernel), last_bias)


def images(x: Any) -> Any:
    """NumPy's images where they are needed."""
    return tf.constant(x)


def labels(y: Any) -> Any:
    """Class numbers of one-hot targets where they are needed."""
    return tf.constant(classes(y), tf.int32)


class Network:
    """One of the CNNs, its weights and its optimizer.

    Attributes:
        functions: What is compiled, once for each size of batches.
    """

    def __init__(self, model: str, state: State) -> None:
        """Trace nothing yet.

        Args:
            model: Name of one of the functions above.
            state: Where training begins.
        """
        self._forward = globals()[model]
        lists = (state.weights, state.momentum, state.velocity)
        self._weights, self._momentum, self._velocity = (
            [tf.Variable(array) for array in some] for some in lists
        )
        self._steps = tf.Variable(state.steps, dtype=tf.int64)
        self._fit = tf.function(self._train_on)
        self._evaluate = tf.function(self._test_on)
        self._probabilities = tf.function(lambda x: tf.nn.softmax(self._forward(self._weights, x)))
        self._gradient = tf.function(self._loss_and_gradients)
        self.functions = (self._fit, self._evaluate, self._probabilities, self._gradient)

    def restore(self, state: State) -> None:
        """Go on from there."""
        for variables, arrays in (
            (self._weights, state.weights),
            (self._momentum, state.momentum),
            (self._velocity, state.velocity),
        ):
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)
        self._steps.assign(state.steps)

    def state(self) -> State:
        """Where training stands."""
        lists = (self._weights, self._momentum, self._velocity)
        weights, momentum, velocity = ([each.numpy() for each in some] for some in lists)
        return State(weights, momentum, velocity, int(self._steps))

    def fit(self, x: Any, y: Any, batch_size: int) -> tuple[float, float]:
        """Train over the examples once, in order; mean loss and accuracy on the way."""
        return _means(self._fit, x, y, batch_size)

    def evaluate(self, x: Any, y: Any, batch_size: int) -> tuple[float, float]:
        """Mean loss and accuracy."""
        return _means(self._evaluate, x, y, batch_size)

    def predict(self, x: Any, batch_size: int) -> NDArray[np.float32]:
        """Probabilities, shape (examples, 10)."""
        found = [
            self._probabilities(x[begin : begin + size]).numpy()
            for begin, size in batches(len(x), batch_size)
        ]
        return np.concatenate(found)

    def logits(self, x: Any) -> NDArray[np.float32]:
        """What the softmax is taken of."""
        return np.asarray(self._forward(self._weights, x))

    def gradients(self, x: Any, y: Any) -> tuple[float, Weights]:
        """Mean loss of one batch, and its gradient."""
        loss, _, found = self._gradient(x, y)
        return float(loss), [each.numpy() for each in found]

    def _loss(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self._forward(self._weights, x)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        correct = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), y)
        return tf.reduce_mean(losses), tf.reduce_sum(tf.cast(correct, tf.float32))

    def _loss_and_gradients(self, x: tf.Tensor, y: tf.Tensor) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            loss, correct = self._loss(x, y)
        return loss, correct, tape.gradient(loss, self._weights)

    def _train_on(self, x: tf.Tensor, y: tf.Tensor, size: int) -> tf.Tensor:
        sums = tf.zeros(2)
        for batch in tf.range(tf.shape(x)[0] // size):
            images, labels = _batch(x, y, batch, size)
            loss, correct, found = self._loss_and_gradients(images, labels)
            self._apply(found)
            sums += tf.stack([size * loss, correct])
        return sums

    def _test_on(self, x: tf.Tensor, y: tf.Tensor, size: int) -> tf.Tensor:
        sums = tf.zeros(2)
        for batch in tf.range(tf.shape(x)[0] // size):
            loss, correct = self._loss(*_batch(x, y, batch, size))
            sums += tf.stack([size * loss, correct])
        return sums

    def _apply(self, found: list[tf.Tensor]) -> None:
        steps = tf.cast(self._steps.assign_add(1), tf.float32)
        for variables in zip(self._weights, self._momentum, self._velocity, found, strict=True):
            apply_adam(ADAM, steps, *variables)


def apply_adam(
    adam: Adam,
    steps: tf.Tensor,
    weight: tf.Variable,
    momentum: tf.Variable,
    velocity: tf.Variable,
    gradient: tf.Tensor,
) -> None:
    """Step number `steps` (a float32) of one weight, as one operation."""
    tf.raw_ops.ResourceApplyAdam(
        var=weight.handle,
        m=momentum.handle,
        v=velocity.handle,
        beta1_power=adam.beta_1**steps,
        beta2_power=adam.beta_2**steps,
        lr=adam.rate,
        beta1=adam.beta_1,
        beta2=adam.beta_2,
        epsilon=adam.epsilon,
        grad=gradient,
    )


def _batch(x: tf.Tensor, y: tf.Tensor, number: tf.Tensor, size: int) -> tuple[Any, Any]:
    begin = number * size
    images, labels = x[begin : begin + size], y[begin : begin + size]
    images.set_shape((size, *x.shape[1:]))
    labels.set_shape((size,))
    return images, labels


def _means(over: Any, x: tf.Tensor, y: tf.Tensor, batch_size: int) -> tuple[float, float]:
    """Of whole batches, and of a rest, whose graph is another one."""
    whole = len(x) // batch_size * batch_size
    sums = over(x[:whole], y[:whole], batch_size) if whole else tf.zeros(2)
    if whole < len(x):
        sums += over(x[whole:], y[whole:], len(x) - whole)
    loss, correct = sums.numpy() / len(x)
    return float(loss), float(correct)
