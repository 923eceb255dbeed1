"""The parity table and what is told of it, from stored answers, honest and hostile."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.judging import notes, parity_lines, sections
from reports.ladder import consistency_rung
from reports.parity import table as parity
from reports.read import shards
from reports.tables import columns, comparable, seeds
from tests.support.stored_answers import MODEL, crash, oracle_answers, store_answers
from tests.support.stored_runs import PROTOCOL, accuracy_payload, store_run

Payload = dict[str, Any]


def tabled(*folders: Path) -> tuple[pd.DataFrame, shards.Shards]:
    found = shards.read(folders)
    comparable.check(found)
    return parity.table(found, seeds.pairs_table(found)), found


def odd(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(
        table[table["status"] != "pass"][["lane", "rung", "quantity"]].itertuples(
            index=False, name=None
        )
    )


def verdicts(table: pd.DataFrame) -> list[str]:
    return [note.text for note in parity_lines.verdicts(parity.summary(table), table)]


def certified(table: Any, *backends: str) -> str:
    return parity.certified(
        parity.certificates(table), [(MODEL, "stock", backend, "cpu") for backend in backends]
    )


def test_backends_that_answer_as_the_oracle_pass_all_that_they_were_asked(tmp_path: Path) -> None:
    table, found = tabled(store_answers(tmp_path).path)
    assert found.problems == []
    assert odd(table) == []
    files = table[(table["rung"] == "P8") & (table["lane"] == "jax")]["quantity"]
    assert sum("optimizer in" in quantity for quantity in files) == 6
    assert certified(table, "jax", "torch") == "partly"  # P5 was not asked
    (line,) = verdicts(table)
    assert line == (
        "single_layer: JAX, TensorFlow, PyTorch give the same answers as a reference in float64, "
        "to 1 rounding of float32 at most (P0 P1 P2 P3 P4 P6 P9 of the parity ladder; not asked: "
        "P5)."
    )


def test_one_that_does_not_is_named_in_the_verdict(tmp_path: Path) -> None:
    def wrong(_: Payload, arrays: Payload) -> None:
        arrays["gradients.gradient0"] = 2 * arrays["gradients.gradient0"]

    table, _ = tabled(store_answers(tmp_path, torch=wrong).path)
    assert verdicts(table) == [
        "single_layer: NOT the same answers under PyTorch.",
        "single_layer, torch: P3 gradient of output kernel.",
        "single_layer: JAX, TensorFlow give the same answers as a reference in float64, to "
        "1 rounding of float32 at most (P0 P1 P2 P3 P4 P6 P9 of the parity ladder; not asked: P5).",
    ]
    assert certified(table, "jax", "torch") == "no"
    assert certified(table, "jax", "tensorflow") == "partly"


def test_files_that_are_read_otherwise_are_no_answers_of_an_oracle(tmp_path: Path) -> None:
    def other(payload: Payload, _: Payload) -> None:
        payload["portability"]["loaded"]["jax"]["weights"]["weights_sha256"] = "b" * 64

    table, _ = tabled(store_answers(tmp_path, torch=other).path)
    same, files, which = verdicts(table)
    assert same.startswith("single_layer: JAX, TensorFlow, PyTorch give the same answers")
    assert files == "single_layer: files of other backends are NOT read as they were under PyTorch."
    assert which == "single_layer, torch: P8 weights in jax's weights file."


def test_one_that_said_nothing_is_not_called_wrong(tmp_path: Path) -> None:
    table, _ = tabled(store_answers(tmp_path, torch=crash).path)
    silent, same = verdicts(table)
    assert silent == "single_layer: NO answer of PyTorch."
    assert same.startswith("single_layer: JAX, TensorFlow give the same answers")


def test_one_that_lives_is_not_blamed_for_two_that_died(tmp_path: Path) -> None:
    table, _ = tabled(store_answers(tmp_path, jax=crash, torch=crash).path)
    why = "answers: crashed, killed by SIGSEGV"
    assert odd(table) == [(backend, "P0", why) for backend in ("jax", "torch")]


def test_a_backend_alone_is_not_asked_for_the_files_of_others(tmp_path: Path) -> None:
    table, _ = tabled(store_answers(tmp_path, ("jax",)).path)
    assert "P8" not in set(table["rung"])
    assert odd(table) == []


def test_a_layer_that_draws_at_random_in_another_way_is_named(tmp_path: Path) -> None:
    def noisy(payload: Payload, _: Payload) -> None:
        payload["facts"]["identity"]["random"] = ["noise"]

    table, _ = tabled(store_answers(tmp_path, torch=noisy).path)
    name = "noise, which draws at random, as it trains: not compared"
    assert odd(table) == [("torch", "P3", name)]
    assert "warn" in set(table["status"])


def test_files_that_were_not_read_are_told(tmp_path: Path) -> None:
    def forgetful(payload: Payload, _: Payload) -> None:
        del payload["portability"]["loaded"]["jax"]

    table, _ = tabled(store_answers(tmp_path, torch=forgetful).path)
    assert odd(table) == [("torch", "P8", "jax's files were not read")]


def test_files_of_a_model_in_another_precision_are_not_asked_for(tmp_path: Path) -> None:
    """Keras keeps other variables for it, and another optimizer."""

    def half(payload: Payload, _: Payload) -> None:
        payload["facts"]["identity"] |= {"precision": "float16", "held": "float32"}
        other(payload, _)

    def other(payload: Payload, _: Payload) -> None:
        payload["portability"]["loaded"]["jax"]["weights"]["weights_sha256"] = "b" * 64

    table, _ = tabled(store_answers(tmp_path / "half", torch=half).path)
    files = table[table["rung"] == "P8"]
    assert set(files["status"]) == {"pass"}
    assert set(files["lane"]) == {"jax", "tensorflow"}
    table, _ = tabled(store_answers(tmp_path / "single", torch=other).path)
    assert ("torch", "P8", "weights in jax's weights file") in odd(table)


def test_a_required_backend_that_no_run_has_is_told(tmp_path: Path) -> None:
    found = shards.read([store_answers(tmp_path, ("jax", "torch")).path])
    owed = notes.incomplete(found, ("tensorflow", "jax", "torch"))
    assert owed == ("INCOMPLETE: tensorflow is in none of the runs",)


def test_a_required_backend_that_a_plan_only_names_is_not_there(tmp_path: Path) -> None:
    found = shards.read([store_run(tmp_path, [], lanes=[{"name": "jax"}]).path])
    assert notes.incomplete(found, ("jax",)) == ("INCOMPLETE: jax is in none of the runs",)


def test_a_required_backend_that_was_never_asked_is_told_where_others_were(tmp_path: Path) -> None:
    trained = store_run(tmp_path / "trained", [accuracy_payload("tensorflow")])
    asked = store_answers(tmp_path / "asked", ("jax", "torch"))
    found = shards.read([trained.path, asked.path])
    owed = notes.incomplete(found, ("tensorflow", "jax", "torch"))
    assert owed == ("INCOMPLETE: tensorflow was not asked on the parity ladder",)
    assert notes.incomplete(shards.read([trained.path]), ("tensorflow",)) == ()


@pytest.mark.parametrize("loss", [None, 0.0])
def test_losses_that_are_no_number_or_nothing_fail_and_raise_nothing(
    tmp_path: Path, loss: float | None
) -> None:
    def hollow(payload: Payload, _: Payload) -> None:
        payload["portability"]["saved"]["loss"] = loss
        payload["facts"]["gradients"]["loss"] = loss

    table, _ = tabled(store_answers(tmp_path, torch=hollow).path)
    found = odd(table)
    assert ("torch", "P3", "loss") in found
    assert ("jax", "P8", "loss after torch's weights file") in found


@pytest.mark.parametrize("probe", ["identity", "forward", "gradients", "update", "predictions"])
def test_an_oracle_that_has_lost_an_answer_is_rejected_and_nobody_passes(
    tmp_path: Path, probe: str
) -> None:
    def lose(payload: Payload, _: Payload) -> None:
        del payload["facts"][probe]

    table, found = tabled(store_answers(tmp_path, reference=lose).path)
    assert len(found.problems) == 1
    assert f"no answer to {probe}" in found.problems[0]
    assert set(table["quantity"]) == {"answers of the reference: missing"}
    assert set(table["status"]) == {"fail"}


@pytest.mark.parametrize("name", sorted(oracle_answers().arrays))
@pytest.mark.parametrize("how", ["missing", "not finite", "of another shape"])
def test_an_oracle_whose_arrays_are_not_whole_is_rejected(
    tmp_path: Path, name: str, how: str
) -> None:
    def spoil(_: Payload, arrays: Payload) -> None:
        if how == "missing":
            del arrays[name]
        elif how == "not finite":
            arrays[name] = np.full_like(arrays[name], np.nan)
        else:
            arrays[name] = arrays[name][:0]

    table, found = tabled(store_answers(tmp_path, reference=spoil).path)
    assert (table["status"] == "fail").any()
    if (name, how) != ("forward.odd33.layer0", "of another shape"):  # any shape is one's own
        assert len(found.problems) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda payload, _: payload["facts"]["identity"].update(weights=None),
        lambda payload, _: payload["facts"]["identity"].update(weights=["one"]),
        lambda payload, _: payload["facts"]["identity"].update(layers=[]),
        lambda payload, _: payload["facts"]["identity"].update(fed_sha256={}),
        lambda payload, _: payload["facts"]["gradients"].update(loss=None),
        lambda payload, _: payload.update(probes=["identity"]),
        lambda payload, _: payload.update(model="two_layer"),
    ],
)
def test_an_oracle_whose_facts_are_not_whole_is_rejected(
    tmp_path: Path, change: Callable[[Payload, Payload], None]
) -> None:
    table, found = tabled(store_answers(tmp_path, reference=change).path)
    assert len(found.problems) == 1
    assert set(table["quantity"]) == {"answers of the reference: missing"}


def test_runs_of_one_backend_each_are_judged_together(tmp_path: Path) -> None:
    def configured(payload: Payload, _: Payload) -> None:
        payload["facts"]["identity"]["config"] = '{"other": 1}'

    runs = [store_answers(tmp_path, (name,)).path for name in ("tensorflow", "jax")]
    runs.append(store_answers(tmp_path, ("torch",), torch=configured).path)
    table, _ = tabled(*runs)
    assert odd(table) == [("torch", "P0", "model configuration")]


def other_keras(payload: Payload, _: Payload) -> None:
    payload["worker"]["versions"]["keras"] = "3.0.0"


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"protocol": PROTOCOL | {"dataset_sha256": "e" * 64}}, "datasets"),
        ({"protocol": PROTOCOL | {"batch_size": 37}}, "batch sizes"),
        ({"torch": other_keras}, "Keras versions"),
    ],
)
def test_answers_to_other_questions_are_not_merged(tmp_path: Path, how: Any, what: str) -> None:
    one = store_answers(tmp_path, ("jax",)).path
    other = store_answers(tmp_path, ("torch",), **how).path
    with pytest.raises(comparable.NotComparableError, match=f"single_layer, parity: {what} differ"):
        tabled(one, other)


def test_a_subject_that_stands_in_two_runs_is_refused(tmp_path: Path) -> None:
    folders = [store_answers(tmp_path, ("jax",)).path for _ in range(2)]
    with pytest.raises(
        comparable.NotComparableError,
        match="with jax on cpu, parity, stands in two runs",
    ):
        tabled(*folders)


def test_the_worst_of_a_rung_is_what_failed_though_others_have_larger_values(
    tmp_path: Path,
) -> None:
    def lost(_: Payload, arrays: Payload) -> None:
        arrays["update.adam1"] = np.full_like(arrays["update.adam1"], np.nan)

    table, _ = tabled(store_answers(tmp_path, torch=lost).path)
    worst = sections.rung_errors(table)
    (row,) = worst[(worst["rung"] == "P4") & (worst["lane"] == "PyTorch")].to_dict("records")
    assert (row["worst quantity"], row["status"]) == ("Adam on output bias", "fail")


def test_a_warning_does_not_make_one_wrong_who_cannot_be_blamed(tmp_path: Path) -> None:
    table, _ = tabled(store_answers(tmp_path).path)
    told = f"JAX and PyTorch differ at second; with two {consistency_rung.UNCONFIRMED}"
    jax = table["lane"] == "jax"
    table.loc[jax & (table["rung"] == "P2"), "status"] = "warn"
    step = table.index[jax & (table["rung"] == "P4")][0]
    table.loc[step, ["status", "quantity"]] = ["fail", told]
    first, *_ = verdicts(table)
    assert first == f"{MODEL}: {told}."
    assert not any("NOT the same" in line for line in verdicts(table))
    table.loc[table.index[jax & (table["rung"] == "P3")][0], "status"] = "fail"
    assert f"{MODEL}: NOT the same answers under JAX." in verdicts(table)


def outcomes(*statuses: str) -> pd.DataFrame:
    """P7 of three backends."""
    rows = [
        dict.fromkeys(columns.dtypes("parity"), np.nan)
        | {"model": MODEL, "variant": "stock", "lane": backend, "device": "cpu"}
        | {"rung": "P7", "status": status, "quantity": "mean error", "value": 0.1}
        for backend, status in zip(("jax", "tensorflow", "torch"), statuses, strict=True)
    ]
    return pd.DataFrame(rows).astype(columns.dtypes("parity"))


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        (
            ("pass", "pass", "pass"),
            "are proven equal, to 0.20 points, under JAX, TensorFlow, PyTorch",
        ),
        (("warn", "warn", "pass"), "are not proven equal under JAX, TensorFlow"),
        (("warn", "fail", "fail"), "DIFFER under TensorFlow, PyTorch"),
    ],
)
def test_what_seeds_say_is_a_sentence_of_its_own(statuses: tuple[str, ...], told: str) -> None:
    table = outcomes(*statuses)
    first = verdicts(table)[0]
    assert first == f"single_layer: mean errors over seeds {told}."


def test_stock_may_leave_out_no_layer(tmp_path: Path) -> None:
    def shy(payload: Payload, _: Payload) -> None:
        payload["facts"]["identity"]["unlike"] = ["hidden"]

    _, found = tabled(store_answers(tmp_path, torch=shy).path)
    assert "layers that are left out, of what Keras ships" in found.problems[0]


def test_variants_are_subjects_of_their_own(tmp_path: Path) -> None:
    """A tuned backend that is wrong leaves the stock one's certificate alone."""

    def tuned(payload: Payload, arrays: Payload) -> None:
        payload["subject"]["variant"] = "tuned"
        payload["portability"] = None
        arrays["gradients.gradient0"] = 2 * arrays["gradients.gradient0"]

    kinds = {"torch": "tuned"}
    table, found = tabled(store_answers(tmp_path, variants=kinds, torch=tuned).path)
    assert found.problems == []
    lines = verdicts(table)
    assert "single_layer tuned: NOT the same answers under PyTorch." in lines
    assert certified(table, "jax", "tensorflow") == "partly"
    assert parity.certified(parity.certificates(table), [(MODEL, "tuned", "torch", "cpu")]) == "no"
