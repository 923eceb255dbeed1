"""JAX below Keras."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import keras
import numpy as np
from jax import lax
from numpy.typing import NDArray

from bench.worker.loops.epochs import made_ready, results
from bench.worker.loops.state import loss_scale, place, readable
from models.native import batches


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


def disable_tf32() -> None:
    """Switch off what trades digits for speed: TF32, which GPUs multiply with."""
    jax.config.update("jax_default_matmul_precision", "highest")


def enable_float64() -> None:
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
    """JAX has no counter of matrix products alone; see `bench.worker.loops.torch`."""


def train_flops(_: keras.Model, __: Any, ___: Any) -> None:
    """As `forward_flops`."""


def gradients(
    model: keras.Model,
    starts: Iterable[list[NDArray[Any]]],
    batches: Iterable[tuple[Any, Any]],
) -> Iterator[tuple[float, list[NDArray[Any]]]]:
    """Loss of each batch and its gradient at its start, compiled as Keras's own step."""
    metrics, optimizer = (
        [variable.value for variable in each]
        for each in (model.metrics_variables, model.optimizer.variables)
    )
    loss_of = partial(model.compute_loss_and_updates, training=True, optimizer_variables=optimizer)
    compute = jax.jit(jax.value_and_grad(loss_of, has_aux=True))
    for weights, (x, y) in zip(starts, batches, strict=False):
        place(model, weights)
        trained, rest = (
            [variable.value for variable in each]
            for each in (model.trainable_variables, model.non_trainable_variables)
        )
        (loss, _), found = compute(trained, rest, metrics, x, y, None)
        scale = loss_scale(model)
        yield float(loss) / scale, [readable(each) / scale for each in found]


def traced(_: Sequence[Any]) -> int:
    """How many programs XLA has compiled in this process so far, these functions' and others."""
    return _compilations


def on_device(data: Any) -> Any:
    """Arrays where they are needed."""
    return jax.tree.map(jax.numpy.asarray, data)


class EpochLoop:
    """Keras's own steps over data that is on the device, as `fit`, `evaluate` and `predict` do.

    A step cuts its batch out of the data, and between steps nothing comes back to Python.

    Attributes:
        functions: What is compiled, for `traced`.
    """

    def __init__(self, model: keras.Model) -> None:
        """Compile nothing yet.

        Args:
            model: Built and compiled.
        """
        self._model = model
        train, test = (_on_batch(step, 1) for step in (model.train_step, model.test_step))
        self._train, self._test = (
            jax.jit(step, donate_argnums=0, static_argnames="size") for step in (train, test)
        )
        self._predict = jax.jit(_on_batch(model.predict_step, 0), static_argnames="size")
        self.functions = (self._train, self._test, self._predict)

    def fit(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        """Train over the examples once, in order; the metrics of the epoch."""
        return self._epoch(self._train, [self._model.optimizer.variables], (x, y), batch_size)

    def evaluate(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        """The metrics of the examples."""
        return self._epoch(self._test, [], (x, y), batch_size)

    def predict(self, x: Any, batch_size: int) -> Any:
        """What the model gives, as NumPy arrays."""
        model = self._model
        state = _values([model.trainable_variables, model.non_trainable_variables])
        given = [
            self._predict(state, begin, (x,), size=size)
            for begin, size in batches(_count_of(x), batch_size)
        ]
        return jax.tree.map(lambda *parts: np.concatenate([np.asarray(p) for p in parts]), *given)

    def _epoch(
        self, step: Callable[..., Any], optimizer: list[Any], data: Any, batch_size: int
    ) -> dict[str, float]:
        model = self._model
        made_ready(model, *data)
        groups = [
            model.trainable_variables,
            model.non_trainable_variables,
            *optimizer,
            model.metrics_variables,
        ]
        state = _values(groups)
        for begin, size in batches(_count_of(data), batch_size):
            state = step(state, begin, data, size=size)
        for variables, values in zip(groups, state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return results(model)


def _on_batch(step: Callable[..., Any], wanted: int) -> Callable[..., Any]:
    """A step of Keras's that cuts its own batch; what it gives at that place."""

    def on_batch(state: Any, begin: Any, data: Any, size: int) -> Any:
        cut = partial(lax.dynamic_slice_in_dim, start_index=begin, slice_size=size)
        return step(state, jax.tree.map(cut, data))[wanted]

    return on_batch


def _values(groups: Sequence[Any]) -> tuple[list[Any], ...]:
    """Copies, which a step may take the memory of."""
    return tuple([jax.numpy.array(variable.value) for variable in each] for each in groups)


def _count_of(data: Any) -> int:
    return len(jax.tree.leaves(data)[0])
