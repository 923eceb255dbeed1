"""A lane against another of the same rounds: stopped, let through, or it cannot be told."""

from pathlib import Path
from typing import Any

import pytest

import reports.__main__
from tests.support.stored_answers import store_answers
from tests.support.stored_launches import Machine, Truth, launch_payload, store_launches

NEW = "jax@2"
SOME = Machine(launch_sd=0.005)


def gated(folder: Path, *options: str) -> int:
    lanes = ("--lane", NEW, "--against-lane", "jax")
    return reports.__main__.main(["gate", str(folder), *lanes, *options])


def measured(folder: Path, seconds: float, launches: int = 8) -> Path:
    truth = {"jax": Truth(0.010), NEW: Truth(seconds)}
    payloads = [launch_payload(n, truth=truth, machine=SOME) for n in range(1, launches + 1)]
    return store_launches(folder, payloads).path


@pytest.mark.parametrize(
    ("seconds", "launches", "code", "word"),
    [
        (0.0107, 8, 1, "FAIL"),
        (0.0100, 8, 0, "PASS"),
        (0.0090, 8, 0, "PASS"),
        (0.0103, 8, 3, "INCONCLUSIVE"),
        (0.0107, 2, 3, "too few launches"),
    ],
)
def test_a_lane_may_be_so_much_slower_and_no_more(
    seconds: float,
    launches: int,
    code: int,
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gated(measured(tmp_path, seconds, launches), "--max-slowdown", "3%") == code
    assert word in capsys.readouterr().out


def test_a_lane_that_is_wrong_where_the_other_is_not_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(_: Any, arrays: Any) -> None:
        arrays["forward.odd33.logits"] = 1.01 * arrays["forward.odd33.logits"]

    changes: dict[str, Any] = {NEW: wrong}
    folder = store_answers(tmp_path, ("jax", NEW), **changes).path
    assert gated(folder, "--max-slowdown", "3%") in {1, 4}
    told = capsys.readouterr().out
    assert "FAIL" in told
    assert f"parity of single_layer {NEW}" in told
    assert "not measured in this run" in told


@pytest.mark.parametrize(
    "options", [[], ["--max-error-increase", "0.1"], ["--max-slowdown", "3%", "--against", "x"]]
)
def test_what_does_not_go_together_is_one_line(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gated(tmp_path, *options) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_lane_that_the_run_does_not_have_is_told_with_those_that_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(measured(tmp_path, 0.01))
    slow = ("--max-slowdown", "5%")
    other = ("gate", run, "--lane", "jax@9", "--against-lane", "jax", *slow)
    assert reports.__main__.main(other) == 4
    assert "the run has no such lane; it has jax, jax@2" in capsys.readouterr().out
    same = ("gate", run, "--lane", "jax", "--against-lane", "jax", *slow)
    assert reports.__main__.main(same) == 2
    assert "--lane and --against-lane are both jax" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "code"), [(0.0107, 1), (0.0100, 0)])
def test_all_lanes_are_judged_by_their_backends(
    seconds: float, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(measured(tmp_path, seconds))
    assert reports.__main__.main(["gate", run, "--each-lane", "--max-slowdown", "3%"]) == code
    assert f"speed of {NEW} over jax" in capsys.readouterr().out


def test_without_lanes_there_is_nothing_to_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(store_launches(tmp_path, [launch_payload(1)]).path)
    assert reports.__main__.main(["gate", run, "--each-lane", "--max-slowdown", "3%"]) == 2
    assert "the run has backends as pinned alone" in capsys.readouterr().err
