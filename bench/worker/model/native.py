"""A model that its framework computes without Keras: the twin of a shipped one."""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import models.native
from bench.worker.loops.epochs import Logs
from bench.worker.loops.step_clock import StepClock, timing
from bench.worker.model.building import Built
from bench.worker.model.initial_weights import Weights


class Native:
    """The hand-written twin of a shipped model (`models.native`)."""

    def __init__(self, built: Built, model: str) -> None:
        """Take the weights of a model that is built.

        Args:
            built: The Keras model that it is the twin of.
            model: Its name.
        """
        self.built, self.model, self.jit_compile = built, built.model, False
        self.loop = importlib.import_module(f"bench.worker.loops.{keras.backend.backend()}")
        self.source = model
        self._framework = importlib.import_module(f"models.native.{keras.backend.backend()}")
        first = models.native.State.first(built.model.get_weights())
        self._network = self._framework.Network(model, first)

    def inputs(self, x: Any) -> Any:
        """In the framework's own layout."""
        return self._framework.images(x)

    def targets(self, y: Any) -> Any:
        """Class numbers."""
        return self._framework.labels(y)

    def fit(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """One epoch."""
        with timing(clock):
            return _logs(self._network.fit(x, y, batch_size))

    def evaluate(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """One epoch."""
        with timing(clock):
            return _logs(self._network.evaluate(x, y, batch_size))

    def predict(self, x: Any, batch_size: int, clock: StepClock | None = None) -> Any:
        """One epoch."""
        with timing(clock):
            return self._network.predict(x, batch_size)

    def predict_one(self, x: Any) -> Any:
        """From NumPy and back."""
        return self._network.predict(self.inputs(x), len(x))

    def logits(self, x: Any) -> NDArray[np.float32]:
        """What the softmax is taken of, from NumPy's images."""
        return np.asarray(self._network.logits(self.inputs(x)))

    def gradients(
        self, starts: Iterable[Weights], batches: Iterable[tuple[Any, Any]]
    ) -> Iterator[tuple[float, Weights]]:
        """As the twin computes them."""
        for weights, (x, y) in zip(starts, batches, strict=False):
            self.set_weights(weights)
            loss, found = self._network.gradients(self.inputs(x), self.targets(y))
            yield loss, list(found)

    def get_weights(self) -> Weights:
        """In Keras's order and shapes."""
        return list(self._network.state().weights)

    def set_weights(self, weights: Weights) -> None:
        """The moments stay."""
        state = self._network.state()
        self._restore(weights, state.momentum, state.velocity, state.steps)

    @contextmanager
    def state_restored(self) -> Iterator[None]:
        """Weights, moments and count."""
        before = self._network.state()
        try:
            yield
        finally:
            self._network.restore(before)

    @property
    def steps(self) -> int:
        """The twin's own count."""
        return int(self._network.state().steps)

    def begin_again(self) -> None:
        """As at first."""
        self._network.restore(models.native.State.first(self.get_weights()))

    def with_sgd(self, rate: float) -> "Native":
        """A twin has Adam alone, so what SGD would do is its gradient."""
        return _NativeSgd(self, rate)

    def load_training_state(self, steps: int, weights: Weights, moments: Sequence[Weights]) -> None:
        """The whole state."""
        momentum, velocity = moments
        self._restore(weights, momentum, velocity, steps)

    def compilations(self) -> int:
        """The twin's own."""
        return int(self.loop.traced(self._network.functions))

    def _restore(
        self, weights: Weights, momentum: Sequence[Any], velocity: Sequence[Any], steps: int
    ) -> None:
        self._network.restore(models.native.State(weights, momentum, velocity, steps))


class _NativeSgd(Native):
    """A twin that goes down its gradient."""

    def __init__(self, native: Native, rate: float) -> None:
        super().__init__(native.built, native.source)
        self._rate = rate

    def fit(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """One step, of all the examples."""
        del batch_size, clock
        loss, found = self._network.gradients(x, y)
        state = self._network.state()
        moved = [
            weight - self._rate * gradient
            for weight, gradient in zip(state.weights, found, strict=True)
        ]
        self._restore(moved, state.momentum, state.velocity, state.steps + 1)
        return {"loss": loss}


def _logs(told: tuple[float, float]) -> Logs:
    loss, accuracy = told
    return {"loss": loss, "accuracy": accuracy}
