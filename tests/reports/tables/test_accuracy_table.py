from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from reports.read import shards
from reports.tables import accuracy, columns, comparable
from tests.support.stored_runs import (
    BACKENDS,
    LABELS,
    accuracy_payload,
    failed_payload,
    predictions,
    store_run,
)


def read(*folders: Path) -> shards.Shards:
    found = shards.read(folders)
    assert found.problems == []
    return found


def test_scores_agree_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(200, 10))
    probabilities = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    loss, correct = accuracy.score(probabilities, LABELS)
    exact = probabilities.astype(np.float64)
    assert loss == pytest.approx(log_loss(LABELS, exact / exact.sum(1, keepdims=True)), rel=1e-6)
    assert correct / 200 == accuracy_score(LABELS, probabilities.argmax(1))


def test_a_sure_and_wrong_answer_costs_what_keras_says() -> None:
    probabilities = np.eye(10, dtype=np.float32)[(LABELS + 1) % 10]
    loss, correct = accuracy.score(probabilities, LABELS)
    assert loss == pytest.approx(-np.log(1e-7))
    assert correct == 0


def test_a_row_is_computed_from_the_stored_predictions(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax")], wrong=lambda _: 3)
    (row,) = accuracy.table(read(run_folder.path)).to_dict("records")
    assert list(row) == list(columns.dtypes("accuracy"))
    assert (row["correct"], row["total"]) == (197, 200)
    assert row["error_percent"] == pytest.approx(1.5)
    assert row["test_accuracy"] == pytest.approx(0.985)
    assert row["test_loss"] == pytest.approx(-(197 * np.log(0.91) + 3 * np.log(0.01)) / 200, 1e-5)
    assert row["train_seconds"] == 40
    assert row["images_per_second"] == 2 * 60_000 / 40
    assert (row["dataset"], row["epochs"], row["status"]) == ("mnist", 2, "ok")


def test_what_was_planned_and_is_not_there_is_a_row(tmp_path: Path) -> None:
    planned = [accuracy_payload(backend) for backend in BACKENDS]
    run_folder = store_run(tmp_path, [planned[0], failed_payload("torch")], planned=planned)
    table = accuracy.table(read(run_folder.path)).set_index("lane")
    assert table["status"].to_dict() == {"jax": "missing", "tensorflow": "ok", "torch": "crashed"}
    assert table.loc[["jax", "torch"], "error_percent"].isna().all()


def test_what_is_required_and_was_not_even_planned_is_a_row(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax")])
    table = accuracy.table(read(run_folder.path), ["jax", "torch"]).set_index("lane")
    assert table["status"].to_dict() == {"jax": "ok", "torch": "missing"}


@pytest.mark.parametrize("wrong", [180, 200])
def test_a_model_that_learned_nothing_has_diverged(tmp_path: Path, wrong: int) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax")], wrong=lambda _: wrong)
    (row,) = accuracy.table(read(run_folder.path)).to_dict("records")
    assert row["status"] == "diverged"


def test_what_a_model_of_ones_own_can_learn_nobody_knows(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax")], wrong=lambda _: 200, **own_model())
    (row,) = accuracy.table(read(run_folder.path)).to_dict("records")
    assert row["status"] == "ok"


def test_a_loss_that_is_no_number_has_diverged(tmp_path: Path) -> None:
    payload = accuracy_payload("jax")
    payload["training"]["epochs"][-1]["train_loss"] = None
    run_folder = store_run(tmp_path, [payload])
    (row,) = accuracy.table(read(run_folder.path)).to_dict("records")
    assert row["status"] == "diverged"


def test_an_empty_run_has_a_table(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [], planned=[accuracy_payload("jax")])
    table = accuracy.table(read(run_folder.path))
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("accuracy")
    assert table["status"].tolist() == ["missing"]


def test_runs_of_one_backend_each_may_be_compared(tmp_path: Path) -> None:
    folders = [store_run(tmp_path, [accuracy_payload(name)]).path for name in BACKENDS]
    found = read(*folders)
    comparable.check(found)
    assert accuracy.table(found, BACKENDS)["status"].tolist() == ["ok"] * 3


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("training", "weights_sha256", "e" * 64, "initial weights differ"),
        ("training", "batches_sha256", "e" * 64, "batches differ"),
        ("protocol", "dataset", "digits", "datasets differ"),
        ("protocol", "dataset_sha256", "e" * 64, "dataset hashes differ"),
        ("worker", "versions", {"keras": "3.14.0", "jax": "1", "numpy": "2", "python": "3"}, "Ker"),
        ("training", "steps", 300, "protocols differ"),
    ],
)
def test_other_inputs_are_never_compared(
    tmp_path: Path, part: str, key: str, value: object, words: str
) -> None:
    other = accuracy_payload("jax")
    other[part][key] = value
    if key == "steps":  # half the examples, and therefore half the steps
        other["protocol"]["train_examples"] = 30_000
    runs = [store_run(tmp_path, [payload]).path for payload in (accuracy_payload("torch"), other)]
    with pytest.raises(comparable.NotComparableError, match=words) as caught:
        comparable.check(read(*runs))
    assert "jax" in str(caught.value)


def test_other_labels_are_never_compared(tmp_path: Path) -> None:
    """Of one dataset by name and hash; whose they are cannot be told."""
    found = read(store_run(tmp_path, [accuracy_payload(name) for name in ("jax", "torch")]).path)
    comparable.check(found)
    one, other = found.accuracy
    assert one.labels is not None
    lying = replace(
        found,
        accuracy=[one, replace(other, arrays={**other.arrays, "labels": one.labels[::-1].copy()})],
    )
    with pytest.raises(comparable.NotComparableError, match="test labels differ"):
        comparable.check(lying)


def test_other_protocols_are_not_averaged_over_seeds(tmp_path: Path) -> None:
    other = accuracy_payload("jax", seed=1)
    other["protocol"] |= {"dataset": "digits"}
    folders = [store_run(tmp_path, [p]).path for p in (accuracy_payload("jax"), other)]
    with pytest.raises(comparable.NotComparableError, match="datasets differ"):
        comparable.check(read(*folders))


def own_model(**changes: Any) -> dict[str, Any]:
    """The plan's record of a user's model that has the name of the stored cells'."""
    model = accuracy_payload("jax")["cell"]["model"]
    file = {"name": model, "path": "mine.py", "function": "build", "sha256": "a" * 64}
    return {"own_models": [file | changes]}


def test_models_of_one_name_and_two_files_are_never_merged(tmp_path: Path) -> None:
    def merged(*plans: dict[str, Any]) -> None:
        backends = ("jax", "torch")
        folders = [
            store_run(tmp_path, [accuracy_payload(backend)], **plan).path
            for backend, plan in zip(backends, plans, strict=True)
        ]
        comparable.check(read(*folders))

    merged(own_model(), own_model(path="elsewhere/mine.py"))
    for other in (own_model(sha256="b" * 64), own_model(function="wide"), {}):
        with pytest.raises(comparable.NotComparableError, match="is another model in run"):
            merged(own_model(), other)


def test_seeds_have_their_own_weights_and_batches(tmp_path: Path) -> None:
    other = accuracy_payload("jax", seed=1)
    other["training"] |= {"weights_sha256": "e" * 64, "batches_sha256": "f" * 64}
    comparable.check(read(store_run(tmp_path, [accuracy_payload("jax"), other]).path))


def test_a_cell_that_stands_in_two_runs_is_refused(tmp_path: Path) -> None:
    folders = [store_run(tmp_path, [accuracy_payload("jax")]).path for _ in range(2)]
    with pytest.raises(comparable.NotComparableError, match="stands in two runs"):
        comparable.check(read(*folders))


def test_a_failed_cell_does_not_stop_the_comparison(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax"), failed_payload("torch")])
    comparable.check(read(run_folder.path))


def test_predictions_helper_is_what_it_says() -> None:
    assert (predictions(7).argmax(1) != LABELS).sum() == 7
