"""Whole runs with `--farm`, of fake workers: the same results as without, whatever is killed."""

import contextlib
import random
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

import reports
from bench.contract.errors import ExitCode
from bench.planning.plan import ROOT
from reports.read import shards
from tests.support.front_end import assert_all_end, descendants, run_bench, started, wait_for

FakePython = Callable[[str], str]
TIMES = re.compile(r"seconds|per_|mib|memory|run|low|high|ratio|launch|steal|percent_of")
"""Columns of what was timed, which is never the same twice."""


def errors(results: Path) -> pd.DataFrame:
    """What was learned, by each cell."""
    (run,) = (path for path in results.glob("2*") if path.is_dir())
    table = reports.load(run).accuracy
    kept = [name for name in table.columns if not TIMES.search(name)]
    return table[kept].sort_values(kept[:5], ignore_index=True)


def work(kind: str = "not parity") -> tuple[str, ...]:
    return ("--suite", "smoke", "--models", "two_layer", "--seeds", "2", "-k", kind)


@pytest.fixture
def workers(fake_python: FakePython) -> dict[str, str]:
    return dict.fromkeys(("tensorflow", "jax"), fake_python("good"))


def test_a_farmed_run_ends_as_any_other_with_the_same_results(
    workers: dict[str, str], tmp_path: Path
) -> None:
    here, farmed = tmp_path / "here", tmp_path / "farmed"
    assert run_bench(here, workers, *work()).returncode == 0
    told = run_bench(farmed, workers, *work(), "--farm", "local:2")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "left, 0 given up" in told.stdout
    pd.testing.assert_frame_equal(errors(farmed), errors(here))
    (run,) = farmed.glob("2*")
    found = shards.read([run])
    assert found.problems == []
    assert [shard.payload.launch for shard in found.speed] == [1, 2]
    # Two at once time nothing: what trainings took is not told.
    loaded = reports.load(run)
    assert "in pieces, perhaps on several machines" in loaded.headings[0]
    assert loaded.curves["trained_seconds"].isna().all()
    assert loaded.accuracy[["train_seconds", "images_per_second"]].isna().all(axis=None)
    assert list((run / "farm" / "archives").iterdir()) == []


def test_a_worker_that_fails_is_a_result_and_the_others_go_on(
    fake_python: FakePython, tmp_path: Path
) -> None:
    workers = {"tensorflow": fake_python("good"), "jax": fake_python("too_few_epochs")}
    told = run_bench(tmp_path, workers, *work("accuracy"), "--farm", "local:2")
    assert told.returncode == ExitCode.ENVIRONMENT
    assert "0 given up" in told.stdout
    assert set(errors(tmp_path).query("lane == 'tensorflow'")["status"]) == {"ok"}
    assert set(errors(tmp_path).query("lane == 'jax'")["status"]) == {"invalid"}


@pytest.mark.parametrize("seed", range(2))
def test_a_driver_that_is_killed_loses_nothing_and_leaves_nothing(
    workers: dict[str, str], tmp_path: Path, seed: int
) -> None:
    """At a random moment; `nox -s endurance` tries more of them."""
    kill_and_resume(workers, tmp_path, seed)


def kill_and_resume(workers: dict[str, str], tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    with started(tmp_path / "killed", workers, *work(), "--farm", "local:2") as process:
        wait_for(process, "ready, ")
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(generator.uniform(0, 8))
        family = descendants(process)
        process.kill()
        process.stdout.read()
    assert_all_end(family)
    (run,) = (tmp_path / "killed").glob("2*")
    before = {path: path.read_bytes() for path in run.glob("shards/*")}
    told = run_bench(tmp_path / "killed", workers, "--resume", run.name, "--farm", "local:2")
    assert told.returncode == 0, told.stdout + told.stderr
    assert {path: path.read_bytes() for path in before if path.name[0] != "."} == {
        path: content for path, content in before.items() if path.name[0] != "."
    }
    found = shards.read([run])
    assert found.problems == []
    cells = [shard.payload.cell for shard in found.accuracy]
    assert len(cells) == len(set(cells)) == 4


def test_a_farm_does_not_begin_beside_a_run_that_times(
    workers: dict[str, str], fake_python: FakePython, tmp_path: Path
) -> None:
    hanging = {"jax": fake_python("hang")}
    with started(tmp_path / "first", hanging, "--models", "two_layer") as process:
        wait_for(process, "two_layer jax  starting")
        with started(tmp_path / "farm", workers, *work("accuracy"), "--farm", "local:2") as waiting:
            wait_for(waiting, "Another run is in progress on this machine; waiting for it")
            assert not (tmp_path / "farm").exists()
            process.kill()
            told = waiting.stdout.read()
            assert waiting.wait(60) == 0, told


def test_ctrl_c_keeps_what_is_finished(workers: dict[str, str], tmp_path: Path) -> None:
    with started(tmp_path, workers, *work("accuracy"), "--farm", "local:1") as process:
        wait_for(process, "1 done")
        family = descendants(process)
        process.send_signal(signal.SIGINT)
        told = process.stdout.read()
        assert process.wait(60) == ExitCode.INTERRUPTED
    assert_all_end(family)
    assert "--farm local:1 --resume 2" in told
    assert len(errors(tmp_path).query("status == 'ok'")) >= 1


def test_commands_do_the_same(workers: dict[str, str], tmp_path: Path) -> None:
    told = run_bench(tmp_path, workers, *work("accuracy"), "--farm", "plan")
    commands = [line for line in told.stdout.splitlines() if "bench.farm.piece" in line]
    assert (told.returncode, len(commands)) == (0, 4)
    for command in commands[1:]:
        subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True)
    (run,) = (path for path in tmp_path.glob("2*") if path.is_dir())
    archives = sorted((run / "farm" / "archives").iterdir())
    (run / "farm" / "archives" / "notes.tar").write_bytes(b"none")
    whole = archives[0].read_bytes()
    archives[0].write_bytes(whole[:2000])
    told = run_bench(tmp_path, workers, "--resume", run.name, "--farm", "plan")
    assert "farm  notes.tar: of no piece of this run; put into duplicates" in told.stdout
    assert f"farm  {archives[0].name}: not an archive" in told.stdout
    assert "farm  2 taken in, 2 left" in told.stdout
    archives[0].write_bytes(whole)
    told = run_bench(tmp_path, workers, "--resume", run.name, "--farm", "plan")
    (left,) = [line for line in told.stdout.splitlines() if "bench.farm.piece" in line]
    assert shlex.split(left, comments=True) == shlex.split(commands[0], comments=True)
    subprocess.run(["/bin/sh", "-c", left], check=True, capture_output=True)
    told = run_bench(tmp_path, workers, "--resume", run.name, "--farm", "plan")
    assert told.returncode == 0, told.stdout + told.stderr
    assert set(errors(tmp_path)["status"]) == {"ok"}


