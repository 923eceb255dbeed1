"""Models as a user would bring them, built, fed, begun and asked under this backend."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import models
from bench.contract.errors import DataError
from bench.contract.units import Description, ModelRequest, ProbesRequest, TrainingRequest
from bench.inputs import parity_questions, user_models
from bench.inputs.examples import Examples
from bench.worker import training
from bench.worker.model import building, candidate, description, dropout, initial_weights
from bench.worker.model.building import ModelError
from bench.worker.model.deterministic import still
from bench.worker.model.layer_outputs import EveryLayer
from bench.worker.parity.probes import Probes
from reports.ladder import dropout_rungs, rungs
from reports.ladder.findings import Answers

OWN = Path(__file__).parent.parent / "own"
SMALL = [
    "table.py:build",
    "colour.py:build",
    "tokens.py:lstm",
    "tokens.py:transformer",
    "two.py:build",
    "prepared.py:build",
]


def asked(source: str) -> ModelRequest:
    """A model of `tests/own` that has no data yet."""
    return ModelRequest("m", str(OWN / source), "", "")


@cache
def described(source: str) -> Description:
    """What this backend says of a model of `tests/own`."""
    return description.describe(asked(source))


def fed(source: str, folder: Path, arrays: dict[str, Any] | None = None) -> ModelRequest:
    """The same with data, its own or drawn."""
    if arrays is None:
        told = described(source)
        dataset, part = user_models.draw({"m": told}, 8, folder), user_models.prefix("m")
        kept = user_models.kept([told])
    else:
        np.savez(folder / "d.npz", **arrays)
        dataset, part, kept = user_models.load(folder / "d.npz", folder), "", ()
    return ModelRequest("m", str(OWN / source), str(dataset.path), dataset.sha256, 1, part, kept)


def splits(inputs: Any, targets: Any) -> dict[str, Any]:
    return {
        "x_train": inputs[:-20],
        "y_train": targets[:-20],
        "x_test": inputs[-20:],
        "y_test": targets[-20:],
    }


@pytest.mark.parametrize("source", SMALL)
def test_numpy_draws_what_layers_draw_at_random_and_nothing_else(source: str) -> None:
    for weight in described(source)["weights"]:
        kind = weight["path"].rpartition("/")[2]
        assert weight["random"] == (kind not in {"bias", "gamma", "beta", *MOVING}), weight["path"]
        if kind not in {"table", "places"}:  # of a layer of the user's own
            assert weight["drawn"] == weight["random"], weight["path"]


MOVING = {"moving_mean", "moving_variance", "mean", "variance", "count"}


@pytest.mark.parametrize("source", ["colour.py:build", "tokens.py:transformer"])
def test_the_first_weights_are_those_of_the_layers_distributions(source: str) -> None:
    """NumPy's draw of each weight has the mean square of the one that Keras draws."""
    keras.utils.set_random_seed(0)
    model = models.build(str(OWN / source))
    for weight, array in zip(model.weights, initial_weights.draw(model, 0), strict=True):
        if array is not None and array.size > 500:
            here = keras.ops.convert_to_numpy(weight)
            assert array.shape == here.shape
            assert np.square(array).mean() == pytest.approx(np.square(here).mean(), rel=0.25)


@pytest.mark.parametrize("source", ["colour.py:build", "tokens.py:lstm", "two.py:build"])
def test_a_model_that_is_still_gives_the_same_twice(source: str, tmp_path: Path) -> None:
    request = fed(source, tmp_path)
    examples = building.examples(request)["train"]
    built = building.build(request, examples)
    assert bool(still(built.model)) == (source != "two.py:build")
    built.model.optimizer.learning_rate.assign(0)
    x, y = built.x(examples), built.y(examples)
    first, second = (built.model.train_on_batch(x, y) for _ in range(2))
    assert np.ravel(first)[0] == pytest.approx(np.ravel(second)[0], rel=1e-5)


def opened(source: str, folder: Path, arrays: dict[str, Any] | None = None) -> Probes:
    """A model of `tests/own`, ready to be asked."""
    trained, restarts = str(folder / "trained.npz"), ""
    return Probes(ProbesRequest(fed(source, folder, arrays), 0, 8, trained, restarts))


