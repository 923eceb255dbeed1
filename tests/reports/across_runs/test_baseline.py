"""Ratios that a repository keeps, and later runs on other machines that are judged by them."""

import copy
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import __main__ as command
from reports.across_runs import baseline, baseline_gate, verdicts
from reports.across_runs.two_runs import ComparedRun
from reports.read import shards
from reports.statistics.intervals import LaunchValues
from tests.support.stored_answers import store_answers
from tests.support.stored_launches import (
    TRAIN,
    TRUTH,
    Machine,
    Truth,
    launch_payload,
    store_launches,
)
from tests.support.stored_runs import accuracy_payload, store_run

CALM = Machine(round_sd=0.02, launch_sd=0.01, turn_sd=0.005)
VARIANTS = [TRAIN, TRAIN | {"variant": "tuned"}]


def run(folder: Path, seed: int = 0, machine: Any = None, **slower: float) -> Path:
    """A run of eight launches in which some backends take so many times as long."""
    truth = {
        name: Truth(one.step_seconds * slower.get(name, 1.0), one.call_seconds)
        for name, one in TRUTH.items()
    }
    made = [
        launch_payload(n, truth=truth, machine=CALM, seed=seed, workloads=VARIANTS)
        for n in range(1, 9)
    ]
    for each in made:
        each["machine"] = each["machine"] | {"id": f"m{seed}"} | (machine or {})
    return store_launches(folder, made).path


def keep(folder: Path, file: Path) -> int:
    return command.main(["baseline", str(folder), "--output", str(file)])


def gated(folder: Path, file: Path, *options: str) -> int:
    return command.main(["gate", str(folder), "--against", str(file), *options])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "baseline.json"
    assert keep(run(tmp_path), made) == 0
    return made


Told = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("slower", "code"),
    [
        ({}, 0),
        ({"torch": 1.2}, 1),
        ({"torch": 0.8}, 3),  # or did both others lose?
        ({"tensorflow": 1.2}, 1),
        ({"torch": 1.2, "jax": 1.2, "tensorflow": 1.2}, 0),  # a slower machine, or model
        ({"torch": 1.055}, 3),
    ],
)
def test_who_lost_relative_to_all_others_is_stopped_on_any_machine(
    tmp_path: Path, file: Path, slower: Mapping[str, float], code: int, capsys: Told
) -> None:
    assert gated(run(tmp_path, 1, **slower), file, "--max-slowdown", "5%") == code
    told = capsys.readouterr().out
    if code:
        (name,) = slower
        word = {1: "FAIL", 3: "INCONCLUSIVE"}[code]
        assert ("it gained, or all others lost" in told) == (slower == {"torch": 0.8})
        lines = [line for line in told.splitlines() if line.startswith(word)]
        assert {f" {name} relative to " in line for line in lines} == {True}
        assert len(lines) == 2  # as shipped, and tuned


def test_two_that_lost_together_are_not_let_through(
    tmp_path: Path, file: Path, capsys: Told
) -> None:
    assert gated(run(tmp_path, 1, torch=1.3, jax=1.3), file, "--max-slowdown", "5%") == 3
    told = capsys.readouterr().out
    assert "speed of single_layer tensorflow relative to jax and torch" in told
    assert "it gained, or all others lost" in told


def test_of_two_either_may_be_the_one_and_both_are_told(tmp_path: Path, capsys: Told) -> None:
    def two(seed: int, jax: float) -> Path:
        truth = {"tensorflow": TRUTH["tensorflow"], "jax": Truth(0.008 * jax)}
        made = [launch_payload(n, truth=truth, machine=CALM, seed=seed) for n in range(1, 9)]
        return store_launches(tmp_path, made).path

    kept = tmp_path / "two.json"
    assert keep(two(0, 1.0), kept) == 0
    assert gated(two(1, 1.2), kept, "--max-slowdown", "5%") == 1
    told = capsys.readouterr().out
    assert "FAIL speed of single_layer jax relative to tensorflow: 0.8" in told
    assert "PASS speed of single_layer tensorflow relative to jax: 1.1" in told


