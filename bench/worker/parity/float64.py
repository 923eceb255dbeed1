"""Float64 in a worker that is a reference: on the CPU, never timed."""

import importlib

import keras
from keras.src.backend.common import dtypes


def enable_float64() -> None:
    """Have Keras compute in float64 from now on.

    Beside TensorFlow, Keras (3.15.1, keras#23704) makes float32 of what two float64 numbers give,
    whatever `floatx` is: `ops.matmul` under torch, the mean of a loss under JAX. The table that
    says so is not public, and there is no other way to it.
    """
    keras.config.set_floatx("float64")
    importlib.import_module(f"bench.worker.loops.{keras.backend.backend()}").enable_float64()
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
