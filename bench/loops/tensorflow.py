"""TensorFlow below Keras."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def device() -> str:
    """Where Keras really puts a variable: `cpu` or `gpu`."""
    where = keras.Variable([0.0]).value.device
    return "gpu" if "GPU" in where else "cpu"


def settings() -> dict[str, Any]:
    """What changes speed or rounding: devices, TF32, threads (0 is TensorFlow's choice)."""
    return {
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def be_exact() -> None:
    """Switch off what trades digits for speed: TF32, which GPUs multiply with."""
    tf.config.experimental.enable_tensor_float_32_execution(False)


def be_wide() -> None:
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
    """TensorFlow has no counter of matrix products alone; see `bench.loops.torch`."""


def train_flops(_: keras.Model, __: Any, ___: Any) -> None:
    """As `forward_flops`."""


def gradients(
    model: keras.Model,
    starts: Sequence[list[NDArray[Any]]],
    x: Any,
    y: Any,
) -> Iterator[tuple[float, list[NDArray[np.float32]]]]:
    """Loss of a batch and its gradient at each of these weights, compiled as Keras's own step."""

    @tf.function(jit_compile=model.jit_compile)  # type: ignore[untyped-decorator]
    def compute(x: Any, y: Any) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=outputs, training=True)
        weights = [weight.value for weight in model.trainable_weights]
        return loss, tape.gradient(loss, weights, unconnected_gradients="zero")

    for weights in starts:
        model.set_weights(weights)
        loss, found = compute(*keras.tree.map_structure(tf.constant, (x, y)))
        yield float(loss), [tf.convert_to_tensor(gradient).numpy() for gradient in found]
