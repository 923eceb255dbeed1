"""A run of three variants, through everything that a person reads: none hides another."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from bench.session.progress import Estimates, Progress
from reports import figures
from reports.across_runs.changes import error_changes, ratio_changes
from reports.across_runs.two_runs import ComparedRun, headings
from reports.figures import style
from reports.judging import comparison, notes, parity_lines
from reports.judging.comparison import Comparison
from reports.judging.screen import screen
from reports.judging.sentences import alerts, error_lines, remarks
from reports.pages import html, markdown, terminal
from reports.read import shards
from reports.tables import comparable
from tests.bench.planning.test_plan import resolve
from tests.support.golden import PROBES
from tests.support.stored_answers import write_answers
from tests.support.stored_launches import TRAIN, launch_payload, speed_plan
from tests.support.stored_runs import PROTOCOL, accuracy_payload, failed_payload, keep, store_run

VARIANTS = ("stock", "tuned", "native")
BACKENDS = ("jax", "torch")
ORIGIN = {name: str(PROTOCOL[name]) for name in ("dataset", "dataset_sha256")}

Payload = dict[str, Any]


def store(results: Path, *, probes: list[str], model: str = "single_layer", **plan: Any) -> Path:
    """Both backends train, are timed and are asked in all variants; torch fails to train tuned."""
    trainings = []
    for variant in VARIANTS:
        for backend in BACKENDS:
            fails = (variant, backend) == ("tuned", "torch")
            payload = failed_payload(backend) if fails else accuracy_payload(backend)
            payload["cell"] |= {"variant": variant, "model": model}
            trainings.append(payload)
    workloads = [TRAIN | {"variant": variant, "model": model} for variant in VARIANTS]
    launches = [
        launch_payload(number, workloads=workloads, speedups={"tuned": 2.0, "native": 1.5})
        for number in (1, 2, 3)
    ]
    subjects = [
        {"model": model, "variant": variant, "lane": backend, "device": "cpu"}
        for variant in VARIANTS
        for backend in BACKENDS
    ]
    run_folder = store_run(
        results,
        trainings,
        speed=speed_plan(launches),
        parity={"subjects": subjects, "probes": probes},
        variants=list(VARIANTS),
        **plan,
    )
    for payload in launches:
        keep(run_folder, "speed", f"speed-launch{payload['launch']:02}", payload)
    write_answers(run_folder, subjects, ORIGIN, probes)
    return run_folder.path


def side(folder: Path) -> ComparedRun:
    found = shards.read([folder])
    assert found.problems == []
    return ComparedRun(found)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ComparedRun:
    return side(store(tmp_path_factory.mktemp("run"), probes=PROBES))


@pytest.fixture(scope="module")
def compared(run: ComparedRun) -> Comparison:
    return run.comparison


NAMES = ["single_layer", "single_layer tuned", "single_layer native"]


def test_the_variants_are_columns_of_one_figure(compared: Comparison) -> None:
    with style.applied():
        drawn = figures.draw(compared)
    for name in ("parity", "ratios", "throughput", "curves", "seeds", "samples"):
        for panel in drawn[name].panels:
            assert [axes.get_title("left") for axes in panel.figure.axes] == NAMES, name


def test_what_failed_or_is_missing_is_named_with_its_variant(run: ComparedRun) -> None:
    told = alerts(run.comparison)
    assert any(line.startswith("FAILED single_layer tuned, seed 0: crashed") for line in told)
    kept = [s for s in run.found.parity if s.payload.subject.variant != "native"]
    owed = notes.incomplete(replace(run.found, parity=kept))
    assert [line.partition(": ")[2] for line in owed] == [
        f"parity of single_layer native with {backend}: missing" for backend in BACKENDS
    ]


def test_a_rung_that_one_variant_fails_is_told_of_it_alone(compared: Comparison) -> None:
    ladder = compared.ladder.copy()
    ladder.loc[(ladder["variant"] == "tuned") & (ladder["lane"] == "torch"), "P4"] = "fail"
    told = headings(compared, replace(compared, ladder=ladder))
    assert [line for line in told if line.startswith("parity")] == [
        "parity of single_layer tuned with torch, P4: pass before, fail now"
    ]


def test_runs_are_compared_variant_by_variant(run: ComparedRun) -> None:
    assert set(error_changes(run, run)["variant"]) == set(VARIANTS)
    assert set(ratio_changes(run, run)["variant"]) == set(VARIANTS)


def test_all_pages_name_all_variants(compared: Comparison) -> None:
    page = html.report(compared, html.draw(compared))
    stream = io.StringIO()
    terminal.show_all(compared, Console(file=stream, width=120))
    for text in (page, markdown.render(compared).replace("\\", ""), stream.getvalue()):
        for name in NAMES:
            assert name in text


def test_progress_names_the_variant() -> None:
    cells = resolve(models="two_layer", variants="stock,tuned").cells
    stream = io.StringIO()
    progress = Progress(Console(file=stream), cells, Estimates(0, 0, lambda some: 1.0 * len(some)))
    for cell in cells:
        progress.cell_ended(cell, "done")
    told = {line.partition("] ")[2] for line in stream.getvalue().splitlines()}
    assert {"two_layer jax  done", "two_layer tuned jax  done"} <= told
    assert len(told) == len(cells)


def test_a_model_in_capitals_is_no_alarm(tmp_path: Path) -> None:
    """And what is said of it is no better nor worse for its name."""
    own = [{"name": "CNN", "path": "CNN.py", "function": "build", "sha256": "c" * 64}]
    told = ["CNN is not compiled; chosen: Adam", "NO DIFFERENCE is made by NOT compiling it"]
    folder = store(
        tmp_path, probes=PROBES, model="CNN", own_models=own, model_notes=told, models=["CNN"]
    )
    found = comparison.compare(shards.read([folder]))
    assert not set(told) & set(alerts(found))
    assert set(told) <= set(remarks(found))
    grave = {note.text for note in screen(found).notes if note.grave}
    assert grave <= {*alerts(found), "1 more warnings stand below."}


def test_each_variant_stands_beside_what_was_published(compared: Comparison) -> None:
    told = error_lines(replace(compared, published={"single_layer": 1.4}))
    assert [line.partition(",")[0] for line in told] == NAMES
    assert all(line.endswith("the reference published 1.40 %.") for line in told)


def test_conclusions_name_their_variant() -> None:
    row = {"model": "two_layer", "baseline": "single_layer", "device": "cpu", "lane": "jax"}
    figures = {"difference": 0.1, "low": 0.0, "high": 0.2, "seeds": 3, "verdict": "unresolved"}
    table = pd.DataFrame([row | {"variant": variant} | figures for variant in VARIANTS])
    assert [line.partition(":")[0] for line in parity_lines.conclusion_lines(table)] == [
        "two_layer against single_layer, JAX",
        "two_layer tuned against single_layer tuned, JAX",
        "two_layer native against single_layer native, JAX",
    ]


def test_answers_of_two_variants_in_two_runs_may_be_merged(run: ComparedRun) -> None:
    parity = [replace(shard, run_id=shard.payload.subject.variant) for shard in run.found.parity]
    comparable.check(replace(run.found, parity=parity, speed=[], accuracy=[]))
