"""The real thing: real backends behind the same front end, on the embedded dataset."""

from pathlib import Path

import pandas as pd
import pytest

from bench.contract.errors import WorkerError
from bench.contract.rungs import CERTIFYING
from bench.contract.units import Lane
from bench.process.worker_process import Worker
from reports.read import shards
from reports.tables import accuracy
from tests.support.front_end import run_bench

pytestmark = pytest.mark.usefixtures("one_core")


def test_a_worker_says_who_it_is(real_lane: tuple[str, str]) -> None:
    backend, python = real_lane
    with Worker(Lane(backend, "cpu", python), 300) as worker:
        hello = worker.greet()
    assert hello["backend"] == backend
    assert hello["device"] == "cpu"
    assert hello["versions"].keys() == {"keras", "numpy", "python", backend}
    assert hello["import_seconds"] > 0


def test_a_worker_has_one_framework_alone(real_lane: tuple[str, str]) -> None:
    backend, python = real_lane
    other = "torch" if backend == "jax" else "jax"
    with Worker(Lane(other, "cpu", python), 300) as worker:
        with pytest.raises(WorkerError, match=f"No module named '{other}'"):
            worker.greet()


def test_a_gpu_is_not_claimed_where_none_can_be_seen(
    real_lane: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    backend, python = real_lane
    with Worker(Lane(backend, "gpu", python), 300) as worker:
        with pytest.raises(WorkerError, match=r"(?i)device is 'cpu'|cuda|gpu"):
            worker.greet()


def test_all_backends_train_alike(real_workers: dict[str, str], tmp_path: Path) -> None:
    hostile = {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1", "JAX_ENABLE_X64": "1"}
    options = ("--models", "two_layer", "--epochs", "2")
    told = run_bench(tmp_path, real_workers, *options, **hostile)
    assert told.returncode == 0, told.stdout + told.stderr
    table = pd.read_csv(tmp_path / "latest" / "tables" / "accuracy.csv")
    assert len(table) == len(real_workers)
    assert set(table["status"]) == {"ok"}
    for shard in shards.read([(tmp_path / "latest").resolve()]).accuracy:
        # The worker and the report compute the same from the same predictions.
        assert shard.payload.training is not None
        assert shard.probabilities is not None
        assert shard.labels is not None
        last = shard.payload.training.epochs[-1]
        loss, correct = accuracy.score(shard.probabilities, shard.labels)
        assert (last.test_loss, last.test_accuracy) == (loss, correct / len(shard.labels))
    for _, rows in table.groupby("model"):
        # The same weights and batches: at most one of 297 test images apart, losses close.
        assert rows["correct"].max() - rows["correct"].min() <= 1
        assert rows["test_loss"].max() - rows["test_loss"].min() < 1e-3
        assert rows["error_percent"].max() < 80


def test_every_probe_is_answered_by_a_real_worker(
    real_workers: dict[str, str], tmp_path: Path
) -> None:
    backend = max(real_workers)
    options = ("--suite", "full", "-k", "test_parity and two_layer", "--variants", "stock")
    told = run_bench(tmp_path, {backend: real_workers[backend]}, *options, "--batch-size", "20")
    assert told.returncode == 0, told.stdout + told.stderr
    table = pd.read_csv(tmp_path / "latest" / "tables" / "parity.csv")
    assert set(table["rung"]) == set(CERTIFYING)
    assert set(table["status"]) == {"pass"}
