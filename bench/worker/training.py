"""Training of one cell in a worker: the reference protocol, the same on every backend."""

import hashlib
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.contract.units import TrainingRequest
from bench.inputs import draws
from bench.inputs.examples import Examples, classes_of
from bench.process import steal
from bench.process.wire import finite
from bench.worker.loops.input_pipeline import leaves, sliced
from bench.worker.model import building
from bench.worker.model.candidate import Candidate, build
from bench.worker.model.initial_weights import as_given, initial


def train(request: TrainingRequest, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Train and test one model from weights and batches drawn by NumPy.

    A classifier's probabilities of the test set are written to `request.predictions`.

    Args:
        request: What to do.
        emit: Takes an event after each epoch: one entry of `epochs` below.

    Returns:
        `parameters`, `weights_sha256` (initial weights as read back from the model),
        `batches_sha256` (examples and labels in the order in which they were fed), `steps`
        (as the optimizer counted them), `load_seconds`, `build_seconds`, `first_step_seconds`
        (trace and compile), `second_step_seconds`, `peak_rss_mib`, `jit_compile` and `epochs`:
        a list with `epoch` (from 1), `feed_seconds` (putting its batches in order),
        `train_seconds` (training alone), `steal_seconds` (what a hypervisor took meanwhile from
        all our cores), `test_seconds`, `train_loss` and `train_accuracy`
        (running means over the epoch, as Keras shows them; None where it keeps no accuracy),
        `test_loss`, `test_accuracy` (None of what is not a classifier).
        A loss that is no finite number is None.

    Raises:
        DataError: The dataset is not the one whose hash was sent.
    """
    start = time.perf_counter()
    whole = building.examples(request.model)
    train_set = whole["train"].take(slice(request.train_examples))
    load_seconds = time.perf_counter() - start

    # A layer may draw at random while it trains, as dropout does.
    keras.utils.set_random_seed(request.seed)
    start = time.perf_counter()
    candidate = build(request.model, train_set.take(slice(1)))
    built = candidate.built
    build_seconds = time.perf_counter() - start
    given = initial(built.model, request.seed, request.model)
    candidate.set_weights(given)
    weights_sha256 = draws.arrays_sha256(as_given(built.model, candidate.get_weights(), given))
    # Enough for a whole batch and for one of the size of an epoch's last.
    few = train_set.take(slice(request.batch_size))
    first_step_seconds, second_step_seconds = first_steps(
        candidate, built.x(few), built.y(few), last_batch=len(train_set) % request.batch_size
    )

    test = TestSet(candidate, whole["test"], request.batch_size)
    batches = hashlib.sha256()
    epochs = []
    for epoch in range(request.epochs):
        start = time.perf_counter()
        fed = train_set.take(draws.batch_order(request.seed, epoch, len(train_set)))
        for array in (*fed.inputs.values(), *fed.targets.values()):
            batches.update(array.data)
        x, y = candidate.inputs(built.x(fed)), candidate.targets(built.y(fed))
        feed_seconds = time.perf_counter() - start
        record = _train_epoch(candidate, x, y, request.batch_size)
        start = time.perf_counter()
        probabilities = test.ask()
        test_seconds = time.perf_counter() - start
        test_loss, test_accuracy = test.score(probabilities)
        record |= {
            "epoch": epoch + 1,
            "feed_seconds": feed_seconds,
            "test_seconds": test_seconds,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
        }
        epochs.append(record)
        emit(record)
    if built.classes:
        np.savez(request.predictions, probabilities=probabilities)
    return {
        "parameters": built.model.count_params(),
        "weights_sha256": weights_sha256,
        "batches_sha256": batches.hexdigest(),
        "steps": candidate.steps,
        "load_seconds": load_seconds,
        "build_seconds": build_seconds,
        "first_step_seconds": first_step_seconds,
        "second_step_seconds": second_step_seconds,
        "peak_rss_mib": peak_rss_mib(),
        "jit_compile": candidate.jit_compile,
        "epochs": epochs,
    }


class TestSet:
    """Asked after every epoch: of a classifier the probabilities, of another model its own loss."""

    def __init__(self, candidate: Candidate, examples: Examples, batch_size: int) -> None:
        """Make the inputs ready."""
        built = candidate.built
        self._candidate, self._batch_size = candidate, batch_size
        self._x, self._y = candidate.inputs(built.x(examples)), None
        if built.classes:
            self._labels = classes_of(examples.only_target)
        else:
            self._y = candidate.targets(built.y(examples))

    def ask(self) -> Any:
        """Probabilities, float32, shape (examples, classes); or the mean loss."""
        if self._y is None:
            outputs = self._candidate.predict(self._x, self._batch_size)
            return self._candidate.built.probabilities(leaves(outputs)[0])
        return self._candidate.evaluate(self._x, self._y, self._batch_size)["loss"]

    def score(self, asked: Any) -> tuple[float | None, float | None]:
        """Loss, and of a classifier accuracy."""
        return score(asked, self._labels) if self._y is None else (finite(asked), None)


def score(
    probabilities: NDArray[np.float32], labels: NDArray[np.integer]
) -> tuple[float | None, float]:
    """Loss and accuracy of predictions, by the same NumPy code for every backend.

    The loss is Keras's categorical cross-entropy: probabilities clipped to [1e-7, 1 - 1e-7].
    """
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.clip(chosen, 1e-7, 1 - 1e-7)).mean())
    return finite(loss), float((probabilities.argmax(axis=1) == labels).mean())


def first_steps(candidate: Candidate, x: Any, y: Any, last_batch: int = 0) -> tuple[float, float]:
    """Seconds of the first step, most of it tracing and compiling, and of the second; undone.

    An epoch's smaller last batch has a shape of its own and is compiled here too, but not
    timed, so that no epoch pays for compiling and the first is like the others.
    """
    with candidate.state_restored():
        first, second = (timed_step(candidate, x, y) for _ in range(2))
        if last_batch:
            rest = slice(last_batch)
            timed_step(candidate, sliced(x, rest), sliced(y, rest))
    return first, second


def timed_step(candidate: Candidate, x: Any, y: Any) -> float:
    """Seconds of a `fit` over one batch."""
    start = time.perf_counter()
    candidate.fit(candidate.inputs(x), candidate.targets(y), len(leaves(x)[0]))
    candidate.loop.wait()
    return time.perf_counter() - start


def _train_epoch(candidate: Candidate, x: Any, y: Any, batch_size: int) -> dict[str, Any]:
    taken, start = steal.taken_seconds(), time.perf_counter()
    told = candidate.fit(x, y, batch_size)
    candidate.loop.wait()
    return {
        "train_seconds": time.perf_counter() - start,
        "steal_seconds": max(0.0, steal.taken_seconds() - taken),
        "train_loss": finite(told["loss"]),
        "train_accuracy": told.get("accuracy"),
    }


def peak_rss_mib() -> float:
    """The most memory that this process has had resident so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
