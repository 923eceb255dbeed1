"""Probes of what a backend computes, rung by rung of the parity ladder, in a worker.

Everything is answered raw: facts as JSON, numbers as arrays. Nothing is compared here:
`models.oracle` answers the same questions in float64, and `reports` judges. A process that answers
probes is never timed.
"""

import importlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from bench.worker import consistency
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
from bench.worker.model.initial_weights import initial
from bench.worker.model.layer_outputs import EveryLayer, numbers
from bench.worker.training import finite

RESTLESS = 1e-4
"""Share of the largest value by which a second answer differs, where something is drawn anew."""


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
                    told, found = ANSWERS[probe](self)
                numbers = {name: v for name, v in told.items() if isinstance(v, float)}
                found |= {f"fact.{name}": np.array(value) for name, value in numbers.items()}
                arrays |= {f"near{near}.{name}": array for name, array in found.items()}
        return facts, arrays

    def identity(self) -> Answer:
        """P0 and P1: what the model is, what it is fed, and its weights as read back."""
        fed = {name: draws.arrays_sha256(leaves(x)) for name, x in self._x.items()}
        weights, trained = self._model.weights, {id(w) for w in self._model.trainable_weights}
        read = self._candidate.get_weights()
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
            "restless": self._restless(),
            "precision": self._precision,
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
            arrays |= {f"{name}.{what}": array for what, array in told.given.items()}
            if name in parity_questions.LAYERED:
                arrays |= {f"{name}.{layer}": array for layer, array in told.layers.items()}
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
            self._fit(one, self._x["train"], self._y)
            steps[name] = one.steps
            arrays |= numbered(name, sampled(one.get_weights()))
        return {"steps": steps}, arrays

    def trajectory(self) -> Answer:
        """P5: weights along a training, how far its neighbours part, and a few steps amid another.

        `distances` are Euclidean, in float64, of shape (neighbours, checkpoints, weights).
        """
        steps, path = self._train_along()
        arrays: Arrays = {}
        for checkpoint, weights in zip(parity_questions.CHECKPOINTS, path, strict=True):
            arrays |= numbered(f"step{checkpoint}.weight", weights)
        if self._wide:
            return {"steps": steps}, arrays
        arrays["distances"] = np.array(
            [
                [_distances(*pair) for pair in zip(neighbour, path, strict=True)]
                for number in range(parity_questions.NEIGHBOURS)
                for _, neighbour in [self._train_along(number)]
            ]
        )
        if not self._request.restarts:
            return {"steps": steps}, arrays
        with np.load(self._request.restarts, allow_pickle=False) as states:
            for step in parity_questions.RESTARTS:
                with self._candidate.state_restored():
                    self._load_training_state(states, step)
                    self._fit_steps(step, step + parity_questions.RESTART_STEPS)
                    arrays |= numbered(f"restart{step}.weight", self._candidate.get_weights())
        return {"steps": steps}, arrays

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
            self._fit_steps(0, parity_questions.TRAINED_STEPS)
            np.savez(path, *map(_narrow, self._candidate.get_weights()))

    def save(self, folder: Path) -> dict[str, Any]:
        """P8: train a step, save model and weights in Keras's formats, and train two more.

        Returns:
            Hashes of what was saved, and the mean loss of the two steps, the second of which
            depends on the optimizer's state; `model_error` why there is no whole-model file.
        """
        with self._candidate.state_restored():
            self._fit(self._candidate, self._x["train"], self._y)
            why = keras_files.write_whole(self._model, folder / keras_files.MODEL)
            self._model.save_weights(folder / keras_files.WEIGHTS)
            return self._state_and_next_loss() | {"model_error": why}

    def load(self, folder: Path) -> dict[str, Any]:
        """P8: what came of another backend's files, which were made within this run.

        Training goes on from the weights file alone: it goes into a model that is compiled
        already, where one from a whole-model file would be compiled anew. Of that, `compile_config`
        and `jit_compile` say how it would go on; `optimizer_error` why its optimizer could not be
        read, `error` why nothing could.
        """
        with self._candidate.state_restored():
            whole = keras_files.read_whole(folder / keras_files.MODEL, self._classes())
            self._model.load_weights(folder / keras_files.WEIGHTS)
            return {"model": whole, "weights": self._state_and_next_loss()}

    def _state_and_next_loss(self) -> dict[str, Any]:
        state = {
            "weights_sha256": keras_files.values_sha256(self._model.weights),
            "optimizer_sha256": keras_files.values_sha256(self._model.optimizer.variables),
        }
        x, y = keras.tree.map_structure(
            lambda batch: np.concatenate([batch, batch]), (self._x["train"], self._y)
        )
        return state | {"loss": finite(self._fit(self._candidate, x, y))}

    def _fresh(self) -> Candidate:
        keras.utils.set_random_seed(self._request.seed)
        one = candidate.build(self._request.model, self._train.take(slice(1)))
        self._precision = precision.of(one.model)
        if self._wide:
            precision.widen(one.model)
        stilled = deterministic.still(one.model)
        self._stilled = [layer.name for layer in stilled]
        self._random = [layer.name for layer in stilled if not dropout.plain(layer)]
        return one

    def _restless(self) -> list[str]:
        """What differs when the same is asked again: layers and outputs after a draw at random.

        From the same weights, with nothing remembered; a generator goes on.
        """
        asked = []
        for _ in range(2):
            self._candidate.set_weights(self._start())
            told = self._every_layer.predict(self._x["train"])
            asked.append(told.layers | told.given)
        one, other = asked
        return [key for key in one if not _alike(one[key], other[key])]

    @cached_property
    def _plain(self) -> Candidate:
        """The model with an optimizer that remembers nothing."""
        return self._fresh().with_sgd(parity_questions.SGD_RATE)

    def _fit(self, one: Candidate, x: Any, y: Any) -> float:
        """Train over the examples once, in their order; the mean loss."""
        return one.fit(one.inputs(x), one.targets(y), self._request.batch_size)["loss"]

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
        moved = draws.perturbed(weights, self._near, 0, parity_questions.NEAR_UNITS)
        if self._precision == "float32":
            return moved
        # By one rounding of what the layers compute in.
        unit = UNIT_ROUNDOFF[self._precision] / UNIT_ROUNDOFF["float32"]
        factor = np.float32(unit / parity_questions.NEAR_UNITS)
        return [old + factor * (new - old) for old, new in zip(weights, moved, strict=True)]

    @contextmanager
    def _moved(self, near: int) -> Iterator[None]:
        """All weights moved by some roundings of float32."""
        self._near = near
        self._candidate.set_weights(self._start())
        yield
        self._near = None

    def _classes(self) -> dict[str, Any]:
        """What the model's own file defines: Keras must know it to read the model again."""
        module = models.module(self._request.model.source)
        return {name: each for name, each in vars(module).items() if isinstance(each, type)}

    def _train_along(self, neighbour: int | None = None) -> tuple[int, list[list[Any]]]:
        """Steps that were counted, and weights at every checkpoint; all is given back.

        A neighbour's weights are perturbed at the start and at every checkpoint, as rounding nudges
        them in every step.
        """
        path, weights, one = [], self._drawn, self._candidate
        with one.state_restored():
            for first, last in itertools.pairwise((0, *parity_questions.CHECKPOINTS)):
                if neighbour is not None:
                    weights = draws.perturbed(weights, neighbour, first)
                one.set_weights(weights)
                self._fit_steps(first, last)
                self._alive()
                weights = one.get_weights()
                path.append(sampled(weights))
            return one.steps, path

    def _fit_steps(self, first: int, last: int) -> None:
        """Train on the trajectory's steps after `first`, up to `last`."""
        size = self._request.batch_size
        given = parity_questions.steps(self._train, first, last, size, one_size=self._one_size)
        self._fit(self._candidate, self._built.x(given), self._targets(given))

    def _load_training_state(self, states: Mapping[str, NDArray[np.float32]], step: int) -> None:
        """Go on from the oracle's training after `step` steps: weights, moments and all."""
        count = len(self._model.trainable_variables)
        weights, *moments = (
            [states[f"{step}.{name}{number}"] for number in range(count)]
            for name in ("weight", "momentum", "velocity")
        )
        self._candidate.load_training_state(step, weights, moments)


ANSWERS: Mapping[str, Callable[[Probes], Answer]] = {
    probe: getattr(Probes, probe) for probe in PROBES
}


def _narrow(weight: NDArray[Any]) -> NDArray[Any]:
    """In the precision that all backends share."""
    return weight.astype(np.float32) if weight.dtype == np.float64 else weight


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two answers to one question are the same but for the rounding of threads."""
    scale = np.abs(one[np.isfinite(one)]).max(initial=0.0)
    return np.allclose(one, other, rtol=0, atol=RESTLESS * scale, equal_nan=True)


def _distances(here: Sequence[NDArray[Any]], there: Sequence[NDArray[Any]]) -> list[float]:
    return [
        float(np.linalg.norm(np.subtract(a, b, dtype=np.float64)))
        for a, b in zip(here, there, strict=True)
    ]
