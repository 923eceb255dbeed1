"""The speed half as a user runs it, with fake workers."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from bench import selfcheck
from bench.planning.plan import ROOT
from bench.process import machine_lock
from tests.support.front_end import (
    assert_all_end,
    descendants,
    environment,
    run_bench,
    run_bench_as_users_do,
    started,
    wait_for,
)

FakePython = Callable[[str], str]
BOTH = ("-k", "test_accuracy or (test_speed and train)")


@pytest.fixture
def workers(fake_python: FakePython) -> dict[str, str]:
    return dict.fromkeys(("tensorflow", "jax", "torch"), fake_python("good"))


def table(results: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(results / "latest" / "tables" / f"{name}.csv")


def test_both_halves_from_options_to_report(workers: dict[str, str], tmp_path: Path) -> None:
    told = run_bench_as_users_do(tmp_path, workers, *BOTH, "--models", "two_layer", "--epochs", "2")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "5 launches of at most 4 lanes in turn" in told.stdout
    assert "speed  launch 5: round 6/6" in told.stdout
    shards = {path.stem for path in (tmp_path / "latest" / "shards").glob("speed-*.json")}
    assert shards == {f"speed-launch0{number}" for number in range(1, 6)}
    ratios = table(tmp_path, "ratios")
    # All fake lanes are alike: three pairs and a twin.
    assert len(ratios) == 4
    assert set(ratios["verdict"]) == {"equivalent"}
    assert ratios["ratio"].to_list() == pytest.approx([1] * 4)
    speed = table(tmp_path, "speed")
    assert len(speed) == 3
    assert set(speed["status"]) == {"ok"}
    assert speed["rounds"].between(25, 30).all()  # 30, less what the kernel voided
    # Speed comes before trainings, and what is known by then is told at once.
    lines = told.stdout.splitlines()
    so_far = next(n for n, line in enumerate(lines) if line.startswith("fastest in training"))
    assert "launch 5" in lines[so_far - 1]
    assert any("starting" in line for line in lines[so_far:])
    assert len(table(tmp_path, "costs")) == 3
    assert len(table(tmp_path, "break_even")) == 6


@pytest.mark.parametrize(("variant", "code"), [("late", 0), ("tuned", 4)])
def test_a_variant_that_cannot_be_had_is_a_row(
    fake_python: FakePython, tmp_path: Path, variant: str, code: int
) -> None:
    """Of a setting on its own that is a result; of the three it is an absence."""
    workers = {"jax": fake_python("good"), "torch": fake_python("bad_variant")}
    options = ("-k", "test_speed and two_layer and train", "--suite", "smoke")
    told = run_bench(tmp_path, workers, *options, "--variants", f"stock,{variant}")
    assert told.returncode == code, told.stdout + told.stderr
    speed = table(tmp_path, "speed").set_index(["variant", "lane"])["status"]
    assert speed.to_dict() == {
        ("stock", "jax"): "ok",
        ("stock", "torch"): "ok",
        (variant, "jax"): "ok",
        (variant, "torch"): "failed",
    }
    found = table(tmp_path, "variants").set_index("lane")
    assert found["verdict"].to_dict() == {"jax": "indicative", "torch": "failed"}
    assert found.loc["torch", "error"] == "RuntimeError: no compiler"
    assert f"two_layer {variant} cannot be prepared under PyTorch" in told.stdout


def test_pytest_benchmark_has_every_round_by_workload(
    workers: dict[str, str], tmp_path: Path
) -> None:
    options = ("-k", "test_speed and two_layer", "--suite", "smoke")
    assert run_bench(tmp_path, workers, *options).returncode == 0
    file = tmp_path / "latest" / "benchmark.json"
    benchmarks = json.loads(file.read_text())["benchmarks"]
    assert len(benchmarks) == 12
    groups = {benchmark["group"] for benchmark in benchmarks}
    assert groups == {
        "two_layer stock train, batch 200",
        "two_layer stock evaluate, batch 200",
        "two_layer stock predict, batch 200",
        "two_layer stock predict, batch 1",
    }
    for benchmark in benchmarks:
        train = "train" in benchmark["group"]
        assert benchmark["stats"]["data"] == pytest.approx([1e-6] * (6 if train else 1), rel=1e-12)
        assert benchmark["extra_info"]["steps"] == 8
    compared = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", str(file), "--group-by=group"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "two_layer stock train, batch 200" in compared.stdout


def test_one_launch_makes_no_claim(workers: dict[str, str], tmp_path: Path) -> None:
    told = run_bench(tmp_path, workers, "-k", "test_speed and train", "--suite", "smoke")
    assert told.returncode == 0
    assert set(table(tmp_path, "ratios")["verdict"]) == {"indicative"}
    assert table(tmp_path, "ratios")["low"].isna().all()
    assert "nothing is claimed" in told.stdout


def test_fault_01_a_lane_that_always_dies_fails_the_run_and_the_others_are_measured(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    workers["jax"] = fake_python("segfault")
    told = run_bench(tmp_path, workers, "-k", "test_speed and two_layer and train")
    assert told.returncode == 4
    assert "killed by SIGSEGV" in told.stdout
    ratios = table(tmp_path, "ratios").set_index(["lane", "baseline"])["verdict"]
    assert ratios["tensorflow", "jax"] == "missing"
    assert ratios["tensorflow", "torch"] == "equivalent"
    speed = table(tmp_path, "speed").set_index("lane")["status"]
    assert speed.to_dict() == {"tensorflow": "ok", "jax": "crashed", "torch": "ok"}


def test_a_run_that_is_killed_amid_a_launch_goes_on_with_the_next(
    workers: dict[str, str], tmp_path: Path
) -> None:
    options = ("-k", "test_speed and two_layer and train")
    with started(tmp_path, workers, *options) as process:
        wait_for(process, "launch 2: round 1")
        children = descendants(process)
        process.send_signal(signal.SIGKILL)
    assert_all_end(children)
    first = tmp_path / "latest" / "shards" / "speed-launch01.json"
    before = first.read_bytes()
    told = run_bench(tmp_path, workers, "--resume", "latest")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 launches are done" in told.stdout
    assert first.read_bytes() == before
    assert table(tmp_path, "speed")["launches"].to_list() == [5, 5, 5]


def test_an_interrupt_while_lanes_start_ends_the_run_at_once(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    workers["jax"] = fake_python("hangs_preparing")
    with started(tmp_path, workers, "-k", "test_speed and train") as process:
        wait_for(process, "starting all lanes")
        children = descendants(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130  # long before a silent worker is given up
    assert_all_end(children)


@pytest.mark.parametrize("part", ["test_speed and two_layer and train", "test_accuracy"])
def test_a_run_goes_on_with_the_same_versions_and_settings_alone(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path, part: str
) -> None:
    options = ("-k", part, "--suite", "smoke")
    assert run_bench(tmp_path, workers, *options).returncode == 0
    for change in ("other_version", "other_settings"):
        workers["jax"] = fake_python(change)
        told = run_bench(tmp_path, workers, "--resume", "latest")
        assert told.returncode == 2
        assert "or on other cores, with other versions or settings; go on as it was" in told.stderr


def test_a_budget_ends_the_run(workers: dict[str, str], tmp_path: Path) -> None:
    options = ("-k", "test_speed and two_layer and train", "--budget", "1s")
    told = run_bench(tmp_path, workers, *options)
    assert told.returncode == 0
    assert "at most 1 s" in told.stdout
    launches = table(tmp_path, "speed")["launches"]
    assert launches.between(1, 4).all()


def test_precision_ends_the_run_at_the_first_look(workers: dict[str, str], tmp_path: Path) -> None:
    del workers["tensorflow"]
    options = ("-k", "test_speed and two_layer and train and not twin", "--precision", "3%")
    assert run_bench(tmp_path, workers, *options).returncode == 0
    assert table(tmp_path, "speed")["launches"].to_list() == [5, 5]


def test_a_campaign_against_itself(fake_python: FakePython, tmp_path: Path) -> None:
    told = subprocess.run(
        [
            sys.executable,
            *("-m", "bench.selfcheck", "--campaign", "1", "--results", str(tmp_path)),
            f"--worker=torch={fake_python('good')}",
        ],
        cwd=ROOT,
        env=environment(BENCH_MNIST=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 runs of a backend against itself" in told.stdout
    assert "false verdicts (faster or slower): 0" in told.stdout


def test_a_campaign_waits_for_a_run_of_this_machine(
    fake_python: FakePython, tmp_path: Path
) -> None:
    lock = Path(os.environ["TMPDIR"]) / machine_lock.NAME
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with psutil.Popen(
            [
                *(sys.executable, "-m", "bench.selfcheck", "--campaign", "1"),
                *("--results", str(tmp_path), f"--worker=torch={fake_python('good')}"),
            ],
            cwd=ROOT,
            env=environment(BENCH_MNIST=""),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            wait_for(process, "Another run is in progress on this machine")
            process.kill()
    assert list(tmp_path.glob("2*")) == []


def rows(*ratios: tuple[float, float, float, str]) -> pd.DataFrame:
    return pd.DataFrame(ratios, columns=["ratio", "low", "high", "verdict"])


def test_false_claims_are_counted() -> None:
    frame = rows(
        (1.0, 0.98, 1.02, "equivalent"),
        (1.1, 1.06, 1.14, "faster"),
        (1.03, 1.01, 1.05, "equivalent"),
        (0.9, 0.85, 0.94, "slower"),
    )
    told = selfcheck.summary(frame, 1.0)
    assert "false verdicts (faster or slower): 2" in told
    assert "exclude 1 (5 % expected): 3" in told
    assert not selfcheck.passes(frame, 1.0)
    assert selfcheck.passes(frame[:1], 1.0)


def test_found_slowdowns_are_counted() -> None:
    frame = rows((0.91, 0.89, 0.93, "slower"), (0.97, 0.93, 1.01, "unresolved"))
    told = selfcheck.summary(frame, 1.1)
    assert "called slower: 1" in told
    assert "hold the true ratio 0.909 (95 % expected): 1" in told
    assert not selfcheck.passes(frame, 1.1)
    assert selfcheck.passes(frame[:1], 1.1)


def test_a_disturbed_campaign_is_held_to_widths_and_truth() -> None:
    calm = rows(*[(1.0, 0.97, 1.03, "equivalent")] * 2).assign(disturbed=False, void=0)
    loaded = rows(*[(1.0, 0.965, 1.035, "equivalent")] * 2).assign(disturbed=True, void=4)
    frame = pd.concat([calm, loaded], ignore_index=True)
    assert selfcheck.bears_disturbance(frame, 1.0)
    told = selfcheck.disturbed_summary(frame, 1.0)
    assert "1.17 times as wide" in told
    assert "hold the true ratio 1.000 beside it: 2" in told
    assert "void: 8 beside it, 0 without" in told
    wide = frame.assign(high=frame["high"].where(~frame["disturbed"], 1.2))
    assert not selfcheck.bears_disturbance(wide, 1.0)
    wrong = frame.assign(low=frame["low"].where(~frame["disturbed"], 1.001))
    assert not selfcheck.bears_disturbance(wrong, 1.0)


def test_a_twin_alone_is_no_comparison(workers: dict[str, str], tmp_path: Path) -> None:
    told = run_bench(tmp_path, workers, "-k", "test_speed and torch-twin")
    assert told.returncode == 2
    assert told.stderr == "error: a twin without its original is selected: torch-twin\n"


def test_a_campaign_that_measured_nothing_does_not_pass() -> None:
    nothing = rows(*[(float("nan"), float("nan"), float("nan"), "missing")] * 3)
    for slowdown in (1.0, 1.1):
        assert not selfcheck.passes(nothing, slowdown)
        assert "only 0 of 3 runs gave an interval" in selfcheck.summary(nothing, slowdown)
