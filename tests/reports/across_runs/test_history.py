"""Steps over many runs: noise is rarely called one, and a real one is found where it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import __main__ as command
from reports.across_runs import history
from tests.support.stored_runs import PROTOCOL, accuracy_payload, store_run

SPEED = history.LEAST_NOISE["images_per_second"]
ERROR = history.LEAST_NOISE["error_percent"]


def places(values: Any, least: float, family: int = 0) -> list[int]:
    """Where a series steps: the place of the last value before it."""
    found = history.segments(np.asarray(values), least, family)
    return [int(place) for place in np.flatnonzero(np.diff(found))]


@pytest.mark.parametrize("runs", [6, 12, 30])
def test_noise_in_any_of_twelve_series_is_rarely_called_a_step(runs: int) -> None:
    generator = np.random.default_rng(0)
    called = sum(
        any(places(values, SPEED, 12 * runs) for values in generator.normal(8, 0.03, (12, runs)))
        for _ in range(60)
    )
    assert called <= 7  # of 60


def test_a_step_of_a_tenth_is_found_where_it_is() -> None:
    generator = np.random.default_rng(1)
    found = []
    for _ in range(100):
        values = generator.normal(8, 0.02, 20)
        values[12:] -= 0.105
        found.append(places(values, SPEED, 240))
    assert sum(place == [11] for place in found) >= 90


def test_an_image_more_or_an_odd_run_is_no_step() -> None:
    assert places([1.30] * 6 + [1.34] + [1.30] * 6, ERROR) == []
    assert places([1.30] * 6 + [1.31] * 6, ERROR) == []
    assert places([8.0] * 6 + [7.0] + [8.0] * 6, SPEED) == []
    assert places([1.30] * 6 + [2.30] * 6, ERROR) == [5]


def test_few_runs_and_equal_ones_have_no_step() -> None:
    assert places([1.0, 1.0, 2.0, 2.0, 2.0], SPEED) == []
    assert places(np.ones(12), SPEED) == []


def test_a_folder_of_runs_is_drawn_and_its_step_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        wrong = 4 if number < 4 else 8
        made = store_run(tmp_path / "made", [accuracy_payload("jax")], wrong=lambda _, w=wrong: w)  # type: ignore[misc]
        made.path.rename(tmp_path / f"run{number}")
    broken = tmp_path / "9-broken" / "shards"
    broken.mkdir(parents=True)
    (broken / "plan.json").write_text("{")
    assert command.main(["history", str(tmp_path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "single_layer with JAX: error percent from 2 to 4 (+100.0 %)" in told
    assert "9-broken" in told
    page = (tmp_path / "history.html").read_text()
    assert page.count("<figure id") == 1
    assert "from 2 to 4" in page


def test_runs_of_another_kind_are_a_series_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        payload = accuracy_payload("jax")
        if number < 4:
            payload["protocol"] = {**PROTOCOL, "dataset": "digits"}
        store_run(tmp_path / f"r{number}", [payload], wrong=lambda _, n=number: 40 if n < 4 else 2)  # type: ignore[misc]
        (made,) = (tmp_path / f"r{number}").iterdir()
        made.rename(tmp_path / f"run{number}")
    assert command.main(["history", str(tmp_path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Too few runs to see a step: 4 of one kind, where 6 are wanted." in told
    assert (tmp_path / "history.html").read_text().count("<figure id") == 2


def test_a_folder_without_runs_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["history", str(tmp_path)]) == 5
    assert "no runs" in capsys.readouterr().err