def test_what_tuning_brings_is_judged_within_a_backend(tmp_path: Path, capsys: Told) -> None:
    def tuned(seed: int, gain: float) -> Path:
        made = [
            launch_payload(n, machine=CALM, seed=seed, workloads=VARIANTS, speedups={"tuned": gain})
            for n in range(1, 9)
        ]
        return store_launches(tmp_path, made).path

    kept = tmp_path / "tuned.json"
    assert keep(tuned(0, 2.0), kept) == 0
    assert gated(tuned(1, 2.0), kept, "--max-slowdown", "5%") == 0
    capsys.readouterr()
    assert gated(tuned(1, 1.6), kept, "--max-slowdown", "5%") == 1
    told = capsys.readouterr().out
    assert "FAIL speed of single_layer tuned jax relative to stock: 0.79" in told


def test_another_kind_of_machine_cannot_be_told_until_it_is_added(
    tmp_path: Path, file: Path, capsys: Told
) -> None:
    there = run(tmp_path, 2, {"cores": 8})
    assert gated(there, file, "--max-slowdown", "5%") == 3
    told = capsys.readouterr().out
    assert "has no ratios of CPU | <b>model</b>, 8 cores, only of: CPU | <b>model</b>, 2" in told
    assert "nox -s report -- baseline RUN --output FILE keeps it" in told
    assert keep(there, file) == 0
    assert set(baseline.read(file).kinds) == {
        "CPU | <b>model</b>, 2 cores",
        "CPU | <b>model</b>, 8 cores",
    }
    assert gated(run(tmp_path, 3, {"cores": 8}), file, "--max-slowdown", "5%") == 0
    assert gated(run(tmp_path, 4), file, "--max-slowdown", "5%") == 0


def test_a_backend_that_is_gone_is_missing(tmp_path: Path, file: Path, capsys: Told) -> None:
    truth = {name: TRUTH[name] for name in ("tensorflow", "jax")}
    made = [launch_payload(n, truth=truth, workloads=VARIANTS) for n in range(1, 9)]
    left = store_launches(tmp_path, made).path
    assert gated(left, file, "--max-slowdown", "5%") == 4
    assert "MISSING speed of single_layer torch" in capsys.readouterr().out


def test_a_wrong_answer_stops_whatever_the_speeds_are(tmp_path: Path, file: Path) -> None:
    def wrong(_: Any, arrays: Any) -> None:
        arrays["forward.odd33.logits"] = 1.01 * arrays["forward.odd33.logits"]

    folder = store_answers(tmp_path, ("jax", "torch"), jax=wrong).path
    checks = baseline_gate.check(baseline.read(file), ComparedRun(shards.read([folder])), None, 1.0)
    assert verdicts.FAIL in {one.verdict for one in checks if one.what.startswith("parity")}


def test_errors_are_judged_on_any_machine(tmp_path: Path, capsys: Told) -> None:
    def trained(wrong: int, cores: int = 2, seeds: int = 3) -> Path:
        cells = [accuracy_payload("jax", seed=seed) for seed in range(seeds)]
        for cell in cells:
            cell["machine"]["cores"] = cores
        return store_run(tmp_path, cells, wrong=lambda cell: wrong + cell["seed"]).path

    kept, limit = tmp_path / "errors.json", ("--max-error-increase", "0.3")
    assert keep(trained(2), kept) == 0
    assert gated(trained(2, cores=8), kept, *limit) == 0
    assert "every answer the same" in capsys.readouterr().out
    assert gated(trained(9), kept, *limit) == 1
    assert gated(trained(2, seeds=2), kept, *limit) == 4
    assert "seeds 2 are not in this run" in capsys.readouterr().out
    assert gated(trained(2), kept, "--max-slowdown", "5%") == 3


