import os

import keras
import numpy as np
import pytest

import models

LAYERS = {
    "single_layer": [
        ("Conv2D", (None, 24, 24, 16)),
        ("MaxPooling2D", (None, 12, 12, 16)),
        ("Flatten", (None, 2304)),
        ("Dense", (None, 100)),
        ("Dense", (None, 10)),
    ],
    "two_layer": [
        ("Conv2D", (None, 24, 24, 16)),
        ("MaxPooling2D", (None, 12, 12, 16)),
        ("Conv2D", (None, 11, 11, 8)),
        ("MaxPooling2D", (None, 5, 5, 8)),
        ("Flatten", (None, 200)),
        ("Dense", (None, 100)),
        ("Dense", (None, 10)),
    ],
}
PARAMETERS = {"single_layer": 231_926, "two_layer": 22_046}


def test_this_is_the_backend_that_was_asked_for() -> None:
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]


def test_every_model_is_described_here() -> None:
    assert set(models.names()) == set(LAYERS)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_the_model_is_the_reference_layer_for_layer(name: str) -> None:
    model = models.build(name)
    assert [(type(x).__name__, x.output.shape) for x in model.layers] == LAYERS[name]
    assert model.count_params() == PARAMETERS[name]
    *hidden, output = [x for x in model.layers if hasattr(x, "activation")]
    assert {x.activation.__name__ for x in hidden} == {"relu"}
    assert output.activation.__name__ == "softmax"
    for convolution in (x for x in model.layers if type(x).__name__ == "Conv2D"):
        assert (convolution.padding, convolution.strides) == ("valid", (1, 1))


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_the_model_is_compiled_as_in_the_reference(name: str) -> None:
    model = models.build(name)
    assert type(model.optimizer).__name__ == "Adam"
    adam = model.optimizer.get_config()
    assert adam["learning_rate"] == pytest.approx(1e-3)
    assert (adam["beta_1"], adam["beta_2"], adam["epsilon"]) == (0.9, 0.999, 1e-7)
    assert model.loss == "categorical_crossentropy"


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_answers_are_probabilities(name: str) -> None:
    answers = models.build(name).predict(np.zeros((3, 28, 28, 1), np.float32), verbose=0)
    assert answers.shape == (3, 10)
    assert answers.sum(axis=1) == pytest.approx(1, abs=1e-6)