def test_of_large_arrays_the_same_elements_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of weights, some of which are not trained, of their gradients and of their steps."""
    monkeypatch.setattr(parity_questions, "MOST_ELEMENTS", 2000)
    probes = opened("colour.py:build", tmp_path)
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for probe in ("identity", "forward", "gradients", "update"):
        facts[probe], found = probes.answer(probe)
        arrays |= {f"{probe}.{name}": array for name, array in found.items()}
    told = Answers(facts, arrays)
    share = 2000 // len(facts["identity"]["weights"])
    assert {a.size for a in told.numbered("identity.weight")} >= {share}
    for number, gradient in zip(
        facts["identity"]["trainable"], told.numbered("gradients.gradient"), strict=True
    ):
        assert gradient.shape == arrays[f"identity.weight{number}"].shape
    assert {each.status for each in rungs.judge(told, told)} == {"pass"}


def test_files_of_a_model_that_draws_at_random_hold_its_weights(tmp_path: Path) -> None:
    """The state of what it draws from is none of them."""
    probes = opened("colour.py:build", tmp_path)
    saved, loaded = probes.save(tmp_path), probes.load(tmp_path)
    assert loaded["model"]["weights_sha256"] == saved["weights_sha256"]
    assert loaded["weights"]["weights_sha256"] == saved["weights_sha256"]


def loaded_again(source: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was saved of a subclassed model, and what came of that."""
    x = np.random.default_rng(0).normal(size=(40, 6))
    probes = opened(source, folder, splits(x, x[:, :3].argmax(axis=1)))
    return probes.save(folder), probes.load(folder)


def test_files_of_a_class_that_keras_can_make_again_are_read(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import keras\n"
        "class Mine(keras.Model):\n"
        "    def __init__(self, **rest):\n"
        "        super().__init__(**rest)\n"
        "        self.layer = keras.layers.Dense(3)\n"
        "    def call(self, x):\n"
        "        return self.layer(x)\n"
        "def build():\n"
        "    return Mine()\n",
        encoding="utf-8",
    )
    saved, loaded = loaded_again(str(tmp_path / "mine.py:build"), tmp_path)
    assert loaded["model"]["error"] is None
    assert loaded["model"]["weights_sha256"] == saved["weights_sha256"]


def test_a_class_that_keras_cannot_make_again_is_told_and_its_weights_are_read(
    tmp_path: Path,
) -> None:
    """Its `__init__` does not take what every model's configuration has."""
    saved, loaded = loaded_again("subclassed.py:build", tmp_path)
    assert loaded["model"]["error"].endswith("got an unexpected keyword argument 'trainable'")
    assert loaded["weights"] == {name: saved[name] for name in loaded["weights"]}


def cast(mask: Any) -> Any:
    return keras.ops.cast(mask, "float32")


def test_a_recurrent_layer_that_drops_out_nothing_draws_nothing() -> None:
    def names(**rates: float) -> list[str]:
        layer = keras.layers.LSTM(3, name="lstm", **rates)
        return [each.name for each in still(keras.Sequential([keras.Input((4, 2)), layer]))]

    assert names() == []
    assert names(dropout=0.1) == names(recurrent_dropout=0.1) == ["lstm"]


