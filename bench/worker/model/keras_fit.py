"""A model that Keras computes, run by its `fit` or by a loop of ours."""

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import keras
import numpy as np

from bench.worker.loops.epochs import Logs
from bench.worker.loops.input_pipeline import leaves
from bench.worker.loops.state import place, readable
from bench.worker.loops.step_clock import StepClock, timing
from bench.worker.model.building import Built
from bench.worker.model.initial_weights import Weights, weights_restored


class KerasFit:
    """A model as Keras runs it: with `fit`, `evaluate` and `predict`.

    Attributes:
        built: The model as it is defined, and how it is fed.
        model: What computes.
        loop: The backend's module of `bench.worker.loops`.
        jit_compile: Whether Keras compiles it.
    """

    def __init__(self, built: Built, model: keras.Model) -> None:
        """Take a model.

        Args:
            built: As it is defined.
            model: As it computes, compiled.
        """
        self.built, self.model = built, model
        self.loop = importlib.import_module(f"bench.worker.loops.{keras.backend.backend()}")
        self.jit_compile = bool(model.jit_compile)
        # Else it has no variables to keep yet.
        model.optimizer.build(model.trainable_variables)

    def inputs(self, x: Any) -> Any:
        """NumPy's arrays as `fit`, `evaluate` and `predict` take them: Keras moves them itself."""
        return x

    def targets(self, y: Any) -> Any:
        """The same for targets."""
        return y

    def fit(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """Train over the examples once, in order; no callback listens to a batch."""
        history = self.model.fit(
            x, y, batch_size=batch_size, shuffle=False, verbose=0, callbacks=_callbacks(clock)
        ).history
        if self.model.optimizer.use_ema:
            # JAX's `fit` ends with weights that share the buffers of their means, and the next one
            # cannot give the same buffer away twice. Whoever calls it once never sees that.
            self.model.set_weights([np.array(weight) for weight in self.model.get_weights()])
        return {name: float(values[-1]) for name, values in history.items()}

    def evaluate(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """The metrics of the examples."""
        told = self.model.evaluate(
            x, y, batch_size=batch_size, verbose=0, callbacks=_callbacks(clock), return_dict=True
        )
        return {name: float(value) for name, value in told.items()}

    def predict(self, x: Any, batch_size: int, clock: StepClock | None = None) -> Any:
        """What the model gives, as NumPy arrays."""
        return self.model.predict(x, batch_size=batch_size, verbose=0, callbacks=_callbacks(clock))

    def predict_one(self, x: Any) -> Any:
        """The same for NumPy arrays of a single batch, as soon as can be."""
        return self.model.predict_on_batch(x)

    def gradients(
        self, starts: Iterable[Weights], batches: Iterable[tuple[Any, Any]]
    ) -> Iterator[tuple[float, Weights]]:
        """Loss of each batch of NumPy arrays and its gradient at its start, by Keras's step."""
        yield from self.loop.gradients(self.model, starts, batches)

    def get_weights(self) -> Weights:
        """In Keras's order and shapes."""
        return [readable(weight) for weight in self.model.get_weights()]

    def set_weights(self, weights: Weights) -> None:
        """Take them over; the optimizer stays."""
        place(self.model, weights)

    def state_restored(self) -> AbstractContextManager[None]:
        """Context manager that gives weights and optimizer back as they were."""
        return weights_restored(self.model)

    @property
    def steps(self) -> int:
        """Steps that the optimizer has counted."""
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def begin_again(self) -> None:
        """Have the optimizer count from 0; its moments are as `state_restored` gave them back."""
        self.model.optimizer.iterations.assign(0)

    def with_sgd(self, rate: float) -> Self:
        """Itself, with an optimizer that remembers nothing from now on."""
        self.model.optimizer = keras.optimizers.SGD(rate)
        self.model.optimizer.build(self.model.trainable_variables)
        return self

    def load_training_state(self, steps: int, weights: Weights, moments: Sequence[Weights]) -> None:
        """Go on from somewhere amid a training with Adam, whose variables have names."""
        optimizer = self.model.optimizer
        own = {variable.path.rpartition("/")[2]: variable for variable in optimizer.variables}
        optimizer.iterations.assign(steps)
        trained = self.model.trainable_variables
        for weight, value, *both in zip(trained, weights, *moments, strict=True):
            weight.assign(value)
            for name, moment in zip(("momentum", "velocity"), both, strict=True):
                own[f"{weight.path.replace('/', '_')}_{name}"].assign(moment)

    def compilations(self) -> int:
        """How often something was compiled so far."""
        return int(self.loop.compilations(self.model))


class CustomLoop(KerasFit):
    """Keras's computations in a loop that is not Keras's (`bench.worker.loops`)."""

    def __init__(self, built: Built, model: keras.Model) -> None:
        """Take a model, as `KerasFit` does."""
        super().__init__(built, model)
        self._epochs = self.loop.EpochLoop(model)

    def inputs(self, x: Any) -> Any:
        """Once for all epochs."""
        return self.loop.on_device(x)

    def targets(self, y: Any) -> Any:
        """The same."""
        return self.loop.on_device(y)

    def fit(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """One epoch."""
        with timing(clock):
            return dict(self._epochs.fit(x, y, batch_size))

    def evaluate(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """One epoch."""
        with timing(clock):
            return dict(self._epochs.evaluate(x, y, batch_size))

    def predict(self, x: Any, batch_size: int, clock: StepClock | None = None) -> Any:
        """One epoch."""
        with timing(clock):
            return self._epochs.predict(x, batch_size)

    def predict_one(self, x: Any) -> Any:
        """From NumPy and back."""
        return self._epochs.predict(self.inputs(x), len(leaves(x)[0]))

    def compilations(self) -> int:
        """The loop's own."""
        return int(self.loop.traced(self._epochs.functions))


def _callbacks(clock: StepClock | None) -> list[Callable[..., Any]]:
    return [] if clock is None else [clock]
