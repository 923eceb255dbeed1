"""What a model of the user's own is fed is what it is given, or a line says why not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract.errors import DataError
from bench.contract.units import ModelRequest
from bench.inputs import user_models
from bench.worker.model import building, description

MODEL = """
import functools, keras
from keras import layers

def mine(classes, logits, power=1):
    return keras.losses.sparse_categorical_crossentropy(classes, logits, from_logits=True) ** power

class Mine(keras.losses.Loss):
    def call(self, classes, logits):
        return mine(classes, logits)

def build():
    words = keras.Input((4,), dtype="int32", name="words")
    x = layers.Embedding(6, 3, name="known")(words)
    return keras.Model(words, layers.Dense(5, name="tag")(x))

def compile_options():
    return {"optimizer": "sgd", "loss": %s}
"""
WORDS = np.arange(40).reshape(10, 4) % 6
TAGS = (WORDS % 5).astype(np.int32)


def asked(folder: Path, loss: str, x: Any = WORDS, y: Any = TAGS) -> ModelRequest:
    (folder / "mine.py").write_text(MODEL % loss, encoding="utf-8")
    np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x[:5], y_test=y[:5])
    data = user_models.load(folder / "d.npz", folder)
    return ModelRequest("m", f"{folder / 'mine.py'}:build", str(data.path), data.sha256, 1)


def fed(request: ModelRequest) -> Any:
    """Targets as the loss is given them, of a model that a worker has found to be fine."""
    description.describe(request)
    some = building.examples(request)["train"]
    return building.build(request, some).y(some)


def test_classes_become_rows_only_where_the_loss_wants_them_and_that_is_told(
    tmp_path: Path,
) -> None:
    rows = "keras.losses.CategoricalCrossentropy(from_logits=True)"
    for number, (loss, told) in enumerate(((rows, ["tag"]), (SPARSE % "", []), ("mine", []))):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert description.describe(asked(folder, loss))["rows"] == told


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mine", "mine"),
        ("Mine()", "mine"),
        ("functools.partial(mine, power=2)", "mine"),
        ("lambda classes, logits: mine(classes, logits)", "<lambda>"),
    ],
)
def test_a_loss_of_ones_own_takes_what_it_is_given(loss: str, name: str, tmp_path: Path) -> None:
    request = asked(tmp_path, loss)
    given = fed(request)
    assert given.dtype == np.int32
    assert np.array_equal(given, TAGS)
    # Keras numbers what has no name of its own.
    assert description.describe(request)["outputs"][0]["loss"].startswith(name)


def test_a_loss_of_keras_that_takes_rows_is_given_rows(tmp_path: Path) -> None:
    given = fed(asked(tmp_path, "keras.losses.CategoricalCrossentropy(from_logits=True)"))
    assert np.array_equal(given, np.eye(5)[TAGS])


SPARSE = "keras.losses.SparseCategoricalCrossentropy(from_logits=True%s)"


def test_a_class_that_the_loss_ignores_is_fine_and_else_is_not(tmp_path: Path) -> None:
    some = np.where(WORDS == 3, -1, TAGS)
    assert np.array_equal(fed(asked(tmp_path, SPARSE % ", ignore_class=-1", y=some)), some)
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="y has classes -1 to 4, and the model's output tag knows"):
        fed(asked(tmp_path / "other", SPARSE % "", y=some))


def test_whole_classes_may_be_stored_as_floats(tmp_path: Path) -> None:
    assert np.array_equal(fed(asked(tmp_path, SPARSE % "", y=TAGS.astype(np.float64))), TAGS)
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="y has fractions, and the loss of the model's output tag"):
        fed(asked(tmp_path / "other", SPARSE % "", y=TAGS + 0.5))


@pytest.mark.parametrize(("moved", "told"), [(1, "1 to 6"), (-1, "-1 to 4")])
def test_words_that_an_embedding_does_not_know_are_one_line(
    moved: int, told: str, tmp_path: Path
) -> None:
    words = f"x_train has integers {told}, and the model's embedding known knows 0 to 5"
    with pytest.raises(DataError, match=words):
        fed(asked(tmp_path, "mine", x=WORDS + moved))


def test_integers_that_do_not_go_straight_into_an_embedding_may_be_any(tmp_path: Path) -> None:
    request = asked(tmp_path, "mine", x=WORDS + 100)
    file = tmp_path / "mine.py"
    wrapped = file.read_text().replace(")(words)", ")(keras.ops.mod(words, 6))")
    file.write_text(wrapped, encoding="utf-8")
    assert np.array_equal(fed(request), TAGS)
