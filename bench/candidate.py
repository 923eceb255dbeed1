"""A model in one of its variants, in a worker: trained, asked, and given back as it was."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

import models.native
from bench import building, variants
from bench.building import Built, ModelError
from bench.clock import StepClock
from bench.examples import Examples
from bench.feed import leaves
from bench.weights import weights_kept
from bench.workload import ModelRequest

Weights = list[NDArray[np.float32]]
Logs = dict[str, float]
"""The metrics of an epoch by Keras's names: `loss`, and of a classifier `accuracy`."""


class Candidate(Protocol):
    """What can be timed and compared, whoever computes it.

    Attributes:
        built: The model as it is defined, and how it is fed.
        model: What computes; of a native twin, what it is the twin of.
        loop: The backend's module of `bench.loops`.
        jit_compile: Whether Keras compiles it.
    """

    built: Built
    model: keras.Model
    loop: Any
    jit_compile: bool

    def inputs(self, x: Any) -> Any:
        """NumPy's arrays as `fit`, `evaluate` and `predict` take them, where they are needed."""

    def targets(self, y: Any) -> Any:
        """The same for targets."""

    def fit(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """Train over the examples once, in order."""

    def evaluate(self, x: Any, y: Any, batch_size: int, clock: StepClock | None = None) -> Logs:
        """The metrics of the examples."""

    def predict(self, x: Any, batch_size: int, clock: StepClock | None = None) -> Any:
        """What the model gives, as NumPy arrays."""

    def predict_one(self, x: Any) -> Any:
        """The same for NumPy arrays of a single batch, as soon as can be."""

    def gradients(
        self, starts: Sequence[Weights], x: Any, y: Any
    ) -> Iterator[tuple[float, Weights]]:
        """Loss of a batch of NumPy arrays and its gradient at each of these weights."""

    def get_weights(self) -> Weights:
        """In Keras's order and shapes."""

    def set_weights(self, weights: Weights) -> None:
        """Take them over; the optimizer stays."""

    def kept(self) -> AbstractContextManager[None]:
        """Context manager that gives weights and optimizer back as they were."""

    @property
    def steps(self) -> int:
        """Steps that the optimizer has counted."""

    def begin_again(self) -> None:
        """Have the optimizer count from 0."""

    def with_sgd(self, rate: float) -> "Candidate":
        """Itself, with an optimizer that remembers nothing from now on."""

    def take_over(self, steps: int, weights: Weights, moments: Sequence[Weights]) -> None:
        """Go on from somewhere amid a training with Adam."""

    def compilations(self) -> int:
        """How often something was compiled so far."""


def build(request: ModelRequest, some: Examples | None) -> Candidate:
    """Build a model in its variant.

    Args:
        request: Which.
        some: Examples, as `bench.building.build` takes them.

    Raises:
        ModelError: It cannot be used.
        DataError: The examples do not fit.
    """
    backend = keras.backend.backend()
    loop = importlib.import_module(f"bench.loops.{backend}")
    built = building.build(request, some)
    if request.variant == variants.NATIVE:
        if request.source not in models.twins():
            raise ModelError(f"{request.name}: it has no native twin")
        return Native(built, request.source)
    switched_on = variants.settings(request.variant, backend, loop.device())
    lowering, model = variants.with_lowering(switched_on), built.model
    if lowering:
        model = building.lowered(request, model, lowering)
    if variants.COMPILED in switched_on:
        model.jit_compile = True
    return (Looped if variants.LOOP in switched_on else Kept)(built, model)


class Kept:
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
        self.loop = importlib.import_module(f"bench.loops.{keras.backend.backend()}")
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

    def with_sgd(self, rate: float) -> "Candidate":
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


class Looped(Kept):
    """Keras's computations in a loop that is not Keras's (`bench.loops`)."""

    def __init__(self, built: Built, model: keras.Model) -> None:
        """Take a model, as `Kept` does."""
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


class Native:
    """The hand-written twin of a shipped model (`models.native`)."""

    def __init__(self, built: Built, model: str) -> None:
        """Take the weights of a model that is built.

        Args:
            built: The Keras model that it is the twin of.
            model: Its name.
        """
        self.built, self.model, self.jit_compile = built, built.model, False
        self.loop = importlib.import_module(f"bench.loops.{keras.backend.backend()}")
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
        self, starts: Sequence[Weights], x: Any, y: Any
    ) -> Iterator[tuple[float, Weights]]:
        """As the twin computes them."""
        images, labels = self.inputs(x), self.targets(y)
        for weights in starts:
            self.set_weights(weights)
            loss, found = self._network.gradients(images, labels)
            yield loss, list(found)

    def get_weights(self) -> Weights:
        """In Keras's order and shapes."""
        return list(self._network.state().weights)

    def set_weights(self, weights: Weights) -> None:
        """The moments stay."""
        state = self._network.state()
        self._restore(weights, state.momentum, state.velocity, state.steps)

    @contextmanager
    def kept(self) -> Iterator[None]:
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

    def with_sgd(self, rate: float) -> "Candidate":
        """A twin has Adam alone, so what SGD would do is its gradient."""
        return _Descending(self, rate)

    def take_over(self, steps: int, weights: Weights, moments: Sequence[Weights]) -> None:
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


class _Descending(Native):
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


@contextmanager
def timing(clock: StepClock | None) -> Iterator[None]:
    """Time what is done inside, if somebody wants to know."""
    if clock is None:
        yield
        return
    clock.begin()
    yield
    clock.end()


def _callbacks(clock: StepClock | None) -> list[Callable[..., Any]]:
    return [] if clock is None else [clock]


def _logs(told: tuple[float, float]) -> Logs:
    loss, accuracy = told
    return {"loss": loss, "accuracy": accuracy}
