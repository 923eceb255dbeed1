import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.judging import lane_lines, notes
from reports.read import shards
from reports.tables import cells, columns, costs, samples
from reports.tables.costs import break_even
from tests.support.stored_launches import Truth, launch_payload, store_launches
from tests.support.stored_runs import BACKENDS, accuracy_payload, failed_payload, store_run


@pytest.mark.parametrize(
    ("start", "epoch", "other_start", "other_epoch", "expected"),
    [
        (10, 2, 4, 5, 2),  # 10 + 2 * 2 = 4 + 5 * 2
        (10, 2, 4, 2.5, 12),  # 10 + 2 * 12 = 4 + 2.5 * 12
        (4, 2, 10, 5, 0),
        (4, 2, 10, 2, 0),
        (4, 5, 10, 2, math.inf),  # ahead at first, but not for good
        (10, 5, 4, 5, math.inf),
        (10, 5, 4, 2, math.inf),
        (4, 5, 4, 5, 0),
    ],
)
def test_a_slow_start_has_paid_after_so_many_epochs(
    start: float, epoch: float, other_start: float, other_epoch: float, expected: float
) -> None:
    assert break_even(start, epoch, other_start, other_epoch) == expected


SECONDS = st.floats(0.001, 1e4)


@given(SECONDS, SECONDS, SECONDS, SECONDS)
def test_after_the_break_even_it_is_ahead_and_before_it_is_not(
    start: float, epoch: float, other_start: float, other_epoch: float
) -> None:
    epochs = break_even(start, epoch, other_start, other_epoch)
    later = 1.01 * epochs if math.isfinite(epochs) else 1e9
    ahead = start + later * epoch <= other_start + later * other_epoch + 1e-9
    assert ahead or math.isinf(epochs)
    if 0 < epochs < math.inf:
        sooner = 0.99 * epochs
        assert start + sooner * epoch >= other_start + sooner * other_epoch - 1e-9


def frames(folder: Path) -> tuple[shards.Shards, pd.DataFrame, samples.Samples]:
    found = shards.read([folder])
    assert found.problems == []
    return found, cells.collect(found), samples.collect(found)


def test_the_parts_of_a_cell_sum_up_to_its_wall_time(tmp_path: Path) -> None:
    _, trained, measured = frames(store_run(tmp_path, [accuracy_payload("jax")]).path)
    table = costs.table(trained, measured)
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("costs")
    (row,) = table.to_dict("records")
    assert row["start_seconds"] == 0.5
    assert row["feed_seconds"] == 0.5
    assert row["train_seconds"] == 40
    assert row["evaluation_seconds"] == 2
    # 0.5 + 3 + 0.75 + 0.5 + 2 + 0.125 + 0.5 + 40 + 2
    assert row["other_seconds"] == pytest.approx(52 - 49.375)
    assert row["explained_percent"] == pytest.approx(100 * 49.375 / 52)
    assert sum(row[part] for part in costs.PARTS) + row["other_seconds"] == row["wall_seconds"]
    assert np.isnan(row["epoch_seconds_predicted"])


def test_a_row_sums_up_over_several_seeds_too(tmp_path: Path) -> None:
    payloads = [accuracy_payload("jax", seed=seed) for seed in range(3)]
    for payload, extra in zip(payloads, (0.0, 7.0, 2.0), strict=True):
        payload["training"]["first_step_seconds"] += extra
        payload["wall_seconds"] += extra
        payload["worker"]["import_seconds"] += 8 - extra
    _, trained, measured = frames(store_run(tmp_path, payloads).path)
    (row,) = costs.table(trained, measured).to_dict("records")
    assert row["first_step_seconds"] == 4
    assert sum(row[part] for part in costs.PARTS) + row["other_seconds"] == pytest.approx(
        row["wall_seconds"]
    )


def test_slots_foretell_an_epoch(tmp_path: Path) -> None:
    """TensorFlow: 0.1 s for the fit and 300 steps of 4 ms are 1.3 s."""
    trained = [accuracy_payload(backend) for backend in BACKENDS]
    for payload, seconds in zip(trained, (1.3, 2.41, 6.0), strict=True):
        for epoch in payload["training"]["epochs"]:
            epoch["train_seconds"] = seconds
            epoch["steal_seconds"] = 0.05 * seconds * 2  # of two cores
    launches = [launch_payload(number, twin="jax") for number in (1, 2, 3)]
    found, rows, measured = frames(store_launches(tmp_path, launches, trained).path)
    table = costs.table(rows, measured).set_index("lane")
    assert table.loc["tensorflow", "steady_step_ms"] == pytest.approx(4)
    assert table.loc["tensorflow", "fixed_ms_per_fit"] == pytest.approx(100)
    assert table["epoch_seconds_predicted"].to_dict() == {
        "tensorflow": pytest.approx(1.3),
        "jax": pytest.approx(2.41),
        "torch": pytest.approx(3.0),
    }
    assert table["difference_percent"].to_dict() == {
        "tensorflow": pytest.approx(0),
        "jax": pytest.approx(0),
        "torch": pytest.approx(100),
    }
    assert table["steal_percent"].to_list() == pytest.approx([5.0] * 3)
    (note,) = notes._disagreements(found, table.reset_index(), notes.judge(found, measured))
    assert "): single_layer torch 20,000 and 10,000 (5.0 %). " in note
    assert note.endswith("(noise: quiet).")


