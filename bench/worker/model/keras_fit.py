"""A model that Keras computes, run by its `fit` or by a loop of ours."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import keras

from bench.worker.loops.epochs import Logs
from bench.worker.loops.input_pipeline import leaves
from bench.worker.loops.step_clock import StepClock, timing
from bench.worker.model.building import Built
from bench.worker.model.initial_weights import Weights, weights_kept


class Fitted:
    """A model as Keras runs it: with `fit`, `evaluate` and `predict`.

    Attributes:
        model: What computes.
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
        """Keras brings them there itself."""
        return x

    def targets(self, y: Any) -> Any:
        """The same."""
        return y

    def fit(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """`fit` in the order given. No callback listens to a batch."""
        history = self.model.fit(
            x, y, batch_size=batch_size, shuffle=False, verbose=0, callbacks=_callbacks(clock)
        ).history
        return {name: float(values[-1]) for name, values in history.items()}

    def evaluate(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """`evaluate`."""
        told = self.model.evaluate(
            x, y, batch_size=batch_size, verbose=0, callbacks=_callbacks(clock), return_dict=True
        )
        return {name: float(value) for name, value in told.items()}

    def predict(self, x: Any, batch_size: int, clock: StepClock | None = None) -> Any:
        """`predict`."""
        return self.model.predict(x, batch_size=batch_size, verbose=0, callbacks=_callbacks(clock))

    def predict_one(self, x: Any) -> Any:
        """`predict_on_batch`, which gives NumPy arrays."""
        return self.model.predict_on_batch(x)

    def gradients(
        self, starts: Sequence[Weights], x: Any, y: Any
    ) -> Iterator[tuple[float, Weights]]:
        """Compiled as Keras's own step."""
        yield from self.loop.gradients(self.model, starts, x, y)

    def get_weights(self) -> Weights:
        """Of the model."""
        return list(self.model.get_weights())

    def set_weights(self, weights: Weights) -> None:
        """Of the model."""
        self.model.set_weights(weights)

    def kept(self) -> AbstractContextManager[None]:
        """Keras's variables."""
        return weights_kept(self.model)

    @property
    def steps(self) -> int:
        """The optimizer's."""
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def begin_again(self) -> None:
        """Keras's count; its moments are as `kept` gave them back."""
        self.model.optimizer.iterations.assign(0)

    def with_sgd(self, rate: float) -> Self:
        """Keras's."""
        self.model.optimizer = keras.optimizers.SGD(rate)
        self.model.optimizer.build(self.model.trainable_variables)
        return self

    def take_over(self, steps: int, weights: Weights, moments: Sequence[Weights]) -> None:
        """Into the variables of Keras's Adam, which have names."""
        optimizer = self.model.optimizer
        own = {variable.path.rpartition("/")[2]: variable for variable in optimizer.variables}
        optimizer.iterations.assign(steps)
        trained = self.model.trainable_variables
        for weight, value, *both in zip(trained, weights, *moments, strict=True):
            weight.assign(value)
            for name, moment in zip(("momentum", "velocity"), both, strict=True):
                own[f"{weight.path.replace('/', '_')}_{name}"].assign(moment)

    def compilations(self) -> int:
        """Keras's own."""
        return int(self.loop.compilations(self.model))


class Looped(Fitted):
    """Keras's computations in a loop that is not Keras's (`bench.worker.loops`)."""

    def __init__(self, built: Built, model: keras.Model) -> None:
        """Take a model, as `Fitted` does."""
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
