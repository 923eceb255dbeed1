"""The gate: red and green only where an interval says so."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import __main__ as command
from reports.across_runs import gate, verdicts
from reports.across_runs.changes import LogChange
from reports.across_runs.two_runs import ComparedRun
from tests.support.stored_answers import crash, store_answers
from tests.support.stored_launches import TRUTH, Machine, in_memory, launch_payload, store_launches
from tests.support.stored_runs import PROTOCOL, accuracy_payload, failed_payload, store_run

CALM = Machine(round_sd=0.02, launch_sd=0.01, turn_sd=0.005)
NOISY = Machine(round_sd=0.05, launch_sd=0.05, turn_sd=0.05)


def launches(slowdown: float = 1.0, machine: Machine = CALM, seed: int = 0) -> list[Any]:
    torch = TRUTH["torch"]
    truth = TRUTH | {"torch": replace(torch, step_seconds=slowdown * torch.step_seconds)}
    return [launch_payload(n, truth=truth, machine=machine, seed=seed) for n in range(1, 9)]


def verdict_of_torch(old: list[Any], new: list[Any]) -> str:
    before, after = (ComparedRun(in_memory(payloads)[0]) for payloads in (old, new))
    checks = gate.check(before, after, 0.05, None)
    (verdict,) = (check.verdict for check in checks if check.what.endswith("torch"))
    return verdict


def test_what_is_slower_is_stopped_and_what_is_not_goes_through() -> None:
    assert verdict_of_torch(launches(), launches(seed=1)) == verdicts.PASS
    assert verdict_of_torch(launches(), launches(1.2, seed=1)) == verdicts.FAIL
    assert verdict_of_torch(launches(), launches(0.8, seed=1)) == verdicts.PASS  # faster


def test_what_lies_at_the_limit_or_in_noise_is_neither() -> None:
    assert verdict_of_torch(launches(), launches(1.053, seed=1)) == verdicts.INCONCLUSIVE
    noisy = [launches(machine=NOISY, seed=seed)[:3] for seed in (0, 1)]
    assert verdict_of_torch(*noisy) == verdicts.INCONCLUSIVE


def test_a_gate_is_rarely_red_without_a_cause_or_green_with_one() -> None:
    """At the limit itself, where luck would decide: 5 % may be green, and less be red."""
    generator = np.random.default_rng(0)
    limit = -np.log1p(-0.05)
    seen: Counter[str] = Counter()
    for _ in range(800):
        old, new = generator.normal(0, 0.05, (2, 6))
        interval = gate.slowdown(LogChange(((old, new - limit),)))
        figure = verdicts.Figure("speed", "", limit=limit, interval=interval)
        seen[verdicts._judged(figure, family=6).verdict] += 1
    assert seen[verdicts.PASS] <= 56
    assert seen[verdicts.FAIL] <= 14


def gated(old: Path, new: Path, *options: str) -> int:
    return command.main(["gate", str(new), "--against", str(old), *options])


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = range(3)
    payloads = [accuracy_payload("jax", seed=seed) for seed in seeds]
    good, bad, same = (
        store_run(tmp_path, payloads, wrong=lambda cell, w=w: w + cell["seed"]).path  # type: ignore[misc]
        for w in (2, 9, 2)
    )
    single = store_run(tmp_path, payloads[:1]).path
    other = store_run(tmp_path, payloads[:1], wrong=lambda _: 3).path
    limit = ("--max-error-increase", "0.3")
    assert gated(good, same, *limit) == 0
    assert gated(good, bad, *limit) == 1
    assert gated(bad, good, *limit) == 0
    assert gated(single, other, *limit) == 3
    assert "--seeds 3" in capsys.readouterr().out
    fallen = store_run(tmp_path, [failed_payload("jax")]).path
    assert gated(single, fallen, *limit) == 4
    absent = store_run(tmp_path, [accuracy_payload("torch")]).path
    assert gated(single, absent, *limit) == 4
    assert "MISSING error of single_layer jax" in capsys.readouterr().out
    assert gated(good, single, *limit) == 4
    assert "seeds 1, 2 are not in this run" in capsys.readouterr().out
    diverged = store_run(tmp_path, payloads[:1], wrong=lambda _: 190).path
    assert gated(diverged, diverged, *limit) == 1
    assert "FAIL training of single_layer jax, seed 0: diverged" in capsys.readouterr().out
    assert gated(good, same, "--max-slowdown", "5%", *limit) == 3
    assert "INCONCLUSIVE speed: the baseline has none" in capsys.readouterr().out
    # What the baseline lacks cannot be judged, and must not go through as if it had been.
    halved = store_run(tmp_path, [payloads[0], failed_payload("torch")]).path
    capsys.readouterr()
    assert gated(halved, single, *limit) == 3
    assert "INCONCLUSIVE the baseline's training of single_layer torch" in capsys.readouterr().out
    next(other.glob("shards/single*.json")).write_text("{")
    assert gated(single, other, *limit) == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "another"}, "measured on two machines"),
        ({"id": "another", "identity": "boot"}, "BENCH_MACHINE=NAME, set for both runs"),
        ({"id": "another", "identity": "boot", "cores": 1}, "measured on two machines"),
        ({"quota_cpus": 1.5}, "more or less of the machine could be used"),
    ],
)
def test_speeds_of_two_machines_are_not_gated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], words: str
) -> None:
    here, there = launches(), launches(1.2)
    for payload in there:
        payload["machine"] = payload["machine"] | changes
    folders = [store_launches(tmp_path, payloads).path for payloads in (here, there)]
    assert gated(folders[0], folders[1], "--max-slowdown", "5%") == 3
    assert words in " ".join(capsys.readouterr().out.split())
    assert command.main(["compare", *map(str, folders)]) == 0
    told = capsys.readouterr().out
    assert words in " ".join(told.split())
    assert "ratios of speeds" in told
    assert "\nspeed\n" not in told


def test_runs_of_other_things_are_not_comparable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = accuracy_payload("jax"), accuracy_payload("jax")
    other["protocol"] = other["protocol"] | {"dataset": "digits", "dataset_sha256": "e" * 64}
    reordered = accuracy_payload("jax")
    reordered["training"]["batches_sha256"] = "e" * 64
    folders = [store_run(tmp_path, [payload]).path for payload in (one, other, reordered)]
    for new in folders[1:]:
        assert gated(folders[0], new, "--max-error-increase", "0.3") == 5
        assert command.main(["compare", str(folders[0]), str(new)]) == 5
        assert capsys.readouterr().err.count("not comparable") == 2
    there = launches(seed=1)
    for payload in there:
        payload["dataset_sha256"] = "e" * 64
    speeds = [store_launches(tmp_path, launches()).path]
    speeds.append(
        store_launches(tmp_path, there, protocol=PROTOCOL | {"dataset_sha256": "e" * 64}).path
    )
    assert gated(speeds[0], speeds[1], "--max-slowdown", "5%") == 5


def test_every_code_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What fails beside the figures, or what the run was not asked any more."""

    def wrong(_: Any, arrays: Any) -> None:
        arrays["gradients.gradient0"] = 2 * arrays["gradients.gradient0"]

    asked, failing = store_answers(tmp_path).path, store_answers(tmp_path, torch=wrong).path
    limit = ("--max-error-increase", "0.3")
    assert gated(asked, failing, *limit) == 1
    assert "FAIL parity of single_layer torch: P3" in " ".join(capsys.readouterr().out.split())
    fewer = store_answers(tmp_path, ("jax", "torch")).path
    assert gated(asked, fewer, *limit) == 4
    assert "MISSING parity of single_layer tensorflow" in capsys.readouterr().out
    dead = store_answers(tmp_path, torch=crash).path
    assert gated(dead, dead, *limit) == 4
    assert "INCONCLUSIVE the baseline: INCOMPLETE" in capsys.readouterr().out
    # An empty run can be compared, too.
    assert command.main(["compare", str(dead), str(asked)]) == 0
    assert "parity of single_layer with torch, P0: fail before, pass now" in (
        capsys.readouterr().out
    )


