import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from tests.support.fake_worker import EPOCH
from tests.support.front_end import run_bench, run_bench_as_users_do

FakePython = Callable[[str], str]


@pytest.fixture
def workers(fake_python: FakePython) -> dict[str, str]:
    return dict.fromkeys(("tensorflow", "jax", "torch"), fake_python("good"))


def table(results: Path) -> pd.DataFrame:
    return pd.read_csv(results / "latest" / "tables" / "accuracy.csv")


def test_one_command_from_options_to_report(workers: dict[str, str], tmp_path: Path) -> None:
    told = run_bench_as_users_do(tmp_path / "r", workers, "--seeds", "2")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "12 trainings of 10 epochs" in told.stdout
    assert "jax 1.0.0 on cpu: ready" in told.stdout
    assert re.search(r"\[1/12\] single_layer tensorflow seed 0  epoch 10/10", told.stdout)
    assert len(table(tmp_path / "r")) == 12
    assert set(table(tmp_path / "r")["status"]) == {"ok"}
    run = (tmp_path / "r" / "latest").resolve()
    assert {path.name for path in run.iterdir()} == {
        ".lock",
        "benchmark.json",
        "comment.md",
        "figures",
        "junit.xml",
        "report.html",
        "report.md",
        "shards",
        "tables",
    }
    (suite,) = ElementTree.parse(run / "junit.xml").getroot()  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("12", "0", "0")
    assert [path.name for path in (run / "shards").glob(".*")] == []


def test_pytest_benchmark_reads_the_very_seconds_that_were_measured(
    workers: dict[str, str], tmp_path: Path
) -> None:
    assert run_bench(tmp_path, workers, "--models", "two_layer").returncode == 0
    file = tmp_path / "latest" / "benchmark.json"
    benchmarks = json.loads(file.read_text())["benchmarks"]
    assert len(benchmarks) == 3
    for benchmark in benchmarks:
        assert benchmark["group"] == "two_layer stock epoch, batch 200"
        assert benchmark["stats"]["data"] == [EPOCH["train_seconds"]] * 10
        assert benchmark["extra_info"]["cell"]["model"] == "two_layer"
    compared = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0
    assert "test_accuracy[two_layer-stock-jax-cpu-seed0]" in compared.stdout


def test_a_lane_that_dies_is_a_row_and_the_others_go_on(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    told = run_bench(tmp_path, workers | {"jax": fake_python("segfault")}, "--epochs", "1")
    assert told.returncode == 4
    assert "crashed: jax on cpu: killed by SIGSEGV" in told.stdout
    assert "Traceback" not in told.stdout + told.stderr
    statuses = table(tmp_path).groupby("lane")["status"].unique()
    assert statuses.map(list).to_dict() == {
        "jax": ["crashed"],
        "tensorflow": ["ok"],
        "torch": ["ok"],
    }


@pytest.mark.parametrize(
    "faults",
    [
        {
            "too_few_steps": "79 steps were trained, not 80",
            "too_few_epochs": "were trained, not 1 ... 10",
            "no_predictions": "stored no predictions",
        },
        {
            "other_accuracy": "predictions are right; the last epoch said",
            "raises": "ValueError: bad",
            "epochs_in_no_time": "torch on cpu: said what no report reads: Expected `float` >=",
        },
    ],
)
def test_a_wrong_result_is_never_shown_as_right(
    fake_python: FakePython, tmp_path: Path, faults: dict[str, str]
) -> None:
    workers = {
        backend: fake_python(behaviour)
        for backend, behaviour in zip(("tensorflow", "jax", "torch"), faults, strict=False)
    }
    told = run_bench(tmp_path, workers, "--models", "two_layer")
    assert told.returncode == 4
    for words in faults.values():
        assert words in " ".join(told.stdout.split())
    assert len(table(tmp_path)) == len(faults)
    assert table(tmp_path)["error_percent"].isna().all()


def test_fault_24_nan_predictions_have_diverged(fake_python: FakePython, tmp_path: Path) -> None:
    told = run_bench(tmp_path, {"jax": fake_python("diverged")}, "--models", "two_layer")
    assert told.returncode == 1
    assert table(tmp_path)["status"].tolist() == ["diverged"]


def test_other_batches_are_refused(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    told = run_bench(tmp_path, workers | {"jax": fake_python("other_batches")})
    assert told.returncode == 5
    assert "batches differ" in told.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "0"], "--epochs must be an integer from 1 to 10,000 (got '0')"),
        (["--batch-size", "-2"], "--batch-size"),
        (["--models", "x"], "--models: unknown 'x'"),
        (["--suite", "x"], "--suite: unknown 'x'"),
        (["--resume", "x"], "--resume: no run 'x'"),
    ],
)
def test_a_bad_option_is_one_line_and_leaves_nothing(
    workers: dict[str, str], tmp_path: Path, options: list[str], words: str
) -> None:
    told = run_bench(tmp_path / "r", workers, *options)
    assert told.returncode == 2
    assert words in told.stderr
    assert told.stderr.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_a_selection_that_matches_nothing_is_a_usage_error(
    workers: dict[str, str], tmp_path: Path
) -> None:
    told = run_bench(tmp_path, workers, "-k", "nothing")
    assert told.returncode == 2
    assert told.stderr.startswith("error: nothing is selected")


