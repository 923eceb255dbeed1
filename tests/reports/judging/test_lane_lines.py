"""What is told of lanes of one backend, beside each other."""

from pathlib import Path
from typing import Any

import pytest

from reports.judging import comparison
from reports.judging.questions import questions
from reports.judging.screen import screen
from reports.pages import markdown
from reports.read import shards
from reports.tables.comparable import NotComparableError
from tests.support.stored_answers import Change, store_answers
from tests.support.stored_launches import Truth, launch_payload, store_launches
from tests.support.stored_runs import accuracy_payload, store_run

NEW = "jax@2"
Payload = dict[str, Any]


def has(**distributions: str) -> Change:
    return lambda payload, _: payload["worker"].update(distributions=distributions)


OLD = has(jax="1", numpy="2")


def told(folder: Path, new: Change, old: Change = OLD) -> list[str]:
    lanes: dict[str, Any] = {"jax": old, NEW: new}
    found = shards.read([store_answers(folder, tuple(lanes), **lanes).path])
    assert found.problems == []
    return [note.text for note in comparison.compare(found).lanes]


def test_all_that_is_otherwise_is_named_and_what_is_not_is_counted(tmp_path: Path) -> None:
    lanes: dict[str, Any] = {"jax": OLD, NEW: has(jax="2", numpy="2", jaxlib="3")}
    found = shards.read([store_answers(tmp_path, tuple(lanes), **lanes).path])
    (line,) = (n.text for n in comparison.compare(found).notes if n.text.startswith("JAX@2 has"))
    assert line == "JAX@2 has jax 2 for 1 and jaxlib 3 for none; 1 packages are equal."


def test_many_lanes_are_lines_and_no_columns(tmp_path: Path) -> None:
    lanes: dict[str, Any] = {"jax": OLD} | {f"jax@{n}": has(jax=str(n)) for n in range(2, 10)}
    found = shards.read([store_answers(tmp_path, tuple(lanes), **lanes).path])
    told = screen(comparison.compare(found))
    assert told.header == ("model", "JAX 1.0", "same")
    texts = [note.text for note in told.notes]
    assert sum(text.startswith("JAX@") for text in texts) == 6
    assert "More of the lanes stands in the report." in texts
    same_answers = questions(comparison.compare(found))[0]
    assert any(note.text.startswith("JAX@9 beside JAX: ") for note in same_answers.lines)


def test_of_many_lanes_the_backends_as_pinned_are_compared_among_themselves(tmp_path: Path) -> None:
    """A column in which nobody is the fastest would be a riddle."""
    truth = {"jax": Truth(0.020), "torch": Truth(0.010)}
    truth |= {f"torch@{number}": Truth(0.005) for number in range(3)}
    launches = [launch_payload(n, truth=truth) for n in range(1, 6)]
    compared = comparison.compare(shards.read([store_launches(tmp_path, launches).path]))
    told = screen(compared)
    assert [name.split()[0] for name in told.header] == ["model", "JAX", "PyTorch"]
    assert told.rows == (("single_layer", "0.50x ±0 %", "fastest"),)


def test_a_comment_of_many_lanes_is_cut(tmp_path: Path) -> None:
    lanes: dict[str, Any] = {"jax": OLD} | {f"jax@{n}": scaled(1.01) for n in range(2, 10)}
    found = shards.read([store_answers(tmp_path, tuple(lanes), **lanes).path])
    lines = markdown.comment(comparison.compare(found)).replace("\\", "").splitlines()
    assert len(lines) == markdown.COMMENT_LINES == 14
    assert lines[-1] == "- More stands in the report."
    assert any(line.startswith("- JAX@2 beside JAX: single_layer answers") for line in lines)


def scaled(factor: float, only: str = "forward.odd33.logits") -> Change:
    def change(payload: Payload, arrays: Payload) -> None:
        has(jax="2")(payload, arrays)
        arrays[only] = arrays[only] * factor

    return change


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.0, "JAX@2 beside JAX: single_layer answers the same to the last bit."),
        (1 + 2**-20, "answers 16 roundings of float32 apart and farther from the reference ("),
        (1.01, "answers WRONG where JAX's are not: P2 logits."),
    ],
)
def test_answers_are_the_same_bits_near_or_wrong(factor: float, words: str, tmp_path: Path) -> None:
    # As other backends are stored, each has an error of its own.
    line = told(tmp_path, scaled(factor), scaled(1.0))[-1]
    assert words in line


def test_a_lane_that_is_slower_is_told_as_that_of_its_backend(tmp_path: Path) -> None:
    truth = {"jax": Truth(0.010), NEW: Truth(0.0107)}
    launches = [launch_payload(n, truth=truth) for n in range(1, 8)]
    found = shards.read([store_launches(tmp_path, launches).path])
    lines = [note.text for note in comparison.compare(found).lanes]
    assert any(line.startswith("JAX@2 beside JAX: single_layer trains 0.93x as") for line in lines)
    assert any(line.endswith(": slower).") for line in lines)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (0, "errors equal within 0.20 points (-"),
        (1, "errors not proven equal within 0.20 points (+"),
    ],
)
def test_errors_of_a_lane_are_compared_over_seeds(wrong: int, words: str, tmp_path: Path) -> None:
    """One error of 200 is half a point."""
    cells = [accuracy_payload(name, seed=seed) for seed in range(40) for name in ("jax", NEW)]
    run = store_run(tmp_path, cells, lambda cell: 2 + wrong * (cell["lane"] == NEW))
    lines = [note.text for note in comparison.compare(shards.read([run.path])).lanes]
    (line,) = lines
    assert words in line
    assert line.endswith("40 seeds).")


def test_a_lane_may_have_another_keras_and_a_backend_as_pinned_may_not(tmp_path: Path) -> None:
    def compared(other: str) -> comparison.Comparison:
        launch = launch_payload(1, truth={"jax": Truth(0.01), other: Truth(0.01)})
        launch["lanes"][1]["worker"]["versions"] |= {"keras": "3.14.1"}
        return comparison.compare(shards.read([store_launches(tmp_path, [launch]).path]))

    assert len(compared("jax@keras-3.14.1").ratios) == 1
    with pytest.raises(NotComparableError, match="Keras versions differ"):
        compared("torch")
