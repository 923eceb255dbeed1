"""TensorFlow below Keras."""

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
