"""A model in one of its variants, in a worker: trained, asked, and given back as it was."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import keras

import models
from bench.contract import variants
from bench.contract.units import ModelRequest
from bench.inputs.examples import Examples
from bench.worker.loops.epochs import Logs
from bench.worker.loops.step_clock import StepClock
from bench.worker.model import building
from bench.worker.model.building import Built, ModelError
from bench.worker.model.initial_weights import Weights
from bench.worker.model.keras_fit import Fitted, Looped
from bench.worker.model.native import Native
from models.lowering import has_steps_of_its_own


class Candidate(Protocol):
    """What can be timed and compared, whoever computes it.

    Attributes:
        built: The model as it is defined, and how it is fed.
        model: What computes; of a native twin, what it is the twin of.
        loop: The backend's module of `bench.worker.loops`.
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
        some: Examples, as `bench.worker.model.building.build` takes them.

    Raises:
        ModelError: It cannot be used.
        DataError: The examples do not fit.
    """
    backend = keras.backend.backend()
    loop = importlib.import_module(f"bench.worker.loops.{backend}")
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
    # A loop would leave out what the model's own step does.
    looped = variants.LOOP in switched_on and not has_steps_of_its_own(model)
    return (Looped if looped else Fitted)(built, model)