def test_the_break_even_of_two_backends(tmp_path: Path) -> None:
    slow_start, other = accuracy_payload("jax"), accuracy_payload("torch")
    slow_start["training"]["first_step_seconds"] = 12.0  # 10 s more, up to the first step
    for payload, seconds in ((slow_start, 10.0), (other, 14.0)):
        for epoch in payload["training"]["epochs"]:
            epoch["train_seconds"] = seconds
    folder = store_run(tmp_path, [slow_start, other]).path
    table = costs.break_even_table(cells.collect(shards.read([folder])))
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("break_even")
    overtakes, never = table.to_dict("records")
    assert (overtakes["lane"], overtakes["baseline"]) == ("jax", "torch")
    assert overtakes["start_seconds"] == 0.5 + 3 + 0.75 + 0.5 + 12
    assert overtakes["epoch_seconds"] == 10 + 0.25 + 1
    assert (overtakes["epochs"], overtakes["steps"]) == (2.5, 750)
    assert (overtakes["verdict"], never["verdict"]) == ("overtakes", "never")
    assert np.isnan(never["epochs"])


def test_one_that_is_ahead_from_the_start(tmp_path: Path) -> None:
    slow = accuracy_payload("torch")
    slow["training"]["first_step_seconds"] = 20.0
    slow["training"]["epochs"][0]["train_seconds"] = 50.0
    slow["wall_seconds"] = 120.0
    folder = store_run(tmp_path, [accuracy_payload("jax"), slow]).path
    table = costs.break_even_table(cells.collect(shards.read([folder])))
    assert table["verdict"].tolist() == ["from_start", "never"]
    assert table["steps"].tolist()[0] == 0


def test_failed_cells_have_no_costs(tmp_path: Path) -> None:
    _, trained, measured = frames(store_run(tmp_path, [failed_payload("jax")]).path)
    table = costs.table(trained, measured)
    assert table.empty
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("costs")
    empty = costs.break_even_table(trained)
    assert empty.dtypes.astype(str).to_dict() == columns.dtypes("break_even")


def costly(launch: int) -> dict[str, Any]:
    """A lane that takes 1.2 times the memory and as long to import, each launch a little other."""
    payload = launch_payload(launch, truth={"jax": Truth(0.01), "jax@2": Truth(0.01)})
    for record, factor, size in zip(payload["lanes"], (1.0, 1.2), (100.0, 150.0), strict=True):
        noise = 1 + 0.001 * launch * (factor > 1)
        record["peak_rss_mib"] = 500 * factor * noise
        record["worker"] |= {"import_seconds": 2 * noise, "installed_mib": size}
        record["preparations"][0]["costs"]["first_step_seconds"] = factor * launch
    return payload


def test_what_a_lane_costs_stands_beside_what_its_backend_does(tmp_path: Path) -> None:
    found, _, measured = frames(store_launches(tmp_path, [costly(n) for n in (1, 2, 3, 4)]).path)
    table = costs.lanes_table(found, measured)
    rows = {row["cost"]: row for row in table.to_dict("records")}
    assert set(table["lane"]) == {"jax@2"}
    assert {cost: row["verdict"] for cost, row in rows.items()} == {
        "import_seconds": "equivalent",
        "peak_rss_mib": "more",
        "installed_mib": "indicative",
        "first_step_seconds": "indicative",
    }
    memory = rows["peak_rss_mib"]
    assert memory["low"] < 1.2 * 1.0025 < memory["high"] < 1.21
    # Of the launch that compiled; the others' first steps do not.
    first = rows["first_step_seconds"]
    told = ("value", "before", "launches", "model")
    assert [first[name] for name in told] == [1.2, 1.0, 1, "single_layer"]
    (line,) = lane_lines.cost_lines(table)
    assert line.text.startswith("JAX@2 beside JAX: its import takes 1.00 times as long (1.00 to")
    assert line.text.endswith("150 MiB are installed for 100.")


def test_backends_as_pinned_have_no_such_costs(tmp_path: Path) -> None:
    found, _, measured = frames(store_launches(tmp_path, [launch_payload(1)]).path)
    assert costs.lanes_table(found, measured).empty