def found_of_dropout() -> list[str]:
    """What is wrong with this backend's dropout."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.3)])
    (told,) = dropout.statistics(model)
    found = dropout_rungs.of_dropout(told)
    return [each.quantity.partition(", ")[2] for each in found if each.status != "pass"]


def test_dropout_is_fine() -> None:
    assert found_of_dropout() == []


@pytest.mark.parametrize(
    ("mutant", "wrong"),
    [
        (
            lambda x, kept, rate, _: x * cast(kept >= rate + 0.02) / (1 - rate),
            ["share that it drops", "share that it drops in two steps"],
        ),
        (lambda x, kept, rate, _: x * cast(kept >= rate), ["units kept and not scaled"]),
        (
            lambda x, _, rate, once: x * cast(once >= rate) / (1 - rate),
            ["share that it drops in two steps"],
        ),
        (lambda x, *_: x, ["share that it drops", "share that it drops in two steps"]),
    ],
    ids=["too much", "not scaled", "the same in each step", "nothing"],
)
def test_dropout_that_does_something_else_is_caught(
    mutant: Any, wrong: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = np.random.default_rng(0).uniform(size=(1, dropout.UNITS)).astype(np.float32)

    def call(layer: keras.layers.Dropout, x: Any, training: bool = False) -> Any:
        kept = keras.random.uniform(keras.ops.shape(x), seed=layer.seed_generator)
        return mutant(x, kept, layer.rate, keras.ops.convert_to_tensor(once))

    monkeypatch.setattr(keras.layers.Dropout, "call", call)
    assert set(wrong) <= set(found_of_dropout())


@pytest.mark.parametrize("source", ["tokens.py:transformer", "two.py:build"])
def test_every_layer_is_asked_and_the_outputs_are_the_models(source: str, tmp_path: Path) -> None:
    request = fed(source, tmp_path)
    examples = building.examples(request)["test"]
    chosen = candidate.build(request, examples)
    built, told = chosen.built, EveryLayer(chosen)
    assert len(told.names) >= 3
    given = told.predict(built.x(examples)).given
    expected = keras.tree.flatten(built.model.predict(built.x(examples), verbose=0))
    last = [array for name, array in given.items() if name != "logits"]
    for one, other in zip(last, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def trained(request: ModelRequest, folder: Path, epochs: int = 3) -> dict[str, Any]:
    predictions = str(folder / "predictions.npz")
    return training.train(
        TrainingRequest(request, 0, epochs, 20, None, predictions), lambda _: None
    )


def test_a_regression_is_trained_and_told_by_its_loss(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(220, 8))
    request = fed("table.py:build", tmp_path, splits(x, x.sum(axis=1)))
    epochs = trained(request, tmp_path, 12)["epochs"]
    assert epochs[-1]["test_accuracy"] is None
    assert epochs[-1]["test_loss"] < 0.5 * epochs[0]["test_loss"]
    assert not (tmp_path / "predictions.npz").exists()


@pytest.mark.parametrize("one_hot", [True, False])
def test_a_class_of_its_own_learns_from_either_kind_of_labels(
    one_hot: bool, tmp_path: Path
) -> None:
    """It declares no inputs, is not compiled and gives logits: all is taken from the data."""
    x = np.random.default_rng(0).normal(size=(420, 6))
    labels = x[:, :3].argmax(axis=1)
    request = fed(
        "subclassed.py:build", tmp_path, splits(x, np.eye(3)[labels] if one_hot else labels)
    )
    epochs = trained(request, tmp_path, 8)["epochs"]
    assert epochs[-1]["test_accuracy"] > 0.6
    probabilities = np.load(tmp_path / "predictions.npz")["probabilities"]
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_two_classes_have_two_probabilities(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 200, (120, 20))
    request = fed("tokens.py:lstm", tmp_path, splits(x, (x[:, 0] > 100).astype(int)))
    trained(request, tmp_path, 1)
    assert np.load(tmp_path / "predictions.npz")["probabilities"].shape == (20, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": np.zeros((9, 7)), "x_test": np.zeros((9, 7))}, "x of shape 7 does not fit"),
        ({"y_train": np.zeros((9, 2)), "y_test": np.zeros((9, 2))}, "y of shape 2 does not fit"),
    ],
)
def test_data_that_does_not_fit_is_told(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    whole: dict[str, Any] = {"x_train": np.zeros((9, 8)), "x_test": np.zeros((9, 8))}
    whole |= {"y_train": np.zeros(9), "y_test": np.zeros(9)}
    with pytest.raises(DataError, match=words):
        description.describe(fed("table.py:build", tmp_path, whole | changes))


def test_a_class_that_the_model_does_not_know_is_told(tmp_path: Path) -> None:
    request = fed("colour.py:build", tmp_path, splits(np.zeros((29, 32, 32, 3)), np.arange(29)))
    with pytest.raises(DataError, match="y has classes 9 to 28, and the model"):
        description.describe(request)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("raise OSError('no such thing')", "the file raises OSError: no such thing"),
        ("def build(): raise ValueError('bad\\nthing')", "raises ValueError: bad thing"),
        ("def build(): return 3", "gives a int, where a Keras 3 model"),
        ("build = 3", "build is no function"),
        ("import sys; sys.exit(3)\ndef build(): ...", "the file raises SystemExit: 3"),
        (
            "import keras\ndef build(): return keras.Sequential([keras.layers.Dense(3)])",
            "does not say what it takes",
        ),
        ("import sys\ndef build(): sys.exit('bye')", "build() raises SystemExit: bye"),
        ("import nothing_like_it\ndef build(): ...", "name its package in BENCH_REQUIREMENTS"),
        (
            "import keras\ndef build():\n"
            "    return keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(2.0)])",
            "no weights that are trained",
        ),
        (
            "import keras\ndef build():\n"
            "    x = keras.Input((3,))\n"
            "    return keras.Model(x, keras.ops.argmax(keras.layers.Dense(2)(x), axis=-1))",
            "is int32, which nothing can be trained on",
        ),
        (
            "import keras\ndef build():\n"
            "    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])\n"
            "def compile_options(): return {'loss': ['mse', 'mae']}",
            "2 losses for 1 outputs",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        description.describe(ModelRequest("mine", f"{tmp_path / 'mine.py'}:build", "", ""))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_weight_that_is_given_a_seed_is_still_drawn_by_numpy(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import keras\n"
        "from keras import initializers, layers\n"
        "def build():\n"
        "    seeded = initializers.HeNormal(seed=3)\n"
        "    fixed = initializers.Constant(0.5)\n"
        "    return keras.Sequential([\n"
        "        keras.Input((4,)),\n"
        "        layers.Dense(5, kernel_initializer=seeded, bias_initializer=fixed),\n"
        "    ])\n",
        encoding="utf-8",
    )
    told = description.describe(ModelRequest("mine", f"{tmp_path / 'mine.py'}:build", "", ""))
    assert user_models.kept([told]) == (1,)


def test_a_weight_that_numpy_cannot_draw_is_shared_by_one_backend(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import keras\n"
        "class Exponential(keras.initializers.Initializer):\n"
        "    def __call__(self, shape, dtype=None):\n"
        "        return keras.ops.exp(keras.random.normal(shape))\n"
        "def build():\n"
        "    layer = keras.layers.Dense(5, kernel_initializer=Exponential())\n"
        "    return keras.Sequential([keras.Input((4,)), layer])\n",
        encoding="utf-8",
    )
    arrays = splits(np.zeros((60, 4)), np.zeros((60, 5)))
    request = fed(str(tmp_path / "mine.py:build"), tmp_path, arrays)
    told = description.describe(request)
    assert user_models.shared([told, told]) == (0,)
    path = tmp_path / "shared.npz"
    description.share(request, user_models.shared([told, told]), 2, str(path))
    drawn = np.load(path)
    request = replace(request, kept=user_models.kept([told, told]), shared=str(path))
    for seed in range(2):
        keras.utils.set_random_seed(7)
        kernel, bias = initial_weights.initial(building.build(request, None).model, seed, request)
        assert np.array_equal(kernel, drawn[f"{seed}.0"])
        assert (kernel > 0).all()
        assert not bias.any()
    assert not np.array_equal(drawn["0.0"], drawn["1.0"])


def test_examples_are_taken_in_the_structure_that_the_model_declares(tmp_path: Path) -> None:
    request = fed("two.py:build", tmp_path)
    examples: Examples = building.examples(request)["test"]
    built = building.build(request, examples)
    x, y = built.x(examples), built.y(examples)
    assert {name: array.shape for name, array in x.items()} == {
        "image": (8, 16, 16, 1),
        "table": (8, 5),
    }
    assert {name: array.shape for name, array in y.items()} == {"kind": (8,), "size": (8, 1)}