def test_commands_for_launches_come_to_an_end(workers: dict[str, str], tmp_path: Path) -> None:
    given, made = work("speed and train-batch200"), 0
    while True:
        told = run_bench(tmp_path, workers, *given, "--farm", "plan")
        assert told.returncode == 0, told.stdout + told.stderr
        commands = [line for line in told.stdout.splitlines() if "bench.farm.piece" in line]
        if not commands:
            break
        (command,), made = commands, made + 1
        assert made <= 3, "the same launches are asked for again and again"
        subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True)
        given = ("--resume", "latest")
    (run,) = (path for path in tmp_path.glob("2*") if path.is_dir())
    found = shards.read([run])
    (plan,) = found.plans.values()
    assert plan.speed
    assert len(found.speed) == plan.speed.launches
    assert made == 2  # one of launches, and one that finds that they are enough


@pytest.mark.parametrize("text", ["local", "local:0", "local:100", "slurm"])
def test_an_engine_that_there_is_not(workers: dict[str, str], tmp_path: Path, text: str) -> None:
    told = run_bench(tmp_path, workers, f"--farm={text}")
    assert told.returncode == ExitCode.USAGE
    assert "--farm must be ray, plan or local:N" in told.stderr


def test_ray_without_tokens_or_without_ray_is_a_line(
    workers: dict[str, str], tmp_path: Path
) -> None:
    told = run_bench(tmp_path, workers, "--farm", "ray")
    assert told.returncode == ExitCode.USAGE
    assert "set RAY_AUTH_MODE=token" in told.stderr
    assert not list(tmp_path.glob("2*"))


def test_a_run_goes_on_as_it_was_begun(workers: dict[str, str], tmp_path: Path) -> None:
    assert run_bench(tmp_path, workers, *work("accuracy"), "--farm", "local:2").returncode == 0
    told = run_bench(tmp_path, workers, "--resume", "latest")
    assert told.returncode == ExitCode.USAGE
    assert "begun with --farm; give it again" in told.stderr


def test_what_is_damaged_or_changed_is_made_anew(workers: dict[str, str], tmp_path: Path) -> None:
    """Inputs and units that lie there, of a run that was cut off."""
    with started(tmp_path, workers, *work("accuracy"), "--farm", "local:1") as process:
        wait_for(process, "1 done")
        process.kill()
        process.stdout.read()
    (run,) = (path for path in tmp_path.glob("2*") if path.is_dir())
    for path in (run / "farm" / "inputs").iterdir():
        path.write_bytes(path.read_bytes()[:5000])
    for path in (run / "farm" / "units").iterdir():
        path.write_text(path.read_text().replace("seed", "seeb"))
    told = run_bench(tmp_path, workers, "--resume", run.name, "--farm", "local:2")
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_unit_that_was_changed_is_refused_by_the_piece(
    workers: dict[str, str], tmp_path: Path
) -> None:
    run_bench(tmp_path, workers, *work("accuracy"), "--farm", "plan")
    path = next(tmp_path.glob("2*/farm/units/*.json"))
    path.write_text(path.read_text().replace("seed", "seeb"))
    command = [sys.executable, "-m", "bench.farm.piece", str(path)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, "not what it is named by" in told.stderr) == (ExitCode.DATA, True)


def test_a_piece_whose_farm_went_before_it_began_does_nothing(
    workers: dict[str, str], tmp_path: Path
) -> None:
    run_bench(tmp_path, workers, *work("accuracy"), "--farm", "plan")
    path = next(tmp_path.glob("2*/farm/units/*.json"))
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    tied = ("-m", "bench.process.parent_death", str(gone.pid))
    command = [sys.executable, *tied, "bench.farm.piece", str(path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 1
    assert list(path.parents[1].glob("archives/*")) == []