def test_what_a_run_has_none_of_stays(tmp_path: Path, file: Path) -> None:
    (before,) = baseline.read(file).kinds.values()
    cells = [accuracy_payload("jax", seed=seed) for seed in range(3)]
    assert keep(store_run(tmp_path, cells).path, file) == 0
    (after,) = baseline.read(file).kinds.values()
    assert (after.ratios, len(after.trainings)) == (before.ratios, 3)
    other = copy.deepcopy(cells)
    for cell in other:
        cell["protocol"] = cell["protocol"] | {"batch_size": 32}
    assert keep(store_run(tmp_path, other).path, file) == 5
    assert baseline.read(file).kinds.popitem()[1] == after


def test_errors_of_another_kind_of_machine_will_do(tmp_path: Path, file: Path) -> None:
    cells = [accuracy_payload("jax", seed=seed) for seed in range(3)]
    for cell in cells:
        cell["machine"] = cell["machine"] | {"cores": 8}
    made = store_run(tmp_path, cells).path
    assert keep(made, file) == 0
    assert gated(made, file, "--max-error-increase", "0.3") == 0


def test_a_run_in_doubt_is_no_baseline(tmp_path: Path, capsys: Told) -> None:
    made = [launch_payload(number) for number in (1, 2, 3)]
    for each in made:
        for one in each["rounds"]:
            one["evidence"] = one["evidence"] | {"throttled_seconds": 0.1}
    assert keep(store_launches(tmp_path, made).path, tmp_path / "b.json") == 5
    assert "a run that is itself in doubt: UNTRUSTED" in capsys.readouterr().err
    single = store_launches(tmp_path, [launch_payload(1)]).path
    assert keep(single, tmp_path / "b.json") == 5
    assert "nothing in this run has an interval" in capsys.readouterr().err
    assert not (tmp_path / "b.json").exists()


def _with_logs(told: Any, logs: list[float]) -> Any:
    for kind in told["kinds"].values():
        kind["ratios"][0]["logs"] = logs
    return told


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "nonsense",
        lambda told: told | {"schema": 2},
        lambda told: told | {"more": 1},
        lambda told: _with_logs(told, []),
        lambda told: _with_logs(told, [0.1]),
        lambda told: _with_logs(told, [0.1, 0.1, 1000.0]),
        lambda _: {"schema": 1, "kinds": {"CPU": {}}},
        lambda _: [[[]]],
    ],
)
def test_a_file_that_is_no_baseline_is_a_line(
    tmp_path: Path, file: Path, change: Any, capsys: Told
) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    assert gated(run(tmp_path, 1), file, "--max-slowdown", "5%") == 5
    assert "no baseline" in capsys.readouterr().err


def test_runs_of_another_protocol_are_not_comparable(
    tmp_path: Path, file: Path, capsys: Told
) -> None:
    told = json.loads(file.read_text())
    (kind,) = told["kinds"].values()
    kind["protocol"]["batch_size"] = 32
    file.write_text(json.dumps(told))
    assert gated(run(tmp_path, 1), file, "--max-slowdown", "5%") == 5
    assert "another protocol, or on other data" in capsys.readouterr().err


def test_it_is_rarely_red_without_a_cause_or_green_with_one() -> None:
    """At the limit itself, of three backends of which one lost just as much as is allowed."""
    generator, limit, seen = np.random.default_rng(0), verdicts.slowdown_limit(0.05), Counter[str]()
    for _ in range(600):
        first, second = (generator.normal(0, 0.03, (3, 6)) for _ in range(2))
        second[0] -= limit

        def lost(other: int, old: LaunchValues = first, new: LaunchValues = second) -> Any:
            return baseline_gate._loss(old[0] - old[other], new[0] - new[other], inverted=False)

        ends = verdicts.least([lost(1), lost(2)])
        figure = verdicts.Figure("", "", limit=limit, interval=ends)
        seen[verdicts._judged(figure, family=6).verdict] += 1
    assert seen[verdicts.PASS] <= 45
    assert seen[verdicts.FAIL] <= 15


def test_the_file_is_small(file: Path) -> None:
    assert file.stat().st_size < 20_000
