"""Steps over many runs: noise is rarely called one, and a real one is found where it is."""

from pathlib import Path

import numpy as np
import pytest

from reports import __main__ as command
from reports import history
from tests.stored_runs import accuracy_payload, store_run


def test_noise_is_rarely_called_a_step() -> None:
    generator = np.random.default_rng(0)
    for runs in (6, 12, 30):
        series = generator.normal(8, 0.03, (200, runs))
        called = sum(history.segments(values).any() for values in series)
        assert called <= 20, runs  # of 200


def test_a_step_of_a_tenth_is_found_where_it_is() -> None:
    generator = np.random.default_rng(1)
    places = []
    for _ in range(100):
        values = generator.normal(8, 0.02, 20)
        values[12:] -= 0.105
        places.append(list(np.flatnonzero(np.diff(history.segments(values)))))
    assert sum(place == [11] for place in places) >= 90


def test_few_runs_and_equal_ones_have_no_step() -> None:
    assert not history.segments(np.array([1.0, 1.0, 2.0, 2.0, 2.0])).any()
    assert not history.segments(np.ones(12)).any()
    assert list(history.segments(np.repeat([1.0, 2.0], 4))) == [0] * 4 + [1] * 4


def test_a_folder_of_runs_is_drawn_and_its_step_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        wrong = 4 if number < 4 else 8
        made = store_run(tmp_path / "made", [accuracy_payload("jax")], wrong=lambda _, w=wrong: w)  # type: ignore[misc]
        made.folder.rename(tmp_path / f"run{number}")
    broken = tmp_path / "9-broken" / "shards"
    broken.mkdir(parents=True)
    (broken / "plan.json").write_text("{")
    assert command.main(["history", str(tmp_path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "single_layer with jax: error percent from 2 to 4 (+100.0 %)" in told
    assert "9-broken" in told
    page = (tmp_path / "history.html").read_text()
    assert page.count("<figure>") == 1
    assert "from 2 to 4" in page


def test_a_folder_without_runs_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["history", str(tmp_path)]) == 5
    assert "no runs" in capsys.readouterr().err
