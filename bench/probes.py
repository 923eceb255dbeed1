"""Probes of what a backend computes, rung by rung of the parity ladder, in a worker.

Everything is answered raw: facts as JSON, numbers as arrays. Nothing is compared here:
`models.oracle` answers the same questions in float64, and `reports` judges. A process that answers
probes is never timed.
"""

import importlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import models
from bench import order, questions
from bench.data import read_verified
from bench.questions import Answer, Arrays, numbered
from bench.training import as_input, as_targets, finite, weights_kept
from bench.workload import ProbesRequest


class Probes:
    """One model under one backend, asked rung after rung, always from the same weights.

    The model is given back after every question, optimizer and all, and asked again: compiling a
    new one is most of the ladder's time.
    """

    def __init__(self, request: ProbesRequest) -> None:
        """Load the data and build the model.

        Raises:
            DataError: The dataset is not the one whose hash was sent.
        """
        self._request = request
        self._loop = importlib.import_module(f"bench.loops.{keras.backend.backend()}")
        self._loop.be_exact()
        self._data = read_verified(Path(request.data), request.data_sha256)
        self._inputs = questions.inputs(self._data, request.batch_size)
        self._model = self._fresh()
        self._drawn = order.probe_weights(
            request.seed, [[tuple(w.shape) for w in layer.weights] for layer in self._model.layers]
        )
        self._model.set_weights(self._drawn)
        self._model.optimizer.build(self._model.trainable_variables)
        self._x = {
            name: pixels.astype(np.float32) if name == questions.UNSCALED else as_input(pixels)
            for name, pixels in self._inputs.images.items()
        }
        self._y = self._targets(self._inputs.labels["train"])

    def answer(self, rung: str) -> Answer:
        """Facts and arrays of one of `questions.RUNGS`."""
        with weights_kept(self._model):
            return ANSWERS[rung](self)

    def identity(self) -> Answer:
        """P0 and P1: what the model is, what it is fed, and its weights as read back."""
        fed = {name: order.arrays_sha256([x]) for name, x in self._x.items()}
        return {
            "config": _config(self._model),
            "compile_config": _compile_config(self._model),
            "layers": [layer.name for layer in self._model.layers],
            "parameters": self._model.count_params(),
            "jit_compile": self._model.jit_compile,
            "settings": self._loop.settings(),
            "fed_sha256": fed | {"targets": order.arrays_sha256([self._y])},
        }, numbered("weight", self._model.get_weights())

    def forward(self) -> Answer:
        """P2: output of every layer, logits and probabilities."""
        arrays: Arrays = {}
        every_layer = _every_layer(self._model)
        for name, x in self._x.items():
            *outputs, logits = every_layer.predict(x, batch_size=len(x), verbose=0)
            arrays |= {f"{name}.logits": logits, f"{name}.probabilities": outputs[-1]}
            if name in questions.LAYERED:
                arrays |= numbered(f"{name}.layer", outputs[:-1])
        return {}, arrays

    def gradients(self) -> Answer:
        """P3: the loss of a batch and its gradient, as they are and with saturated outputs."""
        facts: dict[str, Any] = {}
        arrays: Arrays = {}
        starts = [self._drawn, questions.saturated(self._drawn)]
        results = self._loop.gradients(self._model, starts, self._x["train"], self._y)
        for name, (loss, found) in zip(("", "saturated_"), results, strict=True):
            facts[f"{name}loss"] = finite(loss)
            arrays |= numbered(f"{name}gradient", found)
        return facts, arrays

    def update(self) -> Answer:
        """P4: weights after one step of SGD, and after one of Adam, both by `fit`."""
        steps: dict[str, int] = {}
        arrays: Arrays = {}
        plain = self._fresh()
        sgd = keras.optimizers.SGD(questions.SGD_RATE)
        plain.compile(optimizer=sgd, loss=plain.loss, metrics=["accuracy"])
        plain.set_weights(self._drawn)
        for name, model in (("sgd", plain), ("adam", self._model)):
            _fit(model, self._x["train"], self._y, self._request.batch_size)
            steps[name] = _steps(model)
            arrays |= numbered(name, model.get_weights())
        return {"steps": steps}, arrays

    def trajectory(self) -> Answer:
        """P5: weights along a training, how far its neighbours part, and a few steps amid another.

        `distances` are Euclidean, in float64, of shape (neighbours, checkpoints, weights).
        """
        steps, path = self._train_along()
        arrays: Arrays = {}
        for checkpoint, weights in zip(questions.CHECKPOINTS, path, strict=True):
            arrays |= numbered(f"step{checkpoint}.weight", weights)
        arrays["distances"] = np.array(
            [
                [_distances(*pair) for pair in zip(neighbour, path, strict=True)]
                for number in range(questions.NEIGHBOURS)
                for _, neighbour in [self._train_along(number)]
            ]
        )
        with np.load(self._request.restarts, allow_pickle=False) as states:
            for step in questions.RESTARTS:
                with weights_kept(self._model):
                    self._take_over(states, step)
                    self._fit_steps(step, step + questions.RESTART_STEPS)
                    arrays |= numbered(f"restart{step}.weight", self._model.get_weights())
        return {"steps": steps}, arrays

    def predictions(self) -> Answer:
        """P6: probabilities of the whole test set, from trained weights."""
        with np.load(self._request.trained, allow_pickle=False) as trained:
            self._model.set_weights([trained[f"arr_{n}"] for n in range(len(trained.files))])
        x = as_input(self._inputs.test)
        size = self._request.batch_size
        return {}, {"probabilities": np.asarray(self._model.predict(x, size, verbose=0))}

    def save(self, folder: Path) -> dict[str, Any]:
        """P8: train a step, save model and weights in Keras's formats, and train two more.

        Returns:
            Hashes of what was saved, and the mean loss of the two steps, the second of which
            depends on the optimizer's state.
        """
        with weights_kept(self._model):
            _fit(self._model, self._x["train"], self._y, self._request.batch_size)
            self._model.save(folder / MODEL_FILE)
            self._model.save_weights(folder / WEIGHTS_FILE)
            return self._state_and_next_loss()

    def load(self, folder: Path) -> dict[str, Any]:
        """P8: what came of another backend's files, which were made within this run.

        Training goes on from the weights file alone: it goes into a model that is compiled
        already, where one from a whole-model file would be compiled anew. Of that, `compile_config`
        and `jit_compile` say how it would go on; `optimizer_error` why its optimizer could not be
        read.
        """
        unreadable = None
        try:
            whole = keras.models.load_model(folder / MODEL_FILE, safe_mode=True)
        except TypeError as error:  # Keras's for a class that it does not find
            unreadable = str(error)[:300]
            whole = keras.models.load_model(folder / MODEL_FILE, compile=False, safe_mode=True)
        known = unreadable is None
        from_model = {
            "weights_sha256": _values_sha256(whole.variables),
            "optimizer_sha256": _values_sha256(whole.optimizer.variables) if known else None,
            "config": _config(whole),
            "compile_config": _compile_config(whole) if known else None,
            "jit_compile": whole.jit_compile if known else None,
            "optimizer_error": unreadable,
        }
        with weights_kept(self._model):
            self._model.load_weights(folder / WEIGHTS_FILE)
            return {"model": from_model, "weights": self._state_and_next_loss()}

    def _state_and_next_loss(self) -> dict[str, Any]:
        state = {
            "weights_sha256": _values_sha256(self._model.variables),
            "optimizer_sha256": _values_sha256(self._model.optimizer.variables),
        }
        x, y = (np.concatenate([batch, batch]) for batch in (self._x["train"], self._y))
        return state | {"loss": finite(_fit(self._model, x, y, self._request.batch_size))}

    def _fresh(self) -> keras.Model:
        keras.utils.set_random_seed(self._request.seed)
        return models.build(self._request.model)

    def _targets(self, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return as_targets(labels, self._model.output_shape[-1])

    def _train_along(self, neighbour: int | None = None) -> tuple[int, list[list[Any]]]:
        """Steps that were counted, and weights at every checkpoint; all is given back.

        A neighbour's weights are nudged at the start and at every checkpoint, as rounding nudges
        them in every step.
        """
        path, weights, model = [], self._drawn, self._model
        with weights_kept(model):
            for first, last in itertools.pairwise((0, *questions.CHECKPOINTS)):
                if neighbour is not None:
                    weights = order.nudged(weights, neighbour, first)
                model.set_weights(weights)
                self._fit_steps(first, last)
                weights = model.get_weights()
                path.append(weights)
            return _steps(model), path

    def _fit_steps(self, first: int, last: int) -> None:
        """Train on the trajectory's steps after `first`, up to `last`."""
        size = self._request.batch_size
        images, labels = questions.steps(self._data, first, last, size)
        _fit(self._model, as_input(images), self._targets(labels), size)

    def _take_over(self, states: Mapping[str, NDArray[np.float32]], step: int) -> None:
        """Go on from the oracle's training after `step` steps: weights, moments and all."""
        optimizer = self._model.optimizer
        own = {variable.path.rpartition("/")[2]: variable for variable in optimizer.variables}
        optimizer.iterations.assign(step)
        for number, weight in enumerate(self._model.trainable_variables):
            weight.assign(states[f"{step}.weight{number}"])
            for moment in ("momentum", "velocity"):
                name = f"{weight.path.replace('/', '_')}_{moment}"
                own[name].assign(states[f"{step}.{moment}{number}"])


MODEL_FILE, WEIGHTS_FILE = "whole.keras", "alone.weights.h5"

ANSWERS: Mapping[str, Callable[[Probes], Answer]] = {
    rung: getattr(Probes, rung) for rung in questions.RUNGS
}


def _config(model: keras.Model) -> str:
    """The layers as JSON."""
    return _nameless(model.get_config())


def _compile_config(model: keras.Model) -> str:
    """Optimizer and loss as JSON, without what a backend decides for itself."""
    return _nameless(model.optimizer.get_config() | {"loss": model.loss})


def _nameless(config: Mapping[str, Any]) -> str:
    """Names are numbered by how many were made before."""
    told = {name: value for name, value in config.items() if name != "name"}
    return json.dumps(told, sort_keys=True, default=str)


def _every_layer(model: keras.Model) -> keras.Model:
    """A model with the output of each layer, and last the logits, from the same weights."""
    *before, last = model.layers
    logits = keras.layers.Dense(last.units, name="logits")
    outputs = [layer.output for layer in model.layers]
    whole = keras.Model(model.inputs, [*outputs, logits(before[-1].output)])
    logits.set_weights(last.get_weights())
    return whole


def _fit(
    model: keras.Model, x: NDArray[np.float32], y: NDArray[np.float32], batch_size: int
) -> float:
    """Train over the examples once, in their order; the mean loss."""
    history = model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0).history
    return float(history["loss"][-1])


def _steps(model: keras.Model) -> int:
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def _distances(here: Sequence[NDArray[Any]], there: Sequence[NDArray[Any]]) -> list[float]:
    return [
        float(np.linalg.norm(np.subtract(a, b, dtype=np.float64)))
        for a, b in zip(here, there, strict=True)
    ]


def _values_sha256(variables: Sequence[keras.Variable]) -> str:
    """Hash of values alone: an integer has another width on each backend."""
    values = (keras.ops.convert_to_numpy(variable.value) for variable in variables)
    return order.arrays_sha256([np.asarray(value, np.float64) for value in values])
