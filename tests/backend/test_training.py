import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import models
from bench.contract.errors import DataError
from bench.contract.units import TrainingRequest
from bench.inputs import draws
from bench.inputs.datasets import ARRAYS, content_sha256
from bench.inputs.initializers import Initializer
from bench.process import steal
from bench.worker import training
from bench.worker.model import candidate
from bench.worker.model.initial_weights import initial
from tests.backend import ladder

BATCH = 32
EXAMPLES = 150  # not a multiple of the batch: the last step of an epoch is smaller


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    """Images that a CNN can tell apart: a bright row at the height of the class, and noise."""
    generator = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for part, size in (("train", EXAMPLES), ("test", 50)):
        labels = generator.integers(0, 10, size).astype(np.uint8)
        images = generator.integers(0, 60, (size, 28, 28, 1)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label] = 255
        made |= {f"x_{part}": images, f"y_{part}": labels}
    return made


@pytest.fixture
def request_for(arrays: dict[str, Any], tmp_path: Path) -> Any:
    np.savez(tmp_path / "data.npz", **arrays)

    def make(**changes: Any) -> TrainingRequest:
        fields: dict[str, Any] = {
            "model": ladder.asked("two_layer", tmp_path / "data.npz", content_sha256(arrays)),
            "seed": 0,
            "epochs": 2,
            "batch_size": BATCH,
            "train_examples": None,
            "predictions": str(tmp_path / "predictions.npz"),
        }
        return TrainingRequest(**(fields | changes))

    return make


def train(request: TrainingRequest) -> tuple[dict[str, Any], np.ndarray]:
    result = training.train(request, lambda _: None)
    return result, np.load(request.predictions)["probabilities"]


@pytest.mark.parametrize("name", models.names())
def test_initial_weights_are_those_that_numpy_drew(name: str) -> None:
    model = models.build(name)
    model.set_weights(initial(model, 5))
    glorot = Initializer("uniform", mode="fan_avg")
    for position, layer in enumerate(model.layers):
        shapes = [weight.shape for weight in layer.weights]
        known = [(glorot if len(shape) > 1 else None, shape) for shape in shapes]
        drawn = draws.initial_weights(5, position, known)
        for weight, array in zip(layer.get_weights(), drawn, strict=True):
            assert np.array_equal(weight, np.zeros_like(weight) if array is None else array)


def test_training_is_the_plain_loop_over_the_drawn_batches(
    request_for: Any, arrays: dict[str, Any]
) -> None:
    """The same weights as step after step by hand: no shuffle, no lost or doubled batch."""
    request = request_for(epochs=2)
    result, probabilities = train(request)
    model = models.build(request.model.source)
    model.set_weights(initial(model, request.seed))
    targets = np.eye(10, dtype=np.float32)[arrays["y_train"]]
    images = arrays["x_train"].astype(np.float32) / 255
    steps = 0
    for epoch in range(2):
        chosen = draws.batch_order(request.seed, epoch, EXAMPLES)
        for start in range(0, EXAMPLES, BATCH):
            batch = chosen[start : start + BATCH]
            model.train_on_batch(images[batch], targets[batch])
            steps += 1
    expected = model.predict(arrays["x_test"].astype(np.float32) / 255, verbose=0)
    assert result["steps"] == steps == 10
    assert probabilities == pytest.approx(expected, abs=2e-6)


def test_hashes_are_of_what_was_fed(request_for: Any, arrays: dict[str, Any]) -> None:
    result, _ = train(request_for())
    fed = hashlib.sha256()
    for epoch in range(2):
        chosen = draws.batch_order(0, epoch, EXAMPLES)
        fed.update(arrays["x_train"][chosen].tobytes() + arrays["y_train"][chosen].tobytes())
    assert result["batches_sha256"] == fed.hexdigest()
    model = models.build("two_layer")
    model.set_weights(initial(model, 0))
    assert result["weights_sha256"] == draws.arrays_sha256(model.get_weights())


def test_the_same_request_gives_the_same_answers_and_another_seed_others(
    request_for: Any,
) -> None:
    _, first = train(request_for())
    _, again = train(request_for())
    _, other = train(request_for(seed=1))
    assert again == pytest.approx(first, abs=2e-6)
    assert abs(other - first).max() > 1e-3


@pytest.mark.parametrize("variant", ["stock", "tuned"])
def test_the_first_step_leaves_no_trace(
    request_for: Any, arrays: dict[str, Any], variant: str
) -> None:
    one = candidate.build(replace(request_for().model, variant=variant), None)
    model = one.model
    before = one.get_weights()
    x = arrays["x_train"][:BATCH].astype(np.float32) / 255
    y = np.eye(10, dtype=np.float32)[arrays["y_train"][:BATCH]]
    first, second = training.first_steps(one, x, y, last_batch=EXAMPLES % BATCH)
    assert min(first, second) > 0
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), before, strict=True))
    assert one.steps == 0
    moments = [v for v in model.optimizer.variables if "momentum" in v.path or "veloc" in v.path]
    assert moments
    assert not any(keras.ops.convert_to_numpy(moment).any() for moment in moments)


def test_it_learns(request_for: Any) -> None:
    events: list[dict[str, Any]] = []
    result = training.train(request_for(epochs=12), events.append)
    assert events == result["epochs"]
    assert [epoch["epoch"] for epoch in events] == list(range(1, 13))
    assert events[-1]["test_accuracy"] > 0.9
    assert events[-1]["train_loss"] < events[0]["train_loss"] / 2
    assert all(epoch["train_seconds"] > 0 for epoch in events)
    assert result["parameters"] == 22_046
    assert result["peak_rss_mib"] > 100


def test_the_last_epoch_is_scored_from_the_stored_predictions(
    request_for: Any, arrays: dict[str, Any]
) -> None:
    result, probabilities = train(request_for())
    labels = arrays["y_test"]
    assert result["epochs"][-1]["test_accuracy"] == (probabilities.argmax(1) == labels).mean()
    loss = keras.losses.categorical_crossentropy(np.eye(10)[labels], probabilities)
    mean = float(keras.ops.convert_to_numpy(loss).mean())
    assert result["epochs"][-1]["test_loss"] == pytest.approx(mean, rel=1e-5)


def test_an_epoch_tells_what_was_taken_while_it_trained(
    request_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second epoch's counter steps back, as the kernel's may.
    monkeypatch.setattr(steal, "taken_seconds", iter([5.0, 5.25, 6.0, 5.5]).__next__)
    result, _ = train(request_for(epochs=2))
    assert [epoch["steal_seconds"] for epoch in result["epochs"]] == [0.25, 0.0]


def test_fewer_examples_can_be_asked_for(request_for: Any) -> None:
    result, _ = train(request_for(train_examples=64))
    assert result["steps"] == 4


def test_other_data_than_announced_is_refused(request_for: Any) -> None:
    with pytest.raises(DataError, match="content differs"):
        train(request_for(model=replace(request_for().model, data_sha256="0" * 64)))


def test_a_loss_that_is_no_number_is_none(arrays: dict[str, Any]) -> None:
    loss, accuracy = training.score(np.full((50, 10), math.nan, np.float32), arrays["y_test"])
    assert loss is None
    assert 0 <= accuracy <= 1


def test_every_array_of_a_dataset_is_hashed(arrays: dict[str, Any]) -> None:
    for name in ARRAYS:
        changed = {**arrays, name: arrays[name] + np.uint8(1)}
        assert content_sha256(changed) != content_sha256(arrays)
