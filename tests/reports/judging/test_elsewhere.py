"""Launches of several kinds of machine: a row for each, and nothing that mixes them."""

from pathlib import Path
from typing import Any

import pytest

from bench.coordinator.run_folder import RunFolder
from reports.judging import comparison, elsewhere
from reports.judging.comparison import Comparison
from reports.judging.questions import questions
from reports.judging.screen import screen
from reports.judging.sections import sections
from reports.pages import html, markdown
from reports.read import shards
from reports.tables import columns
from reports.tables.comparable import NotComparableError
from tests.support.stored_launches import (
    TRUTH,
    Payload,
    Truth,
    launch_payload,
    store_launches,
)
from tests.support.stored_runs import keep

OTHER = {"id": "fedcba9876543210", "cpu_model": "Other <i>CPU</i>", "cores": 8}
THERE = {"tensorflow": Truth(0.004), "jax": Truth(0.004), "torch": Truth(0.010)}


def launch(number: int, machine: dict[str, Any] | None = None, **changes: Any) -> Payload:
    made = launch_payload(number, **changes)
    return made | {"machine": made["machine"] | (machine or {})}


def stored(folder: Path, there: list[Payload]) -> Path:
    """A run of three launches on its own machine, and some on others."""
    run = store_launches(folder, [launch(number) for number in (1, 2, 3)])
    for payload in there:
        name = f"elsewhere-{payload['machine']['id']}-launch{payload['launch']:02}"
        keep(run, "speed", name, payload)
    return run.path


def told(folder: Path, there: list[Payload]) -> Comparison:
    found = shards.read([stored(folder, there)])
    assert found.problems == []
    return comparison.compare(found)


def three(**changes: Any) -> list[Payload]:
    return [launch(number, OTHER, truth=THERE, **changes) for number in (1, 2, 3)]


def test_each_machine_has_its_own_ratios(tmp_path: Path) -> None:
    alone, both = told(tmp_path / "alone", []), told(tmp_path / "both", three())
    table = both.machines
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("machines")
    ratios = table.set_index(["kind", "lane", "baseline"])["ratio"].to_dict()
    here, there = "CPU | <b>model</b>, 2 cores", "Other <i>CPU</i>, 8 cores"
    assert ratios == {
        (here, "tensorflow", "jax"): pytest.approx(2.0),
        (here, "tensorflow", "torch"): pytest.approx(2.5),
        (here, "jax", "torch"): pytest.approx(1.25),
        (there, "tensorflow", "jax"): pytest.approx(1.0),
        (there, "tensorflow", "torch"): pytest.approx(2.5),
        (there, "jax", "torch"): pytest.approx(2.5),
    }
    assert set(table["launches"]) == {3}
    # All else is of the run's own machine.
    for name in ("ratios", "speed", "samples", "variants"):
        assert len(getattr(both, name)) == len(getattr(alone, name))
    assert both.main_ratios["ratio"].to_list() == alone.main_ratios["ratio"].to_list()
    assert alone.machines.empty


def test_what_is_otherwise_there_is_told(tmp_path: Path) -> None:
    found = told(tmp_path, three())
    (line,) = elsewhere.lines(found.machines)
    assert line.text == (
        "On Other <i>CPU</i>, 8 cores: 2 of 3 ratios have the verdict that they have here; "
        "single_layer TensorFlow / JAX equivalent (faster here)."
    )
    (note,) = (note for note in screen(found).notes if "Other" in note.text)
    assert note.text == "The report has the ratios on Other <i>CPU</i>, 8 cores, too."
    (fast,) = (one for one in questions(found) if one.name == "how-fast")
    assert line in fast.lines
    assert len(sections(found)["machines"]) == 6
    page = html.report(found, html.draw(found)) + markdown.render(found)
    assert "Ratios on each kind of machine" in page
    assert "<i>CPU" not in page


def test_a_machine_whose_speeds_are_not_to_be_trusted_says_no_more(tmp_path: Path) -> None:
    launches = three()
    for each in launches:
        for one in each["rounds"]:
            one["evidence"] = one["evidence"] | {"throttled_seconds": 1.0}
    found = told(tmp_path, launches)
    assert found.untrusted == ()
    assert not found.machines.query("kind.str.startswith('Other')")["trusted"].any()
    (line,) = elsewhere.lines(found.machines)
    assert line.text == "On Other <i>CPU</i>, 8 cores: speeds that are not to be trusted."


def test_another_thing_that_was_timed_there_is_refused(tmp_path: Path) -> None:
    launches = [each | {"dataset_sha256": "e" * 64} for each in three()]
    with pytest.raises(NotComparableError, match="datasets differ"):
        told(tmp_path, launches)


def test_launches_of_two_machines_under_one_name_are_not_pooled(tmp_path: Path) -> None:
    run = stored(tmp_path, three())
    # One calls itself another machine's.
    path = run / "shards" / f"elsewhere-{OTHER['id']}-launch02.json"
    path.unlink()
    keep(RunFolder(run), "speed", path.stem, launch(2, OTHER | {"id": "0" * 16}, truth=THERE))
    found = comparison.compare(shards.read([run]))
    assert found.machines["machine"].nunique() == 3  # each on its own, none pooled
    assert found.machines.groupby("machine")["launches"].first().to_dict() == {
        "0123456789abcdef": 3,
        OTHER["id"]: 2,
        "0" * 16: 1,
    }


def test_a_pair_of_which_nothing_is_there_has_no_ratio(tmp_path: Path) -> None:
    only = {name: TRUTH[name] for name in ("tensorflow", "jax")}
    found = told(tmp_path, [launch(number, OTHER, truth=only) for number in (1, 2, 3)])
    there = found.machines[found.machines["machine"] == OTHER["id"]]
    assert there.set_index(["lane", "baseline"])["verdict"].to_dict() == {
        ("tensorflow", "jax"): "faster",
        ("tensorflow", "torch"): "missing",
        ("jax", "torch"): "missing",
    }
