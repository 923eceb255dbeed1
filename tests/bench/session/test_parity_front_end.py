"""The parity half as a user runs it, with fake workers that answer as the oracle does."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.support.front_end import run_bench

FakePython = Callable[[str], str]
LADDER = ("-k", "test_parity and two_layer", "--batch-size", "20")


@pytest.fixture
def workers(fake_python: FakePython) -> dict[str, str]:
    return dict.fromkeys(("tensorflow", "jax", "torch"), fake_python("good"))


def parity_of(results: Path) -> pd.DataFrame:
    return pd.read_csv(results / "latest" / "tables" / "parity.csv")


def test_backends_without_a_fault_pass_what_they_are_asked(
    workers: dict[str, str], tmp_path: Path
) -> None:
    told = run_bench(tmp_path, workers, *LADDER)
    assert told.returncode == 0, told.stdout + told.stderr
    table = parity_of(tmp_path)
    assert set(table["status"]) == {"pass"}
    assert set(table["rung"]) == {"P0", "P1", "P2", "P3", "P4", "P6", "P8", "P9"}
    assert set(table["lane"]) == set(workers)
    files = table[(table["rung"] == "P8") & (table["lane"] == "jax")]["quantity"]
    assert {f"weights in {source}'s model file" for source in workers} <= set(files)


def test_a_wrong_gradient_is_named_and_fails(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    workers["torch"] = fake_python("other_gradient")
    told = run_bench(tmp_path, workers, *LADDER, "--suite", "smoke")
    assert told.returncode == 1, told.stdout + told.stderr
    table = parity_of(tmp_path)
    failed = table[table["status"] == "fail"]
    assert set(failed["lane"]) == {"torch"}
    assert failed.iloc[0][["rung", "quantity"]].to_list() == [
        "P3",
        "gradient of convolution_1 kernel",
    ]
    assert failed.iloc[0]["value"] == pytest.approx(1e-3, rel=0.01)
    report = (tmp_path / "latest" / "report.md").read_text()
    assert "P3 gradient of convolution\\_1 kernel" in report


def test_a_backend_that_dies_is_told_and_the_others_are_judged(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    workers["jax"] = fake_python("segfault")
    told = run_bench(tmp_path, workers, *LADDER, "--suite", "smoke")
    assert told.returncode == 4, told.stdout + told.stderr
    assert "killed by SIGSEGV" in told.stdout
    table = parity_of(tmp_path)
    assert set(table[table["lane"] != "jax"]["status"]) == {"pass"}
    dead = table[table["lane"] == "jax"]
    (why,) = dead["quantity"]
    assert why.startswith("answers: crashed, ")
    assert why.endswith("killed by SIGSEGV")


def test_a_resumed_run_asks_only_what_has_no_answer(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    broken = workers | {"jax": fake_python("segfault")}
    assert run_bench(tmp_path, broken, *LADDER, "--suite", "smoke").returncode == 4
    told = run_bench(tmp_path, workers, "--resume", "latest")
    assert told.returncode == 0, told.stdout + told.stderr
    shards = tmp_path / "latest" / "shards"
    written = sorted(path.name for path in shards.glob("parity-*.json"))
    told = run_bench(tmp_path, workers, "--resume", "latest")
    assert told.returncode == 0
    assert sorted(path.name for path in shards.glob("parity-*.json")) == written
