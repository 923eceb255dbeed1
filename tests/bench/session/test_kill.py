"""Whatever is killed and whenever: finished shards stay whole and no process stays at all."""

import contextlib
import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bench.contract.errors import WorkerError
from bench.contract.schema import LaneSetup
from bench.contract.units import Lane
from bench.coordinator.run_folder import RunFolder
from bench.process.temp_folders import PREFIX
from bench.process.worker_process import GRACE_SECONDS, Worker
from reports.read import shards
from tests.support.front_end import assert_all_end, descendants, run_bench, started, wait_for

FakePython = Callable[[str], str]


def assert_shards_are_whole(results: Path) -> int:
    """Number of finished cells of the run; every file that counts must be intact."""
    runs = [path for path in results.glob("2*") if (path / "shards" / "plan.json").exists()]
    count = 0
    for run in runs:
        found = shards.read([run])
        assert found.problems == []
        count += len(found.accuracy)
    return count


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_fault_08_the_coordinator_is_killed_at_random_moments(
    fake_python: FakePython, tmp_path: Path, sent: signal.Signals
) -> None:
    """The moment is a random line of what it prints, and a random while after that.

    `nox -s endurance` tries 210 of them.
    """
    workers = dict.fromkeys(("tensorflow", "jax"), fake_python("good"))
    generator = random.Random(sent)
    cells = 4
    with started(tmp_path, workers, "--epochs", "3") as process:
        last_line = generator.randrange(7, 22)
        for line_number, _ in enumerate(process.stdout):
            if line_number == last_line:
                break
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(generator.uniform(0, 0.3))
        children = descendants(process)
        process.send_signal(sent)
        process.stdout.read()
        # -SIGINT where it struck while Python itself was already leaving.
        assert process.wait(20) in {-sent, -signal.SIGINT, 130, 0}
    assert_all_end(children)
    count = assert_shards_are_whole(tmp_path)
    (run,) = tmp_path.glob("2*")
    before = {path: path.read_bytes() for path in run.glob("shards/*.json")}
    assert run_bench(tmp_path, workers, "--resume", run.name).returncode == 0
    assert assert_shards_are_whole(tmp_path) == cells
    assert {path: path.read_bytes() for path in before} == before
    assert len(list(run.glob("shards/*.json"))) == cells + 2  # the plan and the images
    assert count <= cells


def test_the_coordinator_is_killed_amid_a_cell(fake_python: FakePython, tmp_path: Path) -> None:
    workers = {"tensorflow": fake_python("good"), "jax": fake_python("hang")}
    with started(tmp_path, workers, "--models", "two_layer") as process:
        wait_for(process, "two_layer jax  starting")
        children = descendants(process)
        in_use = run_bench(tmp_path, workers, "--resume", "latest")
        assert (in_use.returncode, "is in use by another process" in in_use.stderr) == (2, True)
        process.kill()
        assert process.wait(20) == -signal.SIGKILL
    assert_all_end(children)
    assert assert_shards_are_whole(tmp_path) == 1
    healed = workers | {"jax": fake_python("good")}
    assert run_bench(tmp_path, healed, "--resume", "latest").returncode == 0
    assert assert_shards_are_whole(tmp_path) == 2


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_fault_09_an_interrupted_run_still_reports_what_was_finished(
    fake_python: FakePython, tmp_path: Path, sent: signal.Signals
) -> None:
    workers = {"tensorflow": fake_python("good"), "jax": fake_python("hang")}
    with started(tmp_path, workers, "--models", "two_layer") as process:
        wait_for(process, "two_layer jax  starting")
        children = descendants(process)
        process.send_signal(sent)
        told = process.stdout.read()
        assert process.wait(20) == 130
    assert_all_end(children)
    assert "MISSING two_layer jax" in told
    assert f"nox -s bench -- --results {tmp_path} --resume 2" in told
    assert re.search(r"two_layer +6\.\d\d % +not trained", told)
    assert assert_shards_are_whole(tmp_path) == 1


