"""What was learned, as tables: curves, confusions, disagreements, and the images behind them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.coordinator.run_folder import RunFolder
from reports.parity import divergence
from reports.read import shards
from reports.tables import curves, predictions
from tests.support import golden
from tests.support.stored_runs import (
    LABELS,
    PROTOCOL,
    accuracy_payload,
    failed_payload,
    keep,
    store_run,
)

ORIGIN = {"dataset": PROTOCOL["dataset"], "dataset_sha256": PROTOCOL["dataset_sha256"]}


def test_curves_add_up_the_seconds_of_training(tmp_path: Path) -> None:
    payloads = [accuracy_payload("jax"), failed_payload("torch")]
    payloads[0]["training"]["epochs"][1] |= {"test_accuracy": 0.99, "train_loss": None}
    table = curves.table(shards.read([store_run(tmp_path, payloads).path]))
    assert list(table["trained_seconds"]) == [10.0, 40.0]
    assert list(table["error_percent"]) == pytest.approx([6.25, 1.0])
    assert table["train_loss"].isna().tolist() == [False, True]
    seconds = {
        error: curves.seconds_until(table, error)["seconds"].iloc[0] for error in (7.0, 2.0, 0.5)
    }
    assert seconds[7.0] == 10.0
    assert seconds[2.0] == 40.0
    assert np.isnan(seconds[0.5])


def test_confusion_counts_every_image_of_every_seed(tmp_path: Path) -> None:
    payloads = [accuracy_payload("jax", seed=seed) for seed in (0, 1)]
    found = shards.read([store_run(tmp_path, payloads, wrong=lambda _: 3).path])
    table = predictions.confusion(found)
    matrix = table.pivot_table(index="label", columns="answer", values="count").to_numpy()
    assert matrix.sum() == 2 * len(LABELS)
    assert np.trace(matrix) == 2 * (len(LABELS) - 3)
    assert matrix[0, 1] == matrix[1, 2] == matrix[2, 3] == 2  # the first three, answered one higher


def test_confusion_of_very_many_classes_is_no_table(tmp_path: Path) -> None:
    """It would have a row for each pair of them."""
    found = shards.read([store_run(tmp_path, [accuracy_payload("jax")]).path])
    (shard,) = found.accuracy
    for classes, rows in ((100, 10_000), (101, 0)):
        answers = np.zeros((len(LABELS), classes), np.float32)
        many = replace(
            found, accuracy=[replace(shard, arrays={**shard.arrays, "probabilities": answers})]
        )
        assert len(predictions.confusion(many)) == rows


def test_disagreements_are_of_one_seed_that_all_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [accuracy_payload("jax", seed=seed) for seed in (0, 1)]
    payloads.append(accuracy_payload("torch", seed=1))
    wrong = {"jax": 2, "torch": 4}
    found = shards.read([store_run(tmp_path, payloads, wrong=lambda c: wrong[c["lane"]]).path])
    table = predictions.disagreements(found)
    assert set(table["seed"]) == {1}
    assert set(table["image"]) == {2, 3}
    torch = table[table["lane"] == "torch"]
    assert list(torch["answer"] - torch["label"]) == [1, 1]
    assert list(torch["probability"]) == pytest.approx([0.91, 0.91])
    monkeypatch.setattr(predictions, "MOST_IMAGES", 1)
    assert set(predictions.disagreements(found)["image"]) == {2}
    alone = shards.read([store_run(tmp_path, payloads[:1]).path])
    assert predictions.disagreements(alone).empty


def test_divergence_is_in_the_units_of_its_envelope() -> None:
    table = golden.loaded().divergence
    torch = table[(table["lane"] == "torch") & (table["model"] == "two_layer")]
    assert list(torch["step"]) == [1, 2, 5]
    # 3e-6 on each of 15 weights; both weights' envelopes are 4e-6 wide.
    assert torch["distance"].iloc[0] == pytest.approx(3e-6 * 15**0.5, rel=0.1)
    assert torch["envelope"].iloc[0] == pytest.approx(4e-6 * 2**0.5)
    assert divergence.table(shards.Shards()).empty


def with_images(folder: Path, origin: dict[str, Any], images: Any) -> shards.Shards:
    run_folder: RunFolder = store_run(folder, [accuracy_payload("jax")])
    keep(run_folder, "images", "images", origin, {"images": images})
    return shards.read([run_folder.path])


def test_images_are_those_of_the_dataset(tmp_path: Path) -> None:
    pixels = np.zeros((len(LABELS), 4, 4, 1), np.uint8)
    found = with_images(tmp_path, ORIGIN, pixels)
    assert found.problems == []
    assert found.images[str(PROTOCOL["dataset_sha256"])].shape == pixels.shape


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (np.zeros((3, 4, 4, 1), np.uint8), "shape"),
        (np.zeros((200, 4, 4, 2), np.uint8), "shape"),
        (np.zeros((200, 1, 1001, 1), np.uint8), "shape"),
        (np.zeros((200, 4, 4), np.uint8), "no images"),
        (np.zeros((200, 4, 4, 1), np.float32), "no images"),
        (np.zeros((200, 0, 4, 1), np.uint8), "no images"),
    ],
)
def test_other_images_are_rejected(tmp_path: Path, images: Any, why: str) -> None:
    found = with_images(tmp_path, ORIGIN, images)
    assert len(found.problems) == 1
    assert why in found.problems[0]
    assert found.images == {}


def test_images_of_another_dataset_are_rejected(tmp_path: Path) -> None:
    pixels = np.zeros((len(LABELS), 4, 4, 1), np.uint8)
    found = with_images(tmp_path, ORIGIN | {"dataset_sha256": "e" * 64}, pixels)
    assert "another dataset" in found.problems[0]
