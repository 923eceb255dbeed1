"""Training of one cell in a worker: the reference protocol, the same on every backend."""

import hashlib
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import models
from bench import order, steal
from bench.data import read_verified
from bench.workload import TrainingRequest


def train(request: TrainingRequest, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Train and test one model from weights and batches drawn by NumPy.

    The predicted probabilities of the test set are written to `request.predictions`.

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
        (running means over the epoch, as Keras shows them), `test_loss`, `test_accuracy`.
        A loss that is no finite number is None.

    Raises:
        DataError: The dataset is not the one whose hash was sent.
    """
    start = time.perf_counter()
    arrays = read_verified(Path(request.data), request.data_sha256)
    images = arrays["x_train"][: request.train_examples]
    labels = arrays["y_train"][: request.train_examples]
    test_images = as_input(arrays["x_test"])
    load_seconds = time.perf_counter() - start

    # No layer of the two CNNs draws at random, but a dropout layer would.
    keras.utils.set_random_seed(request.seed)
    start = time.perf_counter()
    model = models.build(request.model)
    build_seconds = time.perf_counter() - start
    set_initial_weights(model, request.seed)
    weights_sha256 = order.arrays_sha256(model.get_weights())
    classes = model.output_shape[-1]
    # Enough for a whole batch and for one of the size of an epoch's last.
    few = slice(min(request.batch_size, len(labels)))
    first_step_seconds, second_step_seconds = first_steps(
        model,
        as_input(images[few]),
        as_targets(labels[few], classes),
        last_batch=len(labels) % request.batch_size,
    )

    batches = hashlib.sha256()
    epochs = []
    probabilities = np.empty(0, np.float32)
    for epoch in range(request.epochs):
        start = time.perf_counter()
        chosen = order.batch_order(request.seed, epoch, len(labels))
        epoch_images, epoch_labels = images[chosen], labels[chosen]
        batches.update(epoch_images.data)
        batches.update(epoch_labels.data)
        x, y = as_input(epoch_images), as_targets(epoch_labels, classes)
        feed_seconds = time.perf_counter() - start
        record = _train_epoch(model, x, y, request.batch_size)
        start = time.perf_counter()
        probabilities = model.predict(test_images, batch_size=request.batch_size, verbose=0)
        test_seconds = time.perf_counter() - start
        test_loss, test_accuracy = score(probabilities, arrays["y_test"])
        record |= {
            "epoch": epoch + 1,
            "feed_seconds": feed_seconds,
            "test_seconds": test_seconds,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
        }
        epochs.append(record)
        emit(record)
    np.savez(request.predictions, probabilities=probabilities)
    return {
        "parameters": model.count_params(),
        "weights_sha256": weights_sha256,
        "batches_sha256": batches.hexdigest(),
        "steps": int(keras.ops.convert_to_numpy(model.optimizer.iterations)),
        "load_seconds": load_seconds,
        "build_seconds": build_seconds,
        "first_step_seconds": first_step_seconds,
        "second_step_seconds": second_step_seconds,
        "peak_rss_mib": peak_rss_mib(),
        "jit_compile": model.jit_compile,
        "epochs": epochs,
    }


def as_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels 0-255 as float32 in 0-1, as in the reference."""
    pixels = images.astype(np.float32)
    pixels /= 255
    return pixels


def as_targets(labels: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """One-hot rows, shape (examples, classes)."""
    return np.eye(classes, dtype=np.float32)[labels]


def set_initial_weights(model: keras.Model, seed: int) -> None:
    """Give every layer the weights that NumPy draws for (seed, position of the layer)."""
    for position, layer in enumerate(model.layers):
        shapes = [tuple(weight.shape) for weight in layer.weights]
        layer.set_weights(order.initial_weights(seed, position, shapes))


def score(
    probabilities: NDArray[np.float32], labels: NDArray[np.uint8]
) -> tuple[float | None, float]:
    """Loss and accuracy of predictions, by the same NumPy code for every backend.

    The loss is Keras's categorical cross-entropy: probabilities clipped to [1e-7, 1 - 1e-7].
    """
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.clip(chosen, 1e-7, 1 - 1e-7)).mean())
    return finite(loss), float((probabilities.argmax(axis=1) == labels).mean())


def synchronise(model: keras.Model) -> None:
    """Wait until the last step is done: read a weight that it changed."""
    keras.ops.convert_to_numpy(model.trainable_variables[-1].value)


def first_steps(
    model: keras.Model, x: NDArray[np.float32], y: NDArray[np.float32], last_batch: int = 0
) -> tuple[float, float]:
    """Seconds of the first step, most of it tracing and compiling, and of the second; undone.

    An epoch's smaller last batch has a shape of its own and is compiled here too, but not
    timed, so that no epoch pays for compiling and the first is like the others.
    """
    model.optimizer.build(model.trainable_variables)  # else it has no variables to keep yet
    with weights_kept(model):
        first, second = (timed_step(model, x, y) for _ in range(2))
        if last_batch:
            timed_step(model, x[:last_batch], y[:last_batch])
    return first, second


def timed_step(model: keras.Model, x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """Seconds of a `fit` over one batch."""
    start = time.perf_counter()
    model.fit(x, y, batch_size=len(x), shuffle=False, verbose=0)
    synchronise(model)
    return time.perf_counter() - start


@contextmanager
def weights_kept(model: keras.Model) -> Iterator[None]:
    """Give weights and optimizer back as they were."""
    variables = [*model.variables, *model.optimizer.variables]
    before = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _train_epoch(
    model: keras.Model, x: NDArray[np.float32], y: NDArray[np.float32], batch_size: int
) -> dict[str, Any]:
    # No callbacks: one per batch would end asynchronous dispatch on JAX and torch.
    taken, start = steal.taken_seconds(), time.perf_counter()
    history = model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0).history
    synchronise(model)
    return {
        "train_seconds": time.perf_counter() - start,
        "steal_seconds": max(0.0, steal.taken_seconds() - taken),
        "train_loss": finite(history["loss"][-1]),
        "train_accuracy": float(history["accuracy"][-1]),
    }


def finite(value: float) -> float | None:
    """The value; None where it is no number, which JSON cannot carry."""
    return float(value) if math.isfinite(value) else None


def peak_rss_mib() -> float:
    """The most memory that this process has had resident so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
