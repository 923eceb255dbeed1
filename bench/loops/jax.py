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


def wait() -> None:
    """Return when all that was dispatched has been computed."""
    for array in jax.live_arrays():
        array.block_until_ready()


def compilations(_: keras.Model) -> int:
    """How many programs XLA has compiled in this process so far."""
    return _compilations


_compilations = 0


def _count(event: str, *_: Any, **__: Any) -> None:
    global _compilations
    _compilations += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(_count)