def test_a_run_that_was_cut_off_at_once_can_be_compared(tmp_path: Path) -> None:
    cut = store_run(tmp_path, [], planned=[accuracy_payload("jax")]).path
    assert command.main(["compare", str(cut), str(cut)]) == 0


def test_a_run_that_is_not_trusted_is_not_let_through(tmp_path: Path) -> None:
    good, bad = launches(), launches(seed=1)
    for payload in bad:
        for item in payload["rounds"]:
            item["evidence"]["steal_percent"] = 90.0
    old, new = (store_launches(tmp_path, payloads).path for payloads in (good, bad))
    assert gated(old, new, "--max-slowdown", "5%") == 3
    assert gated(new, old, "--max-slowdown", "5%") == 3


def test_compare_says_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [store_launches(tmp_path, p).path for p in (launches(), launches(1.2, seed=1))]
    assert command.main(["compare", *map(str, folders)]) == 0
    told = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert any("PyTorch" in line and line.endswith("slower") for line in lines)
    tables = told[told.index("\nspeed\n") : told.index("\nreport: ")]
    assert max(map(len, tables.splitlines())) <= 110
    assert "single_layer under PyTorch trains 0.8" in told
    page = (folders[1] / "compare.html").read_text()
    for text in (page, (folders[1] / "compare.md").read_text().replace("\\", "")):
        assert "single_layer under PyTorch trains 0.8" in text
        assert "start-up s" in text


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--max-slowdown", "-1%"),
        ("--max-slowdown", "x%"),
        ("--max-slowdown", "100%"),
        ("--max-slowdown", "0.05"),
        ("--max-error-increase", "x"),
    ],
)
def test_bad_options_are_usage(tmp_path: Path, options: tuple[str, ...]) -> None:
    try:
        code: Any = gated(tmp_path, tmp_path, *options)
    except SystemExit as error:
        code = error.code
    assert code == 2
