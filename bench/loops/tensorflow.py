"""TensorFlow below Keras."""

import inspect
from typing import Any

import keras
import tensorflow as tf


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
