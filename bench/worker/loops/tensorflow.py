"""TensorFlow below Keras."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bench.process.system import usable_cores
from bench.worker.loops.adam import KerasAdam
from bench.worker.loops.epochs import made_ready, results
from bench.worker.loops.state import loss_scale, place, readable
from models.native.tensorflow import apply_adam


def device() -> str:
    """Where Keras really puts a variable: `cpu` or `gpu`."""
    where = keras.Variable([0.0]).value.device
    return "gpu" if "GPU" in where else "cpu"


def settings() -> dict[str, Any]:
    """What changes speed or rounding: devices, TF32, threads."""
    cores = len(usable_cores())  # as many as it starts where it says 0, its own choice
    return {
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads() or cores,
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads() or cores,
    }


def disable_tf32() -> None:
    """Switch off what trades digits for speed: TF32, which GPUs multiply with."""
    tf.config.experimental.enable_tensor_float_32_execution(False)


def enable_float64() -> None:
    """Allow float64: TensorFlow always does."""


def wait() -> None:
    """Return when all that was dispatched has been computed."""
    tf.test.experimental.sync_devices()


def compilations(model: keras.Model) -> int:
    """How often the functions that Keras made for this model have been traced so far."""
    made = (model.train_function, model.test_function, model.predict_function)
    return sum(
        function.experimental_get_tracing_count()
        for outer in made
        if outer is not None
        for function in _traced(outer)
    )


def _traced(outer: Any) -> list[Any]:
    """The `tf.function`s behind a function of Keras, which hides them in a closure."""
    if isinstance(outer, tf.types.experimental.PolymorphicFunction):
        return [outer]
    inner = inspect.getclosurevars(outer).nonlocals.values()
    return [f for f in inner if isinstance(f, tf.types.experimental.PolymorphicFunction)]


def forward_flops(_: keras.Model, __: Any) -> None:
    """TensorFlow has no counter of matrix products alone; see `bench.worker.loops.torch`."""


def train_flops(_: keras.Model, __: Any, ___: Any) -> None:
    """As `forward_flops`."""


def gradients(
    model: keras.Model,
    starts: Iterable[list[NDArray[Any]]],
    batches: Iterable[tuple[Any, Any]],
) -> Iterator[tuple[float, list[NDArray[Any]]]]:
    """Loss of each batch and its gradient at its start, compiled as Keras's own step."""

    @tf.function(jit_compile=model.jit_compile)  # type: ignore[untyped-decorator]
    def compute(x: Any, y: Any) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=outputs, training=True)
            loss = model.optimizer.scale_loss(loss)
        weights = [weight.value for weight in model.trainable_weights]
        return loss, tape.gradient(loss, weights, unconnected_gradients="zero")

    for weights, (x, y) in zip(starts, batches, strict=False):
        place(model, weights)
        loss, found = compute(*keras.tree.map_structure(tf.constant, (x, y)))
        scale = loss_scale(model)
        yield float(loss) / scale, [readable(tf.convert_to_tensor(g)) / scale for g in found]


def traced(functions: Sequence[Any]) -> int:
    """How often these `tf.function`s have been traced so far."""
    return sum(function.experimental_get_tracing_count() for function in functions)


def on_device(data: Any) -> Any:
    """Arrays where they are needed."""
    return keras.tree.map_structure(tf.constant, data)


class EpochLoop:
    """An epoch as one graph over data that is on the device: no tf.data, no Python between steps.

    Keras's Adam is several operations for each weight; here it is TensorFlow's fused one.

    Attributes:
        functions: What is compiled, for `traced`.
    """

    def __init__(self, model: keras.Model) -> None:
        """Trace nothing yet.

        Args:
            model: Built and compiled.
        """
        self._model = model
        self._adam: KerasAdam | None = None
        self._train, self._test, self._predict = (
            tf.function(each, jit_compile=model.jit_compile)
            for each in (self._train_on, self._test_on, lambda x: model.predict_step((x,)))
        )
        self.functions = (self._train, self._test, self._predict)

    def fit(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        """Train over the examples once, in order; the metrics of the epoch."""
        return self._epoch(self._train, (x, y), batch_size)

    def evaluate(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        """The metrics of the examples."""
        return self._epoch(self._test, (x, y), batch_size)

    def predict(self, x: Any, batch_size: int) -> Any:
        """What the model gives, as NumPy arrays."""
        given = [
            self._predict(_part(x, begin, begin + batch_size))
            for begin in range(0, _count_of(x), batch_size)
        ]
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *given)

    def _epoch(self, graph: Any, data: Any, batch_size: int) -> dict[str, float]:
        """Whole batches, and a rest, whose graph is another one."""
        made_ready(self._model, *data)
        self._adam = KerasAdam.of(self._model)
        count = _count_of(data)
        whole = count // batch_size * batch_size
        if whole:
            graph(_part(data, 0, whole), batch_size)
        if whole < count:
            graph(_part(data, whole, count), count - whole)
        return results(self._model)

    def _train_on(self, data: Any, size: int) -> None:
        step = self._model.train_step if self._adam is None else self._fused_step
        for number in tf.range(_tensor_count(data) // size):
            step(_batch(data, number, size))

    def _test_on(self, data: Any, size: int) -> None:
        for number in tf.range(_tensor_count(data) // size):
            self._model.test_step(_batch(data, number, size))

    def _fused_step(self, batch: Any) -> None:
        model, adam, (x, y) = self._model, self._adam, batch
        assert adam is not None  # noqa: S101 - or Keras's own step is taken
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=outputs, training=True)
        weights = [weight.value for weight in model.trainable_variables]
        found = tape.gradient(loss, weights)
        model.metrics[0].update_state(loss, sample_weight=_count_of(x))
        model.compute_metrics(x, y, outputs)
        model.optimizer.iterations.assign_add(1)
        steps = tf.cast(model.optimizer.iterations.value, tf.float32)
        for weight, momentum, velocity, gradient in zip(
            weights, adam.momentum, adam.velocity, found, strict=True
        ):
            if gradient is None:  # nothing of the loss comes of it
                continue
            apply_adam(adam.numbers, steps, weight, momentum.value, velocity.value, gradient)


def _batch(data: Any, number: Any, size: int) -> Any:
    """A batch, whose size the graph shall know."""

    def cut(array: Any) -> Any:
        part = array[number * size : (number + 1) * size]
        return tf.ensure_shape(part, (size, *array.shape[1:]))

    return keras.tree.map_structure(cut, data)


def _part(data: Any, begin: int, end: int) -> Any:
    return keras.tree.map_structure(lambda array: array[begin:end], data)


def _count_of(data: Any) -> int:
    return int(keras.tree.flatten(data)[0].shape[0])


def _tensor_count(data: Any) -> Any:
    """In the graph: one that is traced for any number takes every number."""
    return tf.shape(keras.tree.flatten(data)[0])[0]
