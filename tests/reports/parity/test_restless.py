"""Models that draw when they predict, and such that compute in half precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.judging import answers, comparison
from reports.judging.screen import screen
from reports.parity import table as parity
from reports.read import shards
from reports.tables import seeds
from tests.support.stored_answers import store_answers

Payload = dict[str, Any]


def draws(payload: Payload, arrays: Payload) -> None:
    payload["facts"]["identity"]["restless"] = ["logits", "probabilities"]
    for name, array in arrays.items():
        if not name.startswith("identity.") and not name.endswith(".layer0"):
            arrays[name] = array + 1


def tabled(folder: Path) -> pd.DataFrame:
    found = shards.read([folder])
    assert found.problems == []
    return parity.table(found, seeds.pairs_table(found))


def test_what_comes_after_a_draw_is_not_compared_for_any_backend(tmp_path: Path) -> None:
    table = tabled(store_answers(tmp_path, torch=draws).path)
    assert set(table["status"]) == {"pass", "warn"}
    odd = table[table["status"] == "warn"]
    assert set(odd["lane"]) == {"tensorflow", "jax", "torch"}
    assert set(odd["quantity"]) == {
        "the model draws at random when it predicts: not compared from there on"
    }
    # What comes before it is.
    assert set(table["rung"]) == {"P0", "P1", "P2"}
    assert "hidden" in set(table["quantity"])


def test_a_layer_before_the_draw_is_judged_all_the_same(tmp_path: Path) -> None:
    def wrong(payload: Payload, arrays: Payload) -> None:
        draws(payload, arrays)
        arrays["forward.odd33.layer0"] = 2 * arrays["forward.odd33.layer0"]

    table = tabled(store_answers(tmp_path, torch=wrong).path)
    failed = table[table["status"] == "fail"]
    assert failed[["lane", "quantity"]].to_numpy().tolist() == [["torch", "hidden"]]


def test_the_screen_says_so(tmp_path: Path) -> None:
    found = comparison.compare(shards.read([store_answers(tmp_path, torch=draws).path]))
    (answer,) = answers.answers(found)
    assert answer.same == "in part"
    assert any("draws at random when it predicts" in note.text for note in screen(found).notes)


def half(error: float) -> Any:
    def change(payload: Payload, arrays: Payload) -> None:
        payload["facts"]["identity"]["precision"] = "bfloat16"
        for name, array in arrays.items():
            if name.startswith("forward."):
                arrays[name] = np.float32((1 + error) * array)

    return change


def test_half_precision_is_judged_by_its_own_rounding(tmp_path: Path) -> None:
    good = tabled(store_answers(tmp_path / "a", torch=half(0.01)).path)
    own = good[good["lane"] == "torch"]
    assert set(own["status"]) == {"pass", "warn"}
    warned = own.loc[own["status"] == "warn", "quantity"].to_list()
    assert warned == [
        "computes in bfloat16: answers agree to 0.39 % and no better, and are judged by that"
    ]
    bad = tabled(store_answers(tmp_path / "b", torch=half(0.1)).path)
    assert "hidden" in set(bad.loc[bad["status"] == "fail", "quantity"])


def test_an_error_of_float32_is_no_error_of_half_precision(tmp_path: Path) -> None:
    """The same numbers, of a model that does not compute in half precision."""

    def change(payload: Payload, arrays: Payload) -> None:
        half(0.01)(payload, arrays)
        del payload["facts"]["identity"]["precision"]

    table = tabled(store_answers(tmp_path, torch=change).path)
    assert "hidden" in set(table.loc[table["status"] == "fail", "quantity"])


def moves(factor: float) -> Any:
    """One whose logits are others at another place of the batch, as they are times `factor`."""

    def change(payload: Payload, arrays: Payload) -> None:
        payload["facts"]["identity"]["moved"] = ["logits", "probabilities"]
        for name in ("forward.odd33.logits", "forward.odd33.probabilities"):
            arrays[name] = factor * arrays[name]

    return change


def test_what_is_drawn_from_a_constant_seed_is_another_number_under_each_backend(
    tmp_path: Path,
) -> None:
    three = {"tensorflow": moves(-1), "jax": moves(2), "torch": moves(3)}
    table = tabled(store_answers(tmp_path, **three).path)
    assert set(table["status"]) == {"pass", "warn"}
    assert set(table["rung"]) == {"P0", "P1", "P2"}


def test_examples_that_depend_on_each_other_are_compared(tmp_path: Path) -> None:
    three = {"tensorflow": moves(1), "jax": moves(1), "torch": moves(2)}
    table = tabled(store_answers(tmp_path, **three).path)
    assert set(table.loc[table["status"] == "fail", "lane"]) == {"torch"}
