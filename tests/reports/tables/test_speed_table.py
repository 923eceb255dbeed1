from pathlib import Path

import pandas as pd
import pytest

from reports.read import shards
from reports.tables import accuracy, cells, columns, samples, speed
from tests.support.stored_runs import accuracy_payload, failed_payload, store_run


def table_of(folder: Path) -> pd.DataFrame:
    found = shards.read([folder])
    return speed.table(found, accuracy.table(found), samples.collect(found), cells.collect(found))


def test_a_row_is_the_median_over_launches_of_the_median_epoch(tmp_path: Path) -> None:
    payloads = [accuracy_payload("jax", seed=seed) for seed in range(3)]
    for payload, seconds in zip(payloads, (10.0, 12.0, 90.0), strict=True):
        for epoch in payload["training"]["epochs"]:
            epoch["train_seconds"] = seconds
        payload["training"]["peak_rss_mib"] = 500 + seconds
        payload["wall_seconds"] = 200.0
    run_folder = store_run(tmp_path, payloads)
    (row,) = table_of(run_folder.path).to_dict("records")
    assert list(row) == list(columns.dtypes("speed"))
    assert row["images_per_second"] == 60_000 / 12
    assert row["ms_per_step"] == pytest.approx(12_000 / 300)
    assert (row["launches"], row["rounds"]) == (3, 6)
    assert row["peak_rss_mib"] == 590
    assert (row["import_seconds"], row["first_step_seconds"]) == (3, 2)
    assert (row["phase"], row["batch_size"], row["status"]) == ("train", 200, "ok")


def test_no_interval_is_claimed(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax")])
    table = table_of(run_folder.path)
    assert table[["low", "high"]].isna().all(axis=None)


def test_a_failed_backend_is_a_row_without_numbers(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax"), failed_payload("torch")])
    table = table_of(run_folder.path).set_index("lane")
    assert table.loc["torch", "status"] == "crashed"
    assert table.loc["torch", ["images_per_second", "peak_rss_mib"]].isna().all()
    assert table.loc["torch", "launches"] == 0


def test_one_failed_seed_is_not_hidden_by_a_good_one(tmp_path: Path) -> None:
    bad = failed_payload("jax")
    bad["cell"]["seed"] = 1
    run_folder = store_run(tmp_path, [accuracy_payload("jax"), bad])
    (row,) = table_of(run_folder.path).to_dict("records")
    assert row["status"] == "crashed"
    assert row["launches"] == 1


def test_a_missing_backend_is_a_row(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [], planned=[accuracy_payload("jax")])
    table = table_of(run_folder.path)
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("speed")
    assert table["status"].tolist() == ["missing"]
    assert table["launches"].tolist() == [0]


def test_a_diverged_backend_is_not_called_ok(tmp_path: Path) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax")], wrong=lambda _: 190)
    assert table_of(run_folder.path)["status"].tolist() == ["diverged"]
