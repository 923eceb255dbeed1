"""The one screen that answers, and what is said of a run that goes on."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from reports.judging import comparison
from reports.judging.answers import answers
from reports.judging.comparison import Comparison
from reports.judging.screen import screen, so_far
from reports.pages import terminal
from reports.read import pending, shards
from tests.support import golden
from tests.support.stored_launches import (
    TRAIN,
    TRUTH,
    Machine,
    launch_payload,
    store_launches,
)
from tests.support.stored_runs import accuracy_payload

BACKENDS = ("tensorflow", "jax", "torch")
NOISY = Machine(round_sd=0.02, launch_sd=0.01, turn_sd=0.05)


def timed(folder: Path, launches: int = 6, machine: Machine = NOISY, **truth: Any) -> Comparison:
    payloads = [
        launch_payload(n, twin="jax", machine=machine, workloads=[TRAIN], **truth)
        for n in range(1, launches + 1)
    ]
    cells = [accuracy_payload(name) for name in BACKENDS]
    return comparison.compare(shards.read([store_launches(folder, payloads, cells).path]))


def test_the_matrix_has_speeds_against_the_fastest_errors_and_answers() -> None:
    seen = screen(golden.loaded())
    assert [name.split()[0] for name in seen.header] == [
        "model",
        "TensorFlow",
        "JAX",
        "PyTorch",
        "same",
    ]
    assert re.fullmatch(r"PyTorch \d+\.\d+", seen.header[3])
    assert [row[0] for row in seen.rows] == ["single_layer", "two_layer"]
    for row in seen.rows:
        assert row[1] == "fastest, 1.50 %"
        assert row[2].startswith("0.49x ±")
        assert row[2].endswith(" %, 2.00 %")
        assert row[4] == "yes"
    assert not any(note.grave for note in seen.notes)


def test_it_is_at_most_12_lines_long_and_80_columns_wide() -> None:
    stream = io.StringIO()
    terminal.show(
        golden.loaded(), Console(file=stream, width=80, force_terminal=True, no_color=True)
    )
    shown = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in stream.getvalue().splitlines()]
    assert max(map(len, shown)) <= 80
    assert len(list(filter(None, shown))) <= 12, stream.getvalue()


def test_a_tie_is_called_one(tmp_path: Path) -> None:
    """TensorFlow is as fast as JAX, and torch slower than both."""
    alike = {**TRUTH, "jax": replace(TRUTH["jax"], step_seconds=TRUTH["tensorflow"].step_seconds)}
    (one,) = answers(timed(tmp_path, truth=alike))
    assert sorted(one.fastest) == ["JAX", "TensorFlow"]
    assert {one.speed(name).endswith("tied") for name in one.fastest} == {True}
    assert "tied as the fastest here" in one.advice
    assert not one.speed("PyTorch").endswith("tied")


def test_without_an_interval_nothing_is_claimed(tmp_path: Path) -> None:
    (one,) = answers(timed(tmp_path, launches=1))
    assert {one.speed(name) for name in one.backends} >= {"fastest?", "~0.39x"}
    assert "fastest" not in one.advice


def test_speeds_that_are_not_trusted_are_not_told(tmp_path: Path) -> None:
    told = replace(timed(tmp_path), untrusted=("UNTRUSTED: the clock ran backwards",))
    seen = screen(told)
    assert all(cell.startswith("untrusted") for cell in seen.rows[0][1:4])
    (first, *_) = seen.notes
    assert first.grave
    assert first.text == "UNTRUSTED: the clock ran backwards"
    assert any(note.grave and note.text.startswith("Can be believed: NO") for note in seen.notes)


def test_a_condition_that_is_not_met_is_no_plain_yes(tmp_path: Path) -> None:
    told = timed(tmp_path)
    (good,) = (n.text for n in screen(told).notes if n.text.startswith("Can be believed"))
    assert "believed: yes;" in good
    missed = told.checks.assign(passed=[False, *told.checks["passed"][1:]])
    (doubt,) = (
        n.text
        for n in screen(replace(told, checks=missed)).notes
        if n.text.startswith("Can be believed")
    )
    assert f"believed: yes, but 1 of {len(missed)} conditions not met;" in doubt


def test_other_answers_are_named_and_red() -> None:
    told = golden.loaded()
    ladder = told.ladder.copy()
    wrong = (ladder["model"] == "two_layer") & (ladder["lane"] == "jax")
    ladder.loc[wrong & (ladder["variant"] == "stock"), "P4"] = "fail"
    one, other = answers(replace(told, ladder=ladder))
    assert (one.same, other.same) == ("yes", "NO: JAX")
    # They are what a run is red for, and are told before speeds that are none.
    doubted = replace(told, ladder=ladder, untrusted=("UNTRUSTED: a busy machine",) * 3)
    assert screen(doubted).notes[0].text == "two_layer: NOT the same answers under JAX."


@pytest.mark.parametrize(("rung", "words"), [("P4", "NOT the same answers"), ("P8", "NOT read")])
def test_a_variant_or_a_file_that_is_wrong_is_red_though_the_matrix_has_it_not(
    rung: str, words: str
) -> None:
    """The matrix is about stock alone; the exit code is about all."""
    told = golden.loaded()
    ladder = told.ladder.copy()
    if rung not in ladder:
        ladder[rung] = "pass"
    row = ladder.index[ladder["model"] == "single_layer"][0]
    tuned = ladder.loc[[row]].assign(variant="tuned", **{rung: "fail"})
    seen = screen(replace(told, ladder=pd.concat([ladder, tuned], ignore_index=True)))
    assert {line[-1] for line in seen.rows} == {"yes"}
    assert any(note.grave and words in note.text for note in seen.notes)


@pytest.mark.parametrize(("errors", "words"), [((2.0, 2.1), "learn the same"), ((1, 9), "NOT")])
def test_single_trainings_learn_the_same_as_far_as_their_images_tell(
    tmp_path: Path, errors: tuple[float, float], words: str
) -> None:
    told = timed(tmp_path)
    cells = told.accuracy.copy()
    cells["error_percent"] = np.where(cells["lane"] == "jax", errors[0], errors[1])
    (one,) = answers(replace(told, accuracy=cells, agreement=told.agreement.iloc[:0]))
    assert words in one.advice


def test_many_warnings_do_not_push_the_answer_off_the_screen(tmp_path: Path) -> None:
    told = timed(tmp_path)
    seen = screen(replace(told, untrusted=tuple(f"UNTRUSTED: {n}" for n in range(9))))
    assert [note.text for note in seen.notes if note.grave][:4] == [
        "UNTRUSTED: 0",
        "UNTRUSTED: 1",
        "UNTRUSTED: 2",
        "6 more warnings stand in the report.",
    ]


def test_what_is_known_so_far_has_a_line_for_each_question() -> None:
    same, speed, error = so_far(golden.loaded())
    assert same == "same answers: single_layer yes, two_layer yes"
    assert speed.startswith("fastest in training, so far: single_layer TensorFlow fastest, JAX 0.")
    assert error.startswith("error on the test set: single_layer TensorFlow 1.50 %, JAX 2.00 %")


@pytest.mark.parametrize(
    ("parts", "known"),
    [
        (("parity", "speed", "accuracy"), set()),
        (("speed", "accuracy"), {"same"}),
        (("accuracy",), {"same", "fastest"}),
    ],
)
def test_of_a_run_that_goes_on_only_what_was_done_is_told(
    parts: tuple[str, ...], known: set[str]
) -> None:
    """And nothing is called missing that is still to come."""
    found = shards.read([golden.RUN])
    told = comparison.compare(found, (), parts)
    assert {line.split()[0] for line in so_far(told)} == known
    assert [note.text for note in told.notes if note.grave] == []
    assert told.pending == tuple(pending.PARTS[part] for part in parts)
