"""Float64 in a worker that is a reference: on the CPU, never timed."""

import importlib

import keras
from keras.src.backend.common import dtypes

from bench.contract.rungs import UNIT_ROUNDOFF


def enable_float64() -> None:
    """Have Keras compute in float64 from now on, whatever a layer's policy says.

    Beside TensorFlow, Keras (3.15.1, keras#23704) makes float32 of what two float64 numbers give,
    whatever `floatx` is: `ops.matmul` under torch, the mean of a loss under JAX. The table that
    says so is not public, and there is no other way to it, as there is none to what a policy's name
    stands for; layers whose policy is changed later keep variables of the old one.
    """
    keras.config.set_floatx("float64")
    importlib.import_module(f"bench.worker.loops.{keras.backend.backend()}").enable_float64()
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    parse = keras.DTypePolicy._parse_name

    def wide(policy: keras.DTypePolicy, name: str) -> tuple[str, ...]:
        return tuple("float64" if d in UNIT_ROUNDOFF else d for d in parse(policy, name))

    keras.DTypePolicy._parse_name = wide
