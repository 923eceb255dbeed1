"""Models and data of the user's own, on this side of the workers."""

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.contract.errors import DataError, UsageError
from bench.inputs import user_models
from bench.inputs.datasets import read_npz
from bench.inputs.examples import Examples
from bench.planning import resolving
from bench.planning.options import NOT_GIVEN
from bench.planning.plan import Plan
from bench.session import stored_plan
from models.files import ModelFile
from tests.support.front_end import run_bench
from tests.support.stored_runs import kept

FakePython = Callable[[str], str]


def resolve(*files: str, **options: str) -> Plan:
    return resolving.resolve({**NOT_GIVEN, **options}, (), {}, files)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my model.py"
    path.write_text("def build(): ...\ndef other(): ...\nwide = build\n", encoding="utf-8")
    return path


def test_a_file_is_named_but_not_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    canary = tmp_path / "canary"
    path.write_text(f"open({str(canary)!r}, 'w')\ndef build(): ...\n", encoding="utf-8")
    planned = resolve(str(path))
    assert planned.models == ("mine",)
    assert planned.source("mine") == f"{path}:build"
    assert ModelFile.of_source(planned.source("mine")).path == path
    assert not canary.exists()


def test_functions_of_one_file_are_models_of_their_own(file: Path) -> None:
    planned = resolve(str(file), f"{file}:other", f"{file}:wide")
    assert planned.models == ("my_model", "my_model-other", "my_model-wide")
    assert planned.dataset == "drawn"
    assert planned.cells == ()
    assert len(planned.subjects) == 18  # stock and tuned: they have no native twins


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.py", None, "No such file or directory"),
        ("mine.txt", "", "whose name ends in .py"),
        ("mine.py", "x = ", "not Python, line 1"),
        ("mine.py", "def make(): ...", "no function build()"),
        ("mine.py", "\0", "not Python"),
        ("two_layer.py", "def build(): ...", "another model 'two_layer'"),
        ("fran\udce7ois.py", "def build(): ...", "rename it, its path is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_a_model_is_one_line(
    name: str, content: str | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"^--model: ") as caught:
        resolve(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shipped_models_and_own_ones_want_data_that_both_take(file: Path) -> None:
    with pytest.raises(UsageError, match="want data that both take"):
        resolve(str(file), models="single_layer")
    both = resolve(str(file), models="single_layer", dataset="digits")
    assert both.models == ("single_layer", "my_model")
    assert len(both.cells) == 6
    assert len(both.subjects) == 15  # no native twin of one of the two


@pytest.mark.parametrize("other", ["dataset", "mnist"])
def test_data_of_ones_own_contradicts_a_shipped_dataset(other: str, file: Path) -> None:
    with pytest.raises(UsageError, match=f"--data FILE and --{other} contradict"):
        resolve(str(file), data="x.npz", **{other: "digits"})


def test_a_run_goes_on_with_the_models_it_was_begun_with(file: Path) -> None:
    first = resolve(str(file))
    stored = kept(first, first.everything, dataset="drawn", epochs=10)
    options, environ, files, others = stored_plan.again(stored, {**NOT_GIVEN, "resume": "r"}, {})
    assert resolving.resolve(options, (), environ, files, others=others) == first
    with pytest.raises(UsageError, match="leave out --model"):
        stored_plan.again(stored, NOT_GIVEN, {}, [str(file)])
    file.write_text("def build(): return 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has changed since the run was begun"):
        stored_plan.again(stored, NOT_GIVEN, {})


def arrays(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "x_train": np.zeros((8, 3)),
        "y_train": np.arange(8),
        "x_test": np.ones((4, 3)),
        "y_test": np.arange(4),
    }
    return {name: array for name, array in (made | changes).items() if array is not None}


def test_a_dataset_is_kept_in_types_that_every_backend_knows(tmp_path: Path) -> None:
    np.savez(tmp_path / "my data.npz", **arrays())
    found = user_models.load(tmp_path / "my data.npz", tmp_path / "kept")
    assert (found.name, found.train_examples, found.test_examples) == ("my_data", 8, 4)
    assert (found.scale, found.is_drawn, found.shows_images) == (1, False, False)
    kept = read_npz(found.path)
    assert {name: array.dtype.name for name, array in kept.items()} == {
        "x_train": "float32",
        "y_train": "int32",
        "x_test": "float32",
        "y_test": "int32",
    }


def test_several_inputs_and_outputs_go_by_name(tmp_path: Path) -> None:
    named = {
        f"{axis}_{split}.{name}": np.zeros((size, 2))
        for split, size in (("train", 6), ("test", 3))
        for axis, names in (("x", ("image", "table")), ("y", ("kind",)))
        for name in names
    }
    np.savez(tmp_path / "d.npz", **named)  # type: ignore[arg-type]
    kept = read_npz(user_models.load(tmp_path / "d.npz", tmp_path / "kept").path)
    train = Examples.of(kept, "train")
    assert (list(train.inputs), list(train.targets), len(train)) == (
        ["image", "table"],
        ["kind"],
        6,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_test": None}, "no x_test"),
        ({"y_train": None, "labels": np.zeros(8)}, "an array 'labels'"),
        ({"y_train": np.arange(7)}, "train arrays have 7, 8 examples"),
        ({"x_train": np.zeros((0, 3)), "y_train": np.zeros(0)}, "train arrays have 0 examples"),
        ({"x_test": np.ones((4, 2))}, "x_train is float32 (8, 3), and x_test is float32 (4, 2)"),
        ({"x_test": np.ones((4, 3), int)}, "x_test is int32 (4, 3)"),
        ({"x_train": np.full((8, 3), np.nan)}, "no finite numbers"),
        ({"x_train": np.full((8, 3), 1e300)}, "no finite numbers"),
        ({"y_train": np.full(8, 2**40)}, "integers beyond 32 bits"),
        ({"x_train": np.array([["a"] * 3] * 8)}, "numbers are wanted"),
        ({"x_train": np.zeros((8, 3), complex)}, "numbers are wanted"),
        ({"x_train.a": np.zeros((8, 3))}, "x_train, x_train.a for training, and x_test"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_data_that_cannot_be_used_is_one_line(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "d.npz", **arrays(**changes))
    with pytest.raises(DataError) as caught:
        user_models.load(tmp_path / "d.npz", tmp_path / "kept")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_arrays_by_other_names_are_another_dataset(tmp_path: Path) -> None:
    port = {"name": "a", "shape": [3], "dtype": "float32", "values": None, "loss": "mse"}
    described: Any = {"inputs": [port], "outputs": [port]}
    one, other = (user_models.draw({name: described}, 4, tmp_path) for name in ("one", "other"))
    assert one.path != other.path
    assert "other/x_train" in read_npz(other.path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return open, (str(canary), "w")

    np.savez(tmp_path / "d.npz", **arrays(x_train=np.array([Bomb()], object)))
    raw = io.BytesIO()
    pickle.dump(Bomb(), raw)
    (tmp_path / "p.npz").write_bytes(raw.getvalue())
    for name in ("d.npz", "p.npz"):
        with pytest.raises(DataError, match="not a readable npz of plain arrays"):
            user_models.load(tmp_path / name, tmp_path / "kept")
    assert not canary.exists()


def test_a_dataset_of_ones_own_never_passes_for_mnist(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **arrays())
    assert user_models.load(tmp_path / "mnist.npz", tmp_path / "kept").name == "own-mnist"


def described(**weights: tuple[bool, bool, str]) -> Any:
    port = {"name": "a", "shape": [None, 2], "dtype": "float32", "values": None}
    return {
        "inputs": [port, {"name": "b", "shape": [3], "dtype": "int32", "values": 7}],
        "outputs": [
            {"name": "kind", "shape": [4], "dtype": "float32", "loss": "categorical_crossentropy"},
            {"name": "flag", "shape": [1], "dtype": "float32", "loss": "binary_crossentropy"},
            {"name": "size", "shape": [2], "dtype": "float32", "loss": "mse"},
        ],
        "weights": [
            {"path": path, "random": random, "drawn": drawn, "sha256": sha256}
            for path, (random, drawn, sha256) in weights.items()
        ],
    }


def test_drawn_data_is_what_the_model_declares_and_always_the_same(tmp_path: Path) -> None:
    found = user_models.draw({"m": described(), "n": described()}, 5, tmp_path)
    assert (
        found.sha256 == user_models.draw({"m": described(), "n": described()}, 5, tmp_path).sha256
    )
    assert (found.is_drawn, found.train_examples, found.test_examples) == (True, 10, 5)
    train = Examples.of(read_npz(found.path), "train", user_models.prefix("n"))
    assert train.inputs["a"].shape == (10, user_models.ANY_SIZE, 2)
    assert set(np.unique(train.inputs["b"])) <= set(range(7))
    assert train.targets["kind"].shape == (10,)
    assert set(np.unique(train.targets["kind"])) <= set(range(4))
    assert set(np.unique(train.targets["flag"])) <= {0, 1}
    assert train.targets["size"].dtype == np.float32


def test_data_is_drawn_for_as_many_models_as_are_given(tmp_path: Path) -> None:
    models = {f"m{number}": described() for number in range(40)}
    found = user_models.draw(models, 2, tmp_path)
    train = Examples.of(read_npz(found.path), "train", user_models.prefix("m39"))
    assert train.inputs["a"].shape == (4, user_models.ANY_SIZE, 2)


def test_who_draws_a_weight() -> None:
    """Random ones NumPy, if it can; what differs between backends, one of them for all."""
    one = described(
        drawn=(True, True, "a"),
        fixed=(False, False, "b"),
        odd=(True, False, "c"),
        pre=(False, True, "d"),
    )
    other = described(
        drawn=(True, True, "x"),
        fixed=(False, False, "b"),
        odd=(True, False, "y"),
        pre=(False, True, "z"),
    )
    assert user_models.kept([one, other]) == (1, 2, 3)
    assert user_models.shared([one, other]) == (2, 3)
    assert user_models.shared([one]) == ()


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        ("bad_model", 2, "error: --model: tensorflow on cpu: mine: build() raises ValueError: no"),
        ("bad_data", 5, "error: mine: tensorflow on cpu: x of shape 8x8x1 does not fit"),
        ("dies_building", 4, "error: tensorflow on cpu: left with exit code 3 while it built mine"),
    ],
)
def test_what_no_backend_can_use_ends_the_run_with_one_line(
    behaviour: str, code: int, words: str, fake_python: FakePython, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def build(): ...\n", encoding="utf-8")
    workers = dict.fromkeys(("tensorflow", "jax"), fake_python(behaviour))
    model = f"--model={tmp_path / 'mine.py'}"
    told = run_bench(tmp_path / "r", workers, model, "-k", "speed")
    assert told.returncode == code, told.stdout + told.stderr
    assert words in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


def test_a_model_that_takes_one_backend_down_is_a_row_and_the_others_go_on(
    fake_python: FakePython, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def build(): ...\n", encoding="utf-8")
    workers = {"tensorflow": fake_python("good"), "jax": fake_python("dies_building")}
    options = [f"--model={tmp_path / 'mine.py'}", "-k", "accuracy", "--suite", "smoke"]
    told = run_bench(tmp_path / "r", workers, *options, images(tmp_path, 64, 32))
    assert told.returncode == 4, told.stdout + told.stderr
    assert "jax on cpu: left with exit code 3 while it built mine" in told.stdout


def test_without_data_there_is_no_training_to_select(file: Path, tmp_path: Path) -> None:
    told = run_bench(tmp_path / "r", {}, f"--model={file}", "-k", "accuracy")
    assert told.returncode == 2
    assert "without --data there is nothing to train on" in told.stderr


def images(folder: Path, train: int, test: int) -> str:
    """An option that names data of so many images of ten classes."""
    pixels, labels = np.zeros((train, 28, 28, 1), np.uint8), np.arange(train) % 10
    whole = {"x_train": pixels, "y_train": labels, "x_test": pixels[:test], "y_test": labels[:test]}
    np.savez(folder / "d.npz", **whole)  # type: ignore[arg-type]
    return f"--data={folder / 'd.npz'}"


def test_a_model_that_takes_batches_of_one_size_is_asked_in_no_other(
    fake_python: FakePython, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def build(): ...\n", encoding="utf-8")
    workers = {"jax": fake_python("batches_of_20")}
    options = [f"--model={tmp_path / 'mine.py'}", "-k", "test_speed or test_accuracy"]
    options += ["--suite", "smoke"]
    told = run_bench(tmp_path / "r", workers, *options, images(tmp_path, 60, 20))
    assert (told.returncode, told.stderr) == (
        2,
        "error: mine takes batches of 20 alone; give --batch-size 20\n",
    )
    told = run_bench(
        tmp_path / "r", workers, *options, images(tmp_path, 70, 20), "--batch-size", "20"
    )
    assert told.returncode == 5
    assert "there are 70 training and 20 test examples; leave out the last ones" in told.stderr
    told = run_bench(
        tmp_path / "r", workers, *options, images(tmp_path, 60, 20), "--batch-size", "20"
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "mine takes batches of 20 alone, and is timed so" in told.stdout
    speed = pd.read_csv(tmp_path / "r" / "latest" / "tables" / "speed.csv")
    assert set(speed["batch_size"]) == {20}  # and no latency
    assert set(speed["phase"]) == {"train", "evaluate", "predict"}


def test_data_of_ones_own_is_trained_on_and_reported(
    fake_python: FakePython, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def build(): ...\n", encoding="utf-8")
    workers = dict.fromkeys(("tensorflow", "jax"), fake_python("good"))
    options = [f"--model={tmp_path / 'mine.py'}", images(tmp_path, 64, 32)]
    told = run_bench(tmp_path / "r", workers, *options)
    assert told.returncode == 0, told.stdout + told.stderr
    assert re.search(r"model +TensorFlow 1.0.0 +JAX 1.0.0 *\nmine +6\.25 % +6\.25 %", told.stdout)
    page = (tmp_path / "r" / "latest" / "report.html").read_text()
    assert "dataset d (64 training and 32 test examples)" in page
