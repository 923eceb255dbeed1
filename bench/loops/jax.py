"""JAX below Keras."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import keras
import numpy as np
from numpy.typing import NDArray


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


def be_exact() -> None:
    """Switch off what trades digits for speed: TF32, which GPUs multiply with."""
    jax.config.update("jax_default_matmul_precision", "highest")


def be_wide() -> None:
    """Allow float64, which JAX rounds to float32 else."""
    jax.config.update("jax_enable_x64", True)


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


def forward_flops(_: keras.Model, __: Any) -> None:
    """JAX has no counter of matrix products alone; see `bench.loops.torch`."""


def train_flops(_: keras.Model, __: Any, ___: Any) -> None:
    """As `forward_flops`."""


def gradients(
    model: keras.Model,
    starts: Sequence[list[NDArray[Any]]],
    x: Any,
    y: Any,
) -> Iterator[tuple[float, list[NDArray[np.float32]]]]:
    """Loss of a batch and its gradient at each of these weights, compiled as Keras's own step."""
    metrics, optimizer = (
        [variable.value for variable in each]
        for each in (model.metrics_variables, model.optimizer.variables)
    )
    loss_of = partial(model.compute_loss_and_updates, training=True, optimizer_variables=optimizer)
    compute = jax.jit(jax.value_and_grad(loss_of, has_aux=True))
    for weights in starts:
        model.set_weights(weights)
        trained, rest = (
            [variable.value for variable in each]
            for each in (model.trainable_variables, model.non_trainable_variables)
        )
        (loss, _), found = compute(trained, rest, metrics, x, y, None)
        yield float(loss), [np.asarray(gradient) for gradient in found]
