"""Probes of what a backend computes, rung by rung of the parity ladder, in a worker.

Everything is answered raw: facts as JSON, numbers as arrays. Nothing is compared here:
`models.oracle` answers the same questions in float64, and `reports` judges. A process that answers
probes is never timed.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import models
from bench.contract.rungs import PROBES, UNIT_ROUNDOFF
from bench.contract.units import ProbesRequest
from bench.inputs import draws, parity_questions
from bench.inputs.examples import Examples
from bench.inputs.parity_questions import Answer, Arrays, numbered, sampled
from bench.process.wire import finite
from bench.worker.loops.input_pipeline import leaves
from bench.worker.model import (
    building,
    candidate,
    deterministic,
    dropout,
    keras_files,
    precision,
)
from bench.worker.model.candidate import Candidate
from bench.worker.model.initial_weights import as_given, initial
from bench.worker.model.layer_outputs import EveryLayer, numbers
from bench.worker.parity import consistency, exchange, repeated
from bench.worker.parity.trajectory import Trajectory


class Probes:
    """One model under one backend, asked probe after probe, always from the same weights.

    The model is given back after every question, optimizer and all, and asked again: compiling a
    new one is most of the ladder's time. What draws at random while it trains is still, or no two
    answers would be alike. In float64 this is a reference: it also tells what becomes of its
    answers when the weights are moved by some roundings of float32.
    """

    def __init__(self, request: ProbesRequest) -> None:
        """Load the data and build the model.

        Raises:
            DataError: The dataset is not the one whose hash was sent.
            ModelError: The model cannot be built.
        """
        self._request = request
        self._alive: Callable[[], None] = lambda: None
        self._loop = importlib.import_module(f"bench.worker.loops.{keras.backend.backend()}")
        self._loop.disable_tf32()
        self._wide = keras.config.floatx() == "float64"
        whole = building.examples(request.model)
        self._train, self._test = whole["train"], whole["test"]
        keras.utils.clear_session(free_memory=False)  # it numbers layers from the first on
        self._candidate = self._fresh()
        self._built = self._candidate.built
        self._model = self._built.model
        # Not read back from the model, which may not have taken them as they are.
        first = [_narrow(w) for w in initial(self._model, request.seed, request.model)]
        self._drawn = draws.probe_weights(request.seed, first)
        self._near: int | None = None
        self._candidate.set_weights(self._drawn)
        self._one_size = self._built.feed.batch is not None
        self._inputs = parity_questions.inputs(
            self._train,
            self._test,
            request.batch_size,
            request.model.scale,
            one_size=self._one_size,
        )
        self._x = {name: self._fed(name, given) for name, given in self._inputs.items()}
        self._y = self._targets(self._inputs["train"])
        self._batch = self._x["train"], self._y, request.batch_size
        self._training = Trajectory(
            self._candidate, self._train, request.batch_size, lambda: self._alive()
        )
        self._every_layer = EveryLayer(self._candidate)

    def answer(self, probe: str, alive: Callable[[], None] = lambda: None) -> Answer:
        """Facts and arrays of one of `bench.contract.rungs.PROBES`.

        Args:
            probe: Which.
            alive: Called now and then by what may take longer than a worker may be silent.
        """
        self._alive = alive
        with self._candidate.state_restored():
            facts, arrays = ANSWERS[probe](self)
        if self._wide and PROBES[probe].sensitive:
            for near in range(parity_questions.NEAR):
                alive()
                with self._candidate.state_restored(), self._moved(near):
                    answer = ANSWERS[probe](self)
                arrays |= parity_questions.of_moved(near, self._precision, answer)
        return facts, arrays

    def identity(self) -> Answer:
        """P0 and P1: what the model is, what it is fed, and its weights as read back."""
        fed = {name: draws.arrays_sha256(leaves(x)) for name, x in self._x.items()}
        weights, trained = self._model.weights, {id(w) for w in self._model.trainable_weights}
        read = as_given(self._model, self._candidate.get_weights(), self._drawn)
        restless, moved = repeated.differing(
            self._told, self._x["train"], UNIT_ROUNDOFF[self._precision]
        )
        return {
            "config": keras_files.config(self._model),
            "compile_config": keras_files.compile_config(self._model),
            "layers": self._every_layer.names,
            "unlike": self._every_layer.unlike,
            "weights": [weight.path for weight in weights],
            "trainable": [n for n, weight in enumerate(weights) if id(weight) in trained],
            "weights_sha256": draws.arrays_sha256([_narrow(weight) for weight in read]),
            "outputs": [port.name for port in self._built.feed.outputs],
            "still": self._stilled,
            "random": self._random,
            "restless": restless,
            "moved": moved,
            "precision": self._precision,
            "held": precision.held(self._model),
            "parameters": self._model.count_params(),
            "jit_compile": self._candidate.jit_compile,
            "settings": self._loop.settings(),
            "fed_sha256": fed | {"targets": draws.arrays_sha256(leaves(self._y))},
        }, numbered("weight", sampled(read))

    def forward(self) -> Answer:
        """P2: what the model gives, and the output of every layer that can be asked alone."""
        arrays: Arrays = {}
        for name, x in self._x.items():
            self._alive()
            self._candidate.set_weights(self._start())  # and forget the batch before
            told = self._every_layer.predict(x)
            given = _few(told.given, len(told.given))
            arrays |= {f"{name}.{what}": array for what, array in given.items()}
            if name in parity_questions.LAYERED:
                # The same elements where a variant gives fewer of them.
                count = len(self._every_layer.names) - (self._every_layer.head is not None)
                layers = _few(told.layers, count)
                arrays |= {f"{name}.{layer}": array for layer, array in layers.items()}
        return {}, arrays

    def gradients(self) -> Answer:
        """P3: the loss of a batch and its gradient, as they are and with saturated outputs.

        And what dropout does, which is still while all else is compared.
        """
        facts: dict[str, Any] = {}
        arrays: Arrays = {}
        starts = {"": self._start()}
        # Backends define the loss of saturated outputs in two ways, which only the oracle knows.
        if self._every_layer.head is not None and self._request.restarts:
            starts["saturated_"] = parity_questions.saturated(self._start())
        batches = [(self._x["train"], self._y)] * len(starts)
        results = self._candidate.gradients(list(starts.values()), batches)
        for name, (loss, found) in zip(starts, results, strict=True):
            facts[f"{name}loss"] = finite(loss)
            # The same elements as of the weights, some of which have no gradient.
            few = sampled(found, len(self._model.weights))
            arrays |= numbered(f"{name}gradient", few)
        if not self._wide:
            facts["dropout"] = dropout.statistics(self._model)
        return facts, arrays

    def update(self) -> Answer:
        """P4: weights after one step of SGD, and after one of the model's own optimizer."""
        steps: dict[str, int] = {}
        arrays: Arrays = {}
        for name, one in (("sgd", self._plain), ("adam", self._candidate)):
            one.set_weights(self._start())
            one.begin_again()
            one.fit(one.inputs(self._x["train"]), one.targets(self._y), self._request.batch_size)
            steps[name] = one.steps
            arrays |= numbered(name, sampled(self._unmoved(one.get_weights())))
        return {"steps": steps}, arrays

    def trajectory(self) -> Answer:
        """P5: weights along a training, how far its neighbours part, and steps amid another."""
        if self._wide:
            return self._training.path(self._drawn)
        return self._training.answer(self._drawn, self._request.restarts)

    def predictions(self) -> Answer:
        """P6: what the model gives for the whole test set, from trained weights."""
        with np.load(self._request.trained, allow_pickle=False) as trained:
            weights = [trained[f"arr_{n}"] for n in range(len(trained.files))]
        self._candidate.set_weights(self._perturbed(weights))
        size = self._request.batch_size
        count = max(size, len(self._test) // size * size) if self._one_size else len(self._test)
        x = self._candidate.inputs(self._built.x(self._test.repeated(count)))
        given = self._candidate.predict(x, size)
        if self._every_layer.head is not None:
            return {}, {"probabilities": numbers(given)[0]}
        return {}, numbered("output", sampled(numbers(given)))

    def consistency(self) -> Answer:
        """P9: whether it agrees with itself; a reference need not."""
        if self._wide:
            return {}, {}
        return consistency.answer(
            self._candidate,
            self._start(),
            self._train,
            self._request.batch_size,
            lambda some: (self._fed("train", some), self._targets(some)),
        )

    def write_trained(self, path: Path) -> None:
        """Train some steps, and write the weights from which all backends predict."""
        with self._candidate.state_restored():
            self._training.fit(0, parity_questions.TRAINED_STEPS)
            np.savez(path, *map(_narrow, self._candidate.get_weights()))

    def save(self, folder: Path) -> dict[str, Any]:
        """P8: what is told of the files that this backend writes."""
        with self._candidate.state_restored():
            return exchange.save(self._candidate, self._batch, folder)

    def load(self, folder: Path) -> dict[str, Any]:
        """P8: what came of another backend's files, which were made within this run."""
        module = models.module(self._request.model.source)
        # What the model's own file defines: Keras must know it to read the model again.
        classes = {name: each for name, each in vars(module).items() if isinstance(each, type)}
        with self._candidate.state_restored():
            return exchange.load(self._candidate, self._batch, classes, folder)

    def _fresh(self) -> Candidate:
        keras.utils.set_random_seed(self._request.seed)
        one = candidate.build(self._request.model, self._train.take(slice(1)))
        self._precision = precision.of(one.model)
        stilled = deterministic.still(one.model)
        self._stilled = [layer.name for layer in stilled]
        self._random = [layer.name for layer in stilled if not dropout.plain(layer)]
        return one

    @cached_property
    def _plain(self) -> Candidate:
        """The model with an optimizer that remembers nothing."""
        return self._fresh().with_sgd(parity_questions.SGD_RATE)

    def _told(self, x: Any) -> Arrays:
        """What layers and model give, with nothing remembered."""
        self._candidate.set_weights(self._start())
        told = self._every_layer.predict(x)
        return told.layers | told.given

    def _fed(self, name: str, examples: Examples) -> Any:
        feed = self._built.feed
        return (replace(feed, scale=1) if name == parity_questions.UNSCALED else feed).x(examples)

    def _targets(self, examples: Examples) -> Any:
        return self._built.y(examples)

    def _start(self) -> list[Any]:
        """The weights that are probed."""
        return self._perturbed(self._drawn)

    def _perturbed(self, weights: list[Any]) -> list[Any]:
        if self._near is None:
            return weights
        return parity_questions.moved(weights, self._near, self._precision)

    def _unmoved(self, weights: list[Any]) -> list[Any]:
        """Weights after a step, without what they were moved by before it.

        That is larger than many a step in half precision, where weights may well be in float32.
        """
        if self._near is None or self._precision == "float32":
            return weights
        moves = zip(weights, self._start(), self._drawn, strict=True)
        return [after - start + drawn for after, start, drawn in moves]

    @contextmanager
    def _moved(self, near: int) -> Iterator[None]:
        """All weights moved by some roundings of float32."""
        self._near = near
        self._candidate.set_weights(self._start())
        yield
        self._near = None


ANSWERS: Mapping[str, Callable[[Probes], Answer]] = {
    probe: getattr(Probes, probe) for probe in PROBES
}


def _few(arrays: Arrays, among: int) -> Arrays:
    return dict(zip(arrays, sampled(list(arrays.values()), among), strict=True))


def _narrow(weight: NDArray[Any]) -> NDArray[Any]:
    """In the precision that all backends share."""
    return weight.astype(np.float32) if weight.dtype == np.float64 else weight
