import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.plan import ROOT
from reports import __main__ as command
from reports import accuracy, speed
from reports.markdown import escape
from tests.stored_runs import BACKENDS, PROTOCOL, accuracy_payload, failed_payload, store_run


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reports", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_good_run_is_told_and_written(tmp_path: Path) -> None:
    payloads = [accuracy_payload(name, model) for name in BACKENDS for model in ("a_cnn", "b_cnn")]
    folder = store_run(tmp_path, payloads).folder
    told = run(folder)
    assert told.returncode == 0, told.stderr
    assert re.search(r"a_cnn +jax +1\.00 +99\.00 +3,000 +40\.0 +ok", told.stdout)
    table = told.stdout[: told.stdout.index("Not the reference")]
    assert max(map(len, table.splitlines())) <= 80
    for name, columns in (("accuracy", accuracy.COLUMNS), ("speed", speed.COLUMNS)):
        csv = pd.read_csv(folder / "tables" / f"{name}.csv")
        parquet = pd.read_parquet(folder / "tables" / f"{name}.parquet")
        assert list(csv) == list(parquet) == list(columns)
        assert parquet.dtypes.astype(str).to_dict() == columns
        assert len(csv) == len(parquet) == 6
    report = (folder / "report.md").read_text()
    assert "CPU \\| &lt;b&gt;model&lt;/b&gt;" in report
    assert "<b>" not in report


def test_published_errors_stand_beside_runs_of_the_reference_protocol_alone(
    tmp_path: Path,
) -> None:
    for epochs, expected in ((10, True), (2, False)):
        payload = accuracy_payload("jax")
        payload["protocol"] = PROTOCOL | {"epochs": epochs}
        training = payload["training"]
        training["steps"] = 300 * epochs
        training["epochs"] = [training["epochs"][0] | {"epoch": n + 1} for n in range(epochs)]
        told = run(store_run(tmp_path, [payload]).folder).stdout
        assert bool(re.search(r"single_layer +published +1\.40 +98\.60", told)) is expected
        assert ("Not the reference's protocol" in told) is not expected


def test_a_failed_and_a_missing_backend_turn_the_exit_code(tmp_path: Path) -> None:
    planned = [accuracy_payload(name) for name in BACKENDS]
    folder = store_run(tmp_path, [planned[0], failed_payload("torch")], planned=planned).folder
    told = run(folder)
    assert told.returncode == 4
    flat = " ".join(told.stdout.split())
    assert "FAILED single_layer, seed 0: crashed: torch on cpu: killed by SIGSEGV" in flat
    assert "MISSING single_layer jax, seed 0" in flat


def test_merged_runs_need_every_required_backend(tmp_path: Path) -> None:
    folders = [store_run(tmp_path / "r", [accuracy_payload(name)]).folder for name in BACKENDS]
    output = tmp_path / "merged"
    whole = run(*folders, "--require", ",".join(BACKENDS), "--output", output)
    assert whole.returncode == 0
    assert len(pd.read_csv(output / "tables" / "accuracy.csv")) == 3
    part = run(*folders[1:], "--require", ",".join(BACKENDS), "--output", output)
    assert part.returncode == 4
    assert "MISSING single_layer tensorflow" in part.stdout


def test_runs_of_several_machines_say_so(tmp_path: Path) -> None:
    folders = []
    for number, name in enumerate(BACKENDS):
        payload = accuracy_payload(name)
        payload["machine"]["id"] = f"machine{number}"
        folders.append(store_run(tmp_path / "r", [payload]).folder)
    told = run(*folders, "--output", tmp_path / "merged")
    assert "ran on 3 machines" in told.stdout


def test_a_diverged_run_fails(tmp_path: Path) -> None:
    folder = store_run(tmp_path, [accuracy_payload("jax")], wrong=lambda _: 190).folder
    told = run(folder)
    assert told.returncode == 1
    assert "DIVERGED single_layer jax" in told.stdout


def test_other_inputs_are_refused_in_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    other = accuracy_payload("jax")
    other["training"]["weights_sha256"] = "e" * 64
    folder = store_run(tmp_path, [accuracy_payload("torch"), other]).folder
    told = run(folder)
    assert told.returncode == 5
    assert told.stderr.count("\n") == 1
    assert "initial weights differ" in told.stderr
    assert not (folder / "tables").exists()


def test_a_damaged_shard_is_listed_and_turns_the_exit_code(tmp_path: Path) -> None:
    folder = store_run(tmp_path, [accuracy_payload(name) for name in BACKENDS]).folder
    damaged = folder / "shards" / "single_layer-stock-jax-cpu-seed0.try1.json"
    damaged.write_bytes(damaged.read_bytes()[:100])
    told = run(folder)
    assert told.returncode == 5
    assert "REJECTED" in told.stdout
    assert re.search(r"single_layer +torch +1\.00", told.stdout)
    assert "MISSING single_layer jax" in told.stdout


def test_no_run_at_all(tmp_path: Path) -> None:
    told = run(tmp_path / "nothing")
    assert told.returncode == 5
    assert told.stderr == f"error: {tmp_path / 'nothing'}: no such run\n"


def test_an_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = store_run(tmp_path, [accuracy_payload("jax")]).folder
    (tmp_path / "file").touch()
    told = run(folder, "--output", tmp_path / "file")
    assert told.returncode == 4
    assert "cannot be written" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>", "&lt;script&gt;"),
        ("a|b", "a\\|b"),
        ("`x` @you", "\\`x\\` \\@you"),
        ("\x1b[31m", "?\\[31m"),
        ("two\nlines", "two?lines"),
    ],
)
def test_markdown_shows_hostile_text_as_it_is(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_hostile_error_text_does_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = failed_payload("jax") | {"error": "\x1b[2J[red]gone[/red]"}
    assert command.main([str(store_run(tmp_path, [bad]).folder)]) == 4
    told = capsys.readouterr().out
    assert "\x1b[2J" not in told
    assert "?[2J[red]gone[/red]" in told