def test_fault_09_a_second_ctrl_c_ends_it_at_once(fake_python: FakePython, tmp_path: Path) -> None:
    """The first asks the worker to end, which has five seconds for it; this one takes them all."""
    workers = {"jax": fake_python("ignores_sigterm")}
    with started(tmp_path, workers, "--models", "two_layer") as process:
        wait_for(process, "two_layer jax  starting")
        children = descendants(process)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(GRACE_SECONDS - 1) in {130, -signal.SIGINT}
    assert_all_end(children)


def test_fault_08_what_a_killed_run_leaves_is_swept_up_by_the_next(
    fake_python: FakePython, tmp_path: Path
) -> None:
    workers = {"jax": fake_python("hang")}
    temporary = Path(os.environ["TMPDIR"])
    with started(tmp_path, workers, "--models", "two_layer") as process:
        wait_for(process, "two_layer jax  starting")
        children = descendants(process)
        process.kill()
        process.wait(20)
    assert_all_end(children)
    (run,) = tmp_path.glob("2*")
    (run / "shards" / ".half.json.123").write_text("{")
    # As a worker's, if it was killed before it had one.
    (temporary / f"{PREFIX}{process.pid}-abcd_123").mkdir()
    (temporary / f"{PREFIX}{process.pid}-results").mkdir()  # none of ours
    left = set(temporary.glob(f"{PREFIX}*-????????"))
    healed = {"jax": fake_python("good")}
    assert run_bench(tmp_path, healed, "--resume", "latest").returncode == 0
    assert not left & set(temporary.iterdir())
    assert (temporary / f"{PREFIX}{process.pid}-results").exists()
    assert not list(run.glob("shards/.*"))


def test_fault_17_a_second_run_waits_for_the_first(fake_python: FakePython, tmp_path: Path) -> None:
    """Also where the first is killed: no lock outlives it."""
    first, second = tmp_path / "first", tmp_path / "second"
    with started(first, {"jax": fake_python("hang")}, "--models", "two_layer") as process:
        wait_for(process, "two_layer jax  starting")
        with started(second, {"jax": fake_python("good")}, "--models", "two_layer") as waiting:
            wait_for(waiting, "Another run is in progress on this machine; waiting for it")
            assert not second.exists()
            process.kill()
            told = waiting.stdout.read()
            assert waiting.wait(60) == 0, told
    assert assert_shards_are_whole(second) == 1


def train_request(tmp_path: Path) -> dict[str, object]:
    from dataclasses import asdict

    from bench.contract.units import TrainingRequest
    from bench.inputs import datasets

    dataset = datasets.prepare("digits", None, tmp_path / "data")
    return asdict(
        TrainingRequest(
            model=dataset.request("two_layer", "stock"),
            seed=0,
            epochs=1000,
            batch_size=32,
            train_examples=None,
            predictions=str(tmp_path / "predictions.npz"),
        )
    )


def test_a_real_worker_is_killed_amid_training(real_lane: tuple[str, str], tmp_path: Path) -> None:
    backend, python = real_lane
    with Worker(Lane(backend, "cpu", python), 300) as worker:
        process = psutil.Process(worker.pid)
        family = [process, *process.children(recursive=True)]
        with pytest.raises(WorkerError, match="killed by SIGKILL") as caught:
            worker.call("train", train_request(tmp_path), lambda _: process.kill())
    assert caught.value.status == "crashed"
    assert_all_end(family)


def test_fault_08_a_real_worker_dies_with_its_coordinator(
    real_lane: tuple[str, str], tmp_path: Path
) -> None:
    backend, python = real_lane
    endless = ("--models", "two_layer", "--epochs", "1000")
    with started(tmp_path, {backend: python}, *endless) as process:
        wait_for(process, "epoch    1/1000")
        children = descendants(process)
        assert children
        process.kill()
        process.wait(20)
        assert_all_end(children)
    assert RunFolder.resume(tmp_path, "latest").plan().lanes == [LaneSetup(backend)]
