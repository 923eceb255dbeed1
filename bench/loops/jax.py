"""JAX below Keras."""

from typing import Any

import jax
import keras


def device() -> str:
    """Where Keras really puts a variable: `cpu` or `gpu`."""
    (where,) = keras.Variable([0.0]).value.devices()
    return str(where.platform)


def settings() -> dict[str, Any]:
    """What changes speed or rounding: devices, matrix product precision, 64-bit mode."""
    return {
        "devices": [str(device) for device in jax.devices()],
        "matmul_precision": jax.config.jax_default_matmul_precision,
        "x64": jax.config.jax_enable_x64,
    }