def test_a_selection_is_all_that_is_required(workers: dict[str, str], tmp_path: Path) -> None:
    small = ("--batch-size", "20", "--suite", "smoke")
    assert run_bench(tmp_path, workers, "-k", "single_layer and jax", *small).returncode == 0
    assert table(tmp_path)["lane"].tolist() == ["jax"]


@pytest.mark.parametrize("behaviour", ["no_keras", "wrong_backend"])
def test_a_broken_backend_ends_the_run_before_it_begins(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path, behaviour: str
) -> None:
    told = run_bench(tmp_path, workers | {"jax": fake_python(behaviour)})
    assert told.returncode == 4
    assert "jax on cpu" in told.stderr
    assert "Traceback" not in told.stderr
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["data"]


def test_a_missing_backend_cannot_be_left_out_silently(
    workers: dict[str, str], tmp_path: Path
) -> None:
    del workers["jax"]
    workers["torch"] = str(tmp_path / "nowhere")
    told = run_bench(tmp_path, workers, BENCH_BACKENDS="tensorflow,torch")
    assert told.returncode == 4
    assert "torch: cannot start" in told.stderr


def test_fault_20_a_gpu_that_is_not_there(workers: dict[str, str], tmp_path: Path) -> None:
    told = run_bench(tmp_path, workers, BENCH_DEVICE="gpu")
    assert told.returncode == 4
    assert told.stderr.count("device is 'cpu', wanted 'gpu'") == 3


def test_a_results_folder_that_cannot_be_written(workers: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = run_bench(tmp_path / "file", workers)
    assert told.returncode == 4
    assert "cannot be written" in told.stderr
    assert "Traceback" not in told.stderr


def test_fault_25_a_bad_dataset_ends_the_run_with_its_own_code(
    workers: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mnist.npz").write_bytes(b"<html>not found</html>")
    for dataset in ("auto", "mnist"):
        told = run_bench(
            tmp_path / "r", workers, "--dataset", dataset, "--mnist", str(tmp_path / "mnist.npz")
        )
        assert told.returncode == 5
        assert "not a readable npz" in told.stderr


def test_resume_repeats_nothing_and_keeps_the_plan(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    broken = workers | {"jax": fake_python("segfault")}
    assert run_bench(tmp_path, broken, "--epochs", "3").returncode == 4
    run = (tmp_path / "latest").resolve()
    before = {path: path.read_bytes() for path in (run / "shards").iterdir()}
    told = run_bench(tmp_path, workers, "--resume", run.name)
    assert told.returncode == 0, told.stdout + told.stderr
    after = {path: path.read_bytes() for path in (run / "shards").iterdir()}
    assert after.items() >= before.items()
    assert {path.name for path in after.keys() - before.keys()} == {
        f"{model}-stock-jax-cpu-seed0.try2.{suffix}"
        for model in ("single_layer", "two_layer")
        for suffix in ("json", "npz")
    }
    assert set(table(tmp_path)["status"]) == {"ok"}
    assert set(table(tmp_path)["epochs"]) == {3}
    benchmarks = json.loads((run / "benchmark.json").read_text())["benchmarks"]
    assert len(benchmarks) == 6
    told = run_bench(tmp_path, workers, "--resume", "latest", "--epochs", "4")
    assert told.returncode == 2
    assert "leave out --epochs" in told.stderr


def test_a_shard_that_was_damaged_meanwhile_is_made_again(
    workers: dict[str, str], tmp_path: Path
) -> None:
    assert run_bench(tmp_path, workers, "--models", "two_layer").returncode == 0
    run = (tmp_path / "latest").resolve()
    damaged = run / "shards" / "two_layer-stock-jax-cpu-seed0.try1.npz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    told = run_bench(tmp_path, workers, "--resume", run.name)
    assert told.returncode == 5, "the damaged shard is still told"
    assert "REJECTED" in told.stdout
    assert set(table(tmp_path)["status"]) == {"ok"}


def test_a_benchmark_file_of_the_users_own_choice(workers: dict[str, str], tmp_path: Path) -> None:
    chosen = tmp_path / "mine.json"
    told = run_bench(tmp_path / "r", workers, "--models", "two_layer", f"--benchmark-json={chosen}")
    assert told.returncode == 0
    assert len(json.loads(chosen.read_text())["benchmarks"]) == 3


def test_a_benchmark_file_that_cannot_be_written(workers: dict[str, str], tmp_path: Path) -> None:
    told = run_bench(
        tmp_path / "r", workers, "--models", "two_layer", f"--benchmark-json={tmp_path}"
    )
    assert told.returncode != 0
    assert "Traceback" not in told.stdout


@pytest.mark.parametrize("option", [("-n", "2"), ("--dist", "load")])
def test_xdist_is_refused(workers: dict[str, str], tmp_path: Path, option: tuple[str, ...]) -> None:
    """Its processes would wait for each other's lock."""
    told = run_bench(tmp_path / "r", workers, *option)
    assert told.returncode == 2, told.stdout + told.stderr
    assert "-n, --dist: trainings and launches are timed, one at a time" in told.stderr
    assert not (tmp_path / "r").exists()
