import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest

from reports import __main__ as command
from reports.pages import html
from reports.pages.markdown import escape
from reports.tables.columns import dtypes
from tests.support.stored_launches import TRUTH, Machine, launch_payload, mutate, store_launches
from tests.support.stored_runs import (
    BACKENDS,
    PROTOCOL,
    accuracy_payload,
    failed_payload,
    store_run,
)


@dataclass(frozen=True)
class Told:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object) -> Told:
    """`python -m reports`, in this process: starting another takes seconds; with all tables."""
    return called(*arguments, *([] if arguments[0] == "history" else ["--verbose"]))


def called(*arguments: object) -> Told:
    """The same, with no more than is asked for."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        with mock.patch.object(html, "draw", return_value=[]):  # which would take seconds
            code = command.main(list(map(str, arguments)))
    return Told(code, out.getvalue(), err.getvalue())


def test_a_good_run_is_told_and_written(tmp_path: Path) -> None:
    payloads = [accuracy_payload(name, model) for name in BACKENDS for model in ("a_cnn", "b_cnn")]
    folder = store_run(tmp_path, payloads).path
    told = run(folder)
    assert told.returncode == 0, told.stderr
    assert re.search(r"a_cnn +JAX +1\.00 +99\.00 +3,000 +40\.0 +ok", told.stdout)
    for name, columns in (("accuracy", dtypes("accuracy")), ("speed", dtypes("speed"))):
        csv = pd.read_csv(folder / "tables" / f"{name}.csv")
        parquet = pd.read_parquet(folder / "tables" / f"{name}.parquet")
        assert list(csv) == list(parquet) == list(columns)
        assert parquet.dtypes.astype(str).to_dict() == columns
        assert len(csv) == len(parquet) == 6
    report = (folder / "report.md").read_text()
    assert "CPU \\| &lt;b&gt;model&lt;/b&gt;" in report
    assert "<b>" not in report


def test_a_comment_answers_in_few_lines_and_says_what_repeats_it(tmp_path: Path) -> None:
    """However much is wrong: the gravest stands first."""
    models = [f"cnn_{number}" for number in range(5)]
    good = [accuracy_payload("jax", model) for model in models]
    cells = [accuracy_payload("torch", model)["cell"] for model in models]
    bad = [failed_payload("torch") | {"cell": cell} for cell in cells]
    repeat = "BENCH_BACKENDS=jax,torch nox -s bench -- --against 'jax==0.10.2 a>1'"
    folder = store_run(tmp_path, [*good, *bad], command=repeat).path
    assert run(folder).returncode == 4
    lines = (folder / "comment.md").read_text().splitlines()
    assert len(lines) <= 15
    assert lines[0].startswith("**Keras Backend Bench**: mnist, ")
    assert lines[8] == "- **FAILED cnn\\_0, seed 0: crashed: torch on cpu: killed by SIGSEGV**"
    assert lines[-1] == f"- Repeat with `{repeat}`"


def test_published_errors_stand_beside_runs_of_the_reference_protocol_alone(
    tmp_path: Path,
) -> None:
    for epochs, expected in ((10, True), (2, False)):
        payload = accuracy_payload("jax")
        payload["protocol"] = PROTOCOL | {"epochs": epochs}
        training = payload["training"]
        training["steps"] = 300 * epochs
        training["epochs"] = [training["epochs"][0] | {"epoch": n + 1} for n in range(epochs)]
        told = run(store_run(tmp_path, [payload]).path).stdout
        assert ("the reference published 1.40 %" in told) is expected
        assert ("Not the reference's protocol" in told) is not expected


def test_a_failed_and_a_missing_backend_turn_the_exit_code(tmp_path: Path) -> None:
    planned = [accuracy_payload(name) for name in BACKENDS]
    folder = store_run(tmp_path, [planned[0], failed_payload("torch")], planned=planned).path
    told = run(folder)
    assert told.returncode == 4
    flat = " ".join(told.stdout.split())
    assert "FAILED single_layer, seed 0: crashed: torch on cpu: killed by SIGSEGV" in flat
    assert "MISSING single_layer jax, seed 0" in flat


def test_trainings_that_an_early_end_left_out_are_one_line(tmp_path: Path) -> None:
    planned = [accuracy_payload(name, seed=seed) for name in BACKENDS for seed in (0, 1)]
    told = called(store_run(tmp_path, planned[:1], planned=planned).path)
    assert told.returncode == 4
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("MISSING")]
    assert line.count("single_layer") == 3
    assert line.endswith("; and 2 more")


def test_merged_runs_need_every_required_backend(tmp_path: Path) -> None:
    folders = [store_run(tmp_path / "r", [accuracy_payload(name)]).path for name in BACKENDS]
    output = tmp_path / "merged"
    whole = run(*folders, "--require", ",".join(BACKENDS), "--output", output)
    assert whole.returncode == 0
    assert len(pd.read_csv(output / "tables" / "accuracy.csv")) == 3
    part = run(*folders[1:], "--require", ",".join(BACKENDS), "--output", output)
    assert part.returncode == 4
    assert "MISSING single_layer tensorflow" in part.stdout


def test_fault_15_runs_of_several_machines_say_so(tmp_path: Path) -> None:
    folders = []
    for number, name in enumerate(BACKENDS):
        payload = accuracy_payload(name)
        payload["machine"]["id"] = f"machine{number}"
        folders.append(store_run(tmp_path / "r", [payload]).path)
    told = run(*folders, "--output", tmp_path / "merged")
    assert "ran on 3 machines" in told.stdout


def test_fault_27_a_page_is_not_written_through_a_link(tmp_path: Path) -> None:
    """Not even where it leads to nothing yet."""
    folder = store_run(tmp_path / "run", [accuracy_payload("jax")]).path
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "tables").mkdir()
    for name in ("report.html", "report.md", "tables/accuracy.csv"):
        (folder / name).symlink_to(outside / Path(name).name)
    (outside / "history.csv").write_text("mine")
    (folder.parent / "history.csv").symlink_to(outside / "history.csv")
    assert run(folder).returncode == 0
    assert run("history", folder.parent).returncode == 0
    assert [path.name for path in outside.iterdir()] == ["history.csv"]
    assert (outside / "history.csv").read_text() == "mine"
    assert (folder / "report.html").is_file()


def test_a_launch_without_all_its_rounds_is_incomplete(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    del launches[1]["rounds"][4]
    folder = store_launches(tmp_path, launches).path
    told = run(folder)
    assert told.returncode == 4
    assert "INCOMPLETE" in told.stdout
    assert "launch 2 lacks rounds of training" in " ".join(told.stdout.split())


def test_fault_27_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    folder = store_run(tmp_path / "r", [accuracy_payload("jax")]).path
    mine = tmp_path / "mine"
    for name in ("tables", "figures"):
        (mine / name).mkdir(parents=True)
        (folder / name).symlink_to(mine / name)
    (mine / "tables" / "accuracy.csv").write_text("mine")
    assert run(folder).returncode == 0
    assert [path.read_text() for path in mine.rglob("*.*")] == ["mine"]
    assert (folder / "tables" / "accuracy.csv").is_file()


def test_a_diverged_run_fails(tmp_path: Path) -> None:
    folder = store_run(tmp_path, [accuracy_payload("jax")], wrong=lambda _: 190).path
    told = run(folder)
    assert told.returncode == 1
    assert "DIVERGED single_layer jax" in told.stdout


def test_other_inputs_are_refused_in_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    other = accuracy_payload("jax")
    other["training"]["weights_sha256"] = "e" * 64
    folder = store_run(tmp_path, [accuracy_payload("torch"), other]).path
    told = run(folder)
    assert told.returncode == 5
    assert told.stderr.count("\n") == 1
    assert "initial weights differ" in told.stderr
    assert not (folder / "tables").exists()


def test_a_damaged_shard_is_listed_and_turns_the_exit_code(tmp_path: Path) -> None:
    folder = store_run(tmp_path, [accuracy_payload(name) for name in BACKENDS]).path
    damaged = folder / "shards" / "single_layer-stock-jax-cpu-seed0.try1.json"
    damaged.write_bytes(damaged.read_bytes()[:100])
    told = run(folder)
    assert told.returncode == 5
    assert "REJECTED" in told.stdout
    assert re.search(r"single_layer +PyTorch +1\.00", told.stdout)
    assert "MISSING single_layer jax" in told.stdout


def test_no_run_at_all(tmp_path: Path) -> None:
    told = run(tmp_path / "nothing")
    assert told.returncode == 5
    assert told.stderr == f"error: {tmp_path / 'nothing'}: no such run\n"


def test_an_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = store_run(tmp_path, [accuracy_payload("jax")]).path
    (tmp_path / "file").touch()
    told = run(folder, "--output", tmp_path / "file")
    assert told.returncode == 4
    assert "cannot be written" in told.stderr
    assert "Traceback" not in told.stderr


def test_fault_28_a_folder_in_the_place_of_a_figure_moves_no_cursor(tmp_path: Path) -> None:
    folder = store_run(tmp_path, [accuracy_payload("jax")]).path
    (folder / "figures" / "ratios-1\x1b[2J\n::error::.svg").mkdir(parents=True)
    told = run(folder)
    assert told.returncode == 4
    assert "ratios-1?[2J?::error::.svg: cannot be written" in told.stderr


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
    assert command.main([str(store_run(tmp_path, [bad]).path)]) == 4
    told = capsys.readouterr().out
    assert "\x1b[2J" not in told
    assert "?[2J[red]gone[/red]" in told


def trained() -> list[dict[str, object]]:
    return [accuracy_payload(name) for name in BACKENDS]


def test_ratios_are_told_and_written(tmp_path: Path) -> None:
    machine = Machine(round_sd=0.02, launch_sd=0.01, turn_sd=0.05)
    launches = [launch_payload(number, twin="jax", machine=machine) for number in range(1, 7)]
    folder = store_launches(tmp_path, launches, trained()).path
    told = run(folder)
    assert told.returncode == 0, told.stderr + told.stdout
    assert told.stderr == ""
    assert "UNTRUSTED" not in told.stdout
    assert re.search(
        r"single_layer +TensorFlow / JAX +(1\.9|2\.0)\d+ +1\.\d+ - 2\.\d+ +faster", told.stdout
    )
    assert re.search(r"single_layer +JAX / JAX \(twin\) +(0\.9|1\.0)", told.stdout)
    assert re.search(
        r"single_layer +TensorFlow +\d\d,\d+ +\d\d,\d+ - \d\d,\d+ +1\d\.\d +ok", told.stdout
    )
    assert "single_layer: TensorFlow trains fastest here" in told.stdout
    assert re.search(
        r"the machine was (quiet|fair) \(its speed .* spread by [123]\.\d %\)", told.stdout
    )
    assert "jit_compile: jax true, tensorflow false, torch false" in told.stdout
    assert "indicative" not in told.stdout
    assert "no ratio is claimed" not in told.stdout
    for name, columns in {
        "speed": dtypes("speed"),
        "ratios": dtypes("ratios"),
        "costs": dtypes("costs"),
        "break_even": dtypes("break_even"),
    }.items():
        assert list(pd.read_csv(folder / "tables" / f"{name}.csv")) == list(columns)
        parquet = pd.read_parquet(folder / "tables" / f"{name}.parquet")
        assert parquet.dtypes.astype(str).to_dict() == columns
    report = (folder / "report.md").read_text()
    assert "<summary>Ratios</summary>" in report
    assert re.search(r"\| TensorFlow / JAX +\| (1\.9|2\.0)", report)


def test_two_launches_claim_nothing(tmp_path: Path) -> None:
    launches = [launch_payload(number, twin="jax") for number in (1, 2)]
    told = run(store_launches(tmp_path, launches, trained()).path)
    assert told.returncode == 0
    assert "Ratios of fewer than 3 launches are indicative" in told.stdout
    assert not re.search("faster|slower|equivalent", told.stdout)


def test_fault_29_an_untrusted_run_says_so_at_the_prompt_and_is_inconclusive(
    tmp_path: Path,
) -> None:
    launches = [launch_payload(number, twin="jax") for number in (1, 2, 3)]
    mutate(launches, "torch", lambda _: {"compilations": 1})
    folder = store_launches(tmp_path, launches, trained()).path
    told = run(folder)
    assert told.returncode == 3
    words = "UNTRUSTED: 18 of 18 samples of torch in single_layer stock train batch 200 are invalid"
    screen = called(folder).stdout
    assert screen.count(words) == 1
    assert "Can be believed: NO; " in screen
    assert "untrusted" in screen  # where the speed would stand
    assert "fastest" not in screen.replace("over the fastest", "")
    assert re.search(r"single_layer +PyTorch +- +- +- +invalid", told.stdout)
    assert re.search(r"single_layer +JAX / PyTorch +- +- +missing", told.stdout)
    report = (folder / "report.md").read_text()
    assert report.index("**UNTRUSTED") < report.index("<details>")


def test_a_run_that_claims_nothing_has_nothing_to_take_back(tmp_path: Path) -> None:
    launches = [launch_payload(1)]
    mutate(launches, "torch", lambda _: {"compilations": 1})
    told = run(store_launches(tmp_path, launches, trained()).path)
    assert told.returncode == 0
    assert "\nUNTRUSTED" in told.stdout


def lose(launch: dict[str, Any], lane: int) -> None:
    launch["lanes"][lane] |= {
        "status": "crashed",
        "error": "\x1b[2J[red]jax[/red] | <b>",
        "warm_ups": [],
    }
    for item in launch["rounds"]:
        item["samples"] = [sample for sample in item["samples"] if sample["lane"] != lane]


def test_a_lane_that_died_turns_the_exit_code(tmp_path: Path) -> None:
    launches = [launch_payload(number, twin="jax") for number in (1, 2, 3)]
    lose(launches[2], lane=3)
    folder = store_launches(tmp_path, launches, trained()).path
    told = run(folder)
    assert told.returncode == 4
    assert "FAILED launch 3, jax (twin): crashed: ?[2J[red]jax[/red] | <b>" in told.stdout
    assert "the last launch of jax (twin) ended as crashed" in told.stdout
    report = (folder / "report.md").read_text()
    assert "crashed: ?\\[2J\\[red\\]jax\\[/red\\] \\| &lt;b&gt;" in report


def test_a_lane_that_came_back_is_told_and_no_more(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2, 3, 4)]
    lose(launches[1], lane=1)
    told = run(store_launches(tmp_path, launches, trained(), launches=3).path)
    assert told.returncode == 0
    assert "Recovered after launch 2, jax: crashed" in told.stdout
    assert re.search(r"TensorFlow / JAX +2\.000", told.stdout)


def test_a_lane_that_was_given_up_is_told(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    lose(launches[0], lane=2)
    lose(launches[1], lane=2)
    del launches[2]["lanes"][2]
    for item in launches[2]["rounds"]:
        item["samples"] = [sample for sample in item["samples"] if sample["lane"] != 2]
    told = run(store_launches(tmp_path, launches, trained()).path)
    assert told.returncode == 4
    assert re.search(r"single_layer +PyTorch +- +- +- +crashed", told.stdout)
    assert re.search(r"TensorFlow / JAX +2\.000 .*faster", told.stdout)
    assert "UNTRUSTED" not in told.stdout


def test_launches_that_are_not_there_are_told(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 3)]
    told = run(store_launches(tmp_path, launches, trained(), launches=3).path)
    assert told.returncode == 4
    assert "2 of 3 launches are there" in told.stdout
    # A run with a budget may end early.
    plan: dict[str, Any] = {"launches": 4, "budget_seconds": 60.0}
    told = run(store_launches(tmp_path, launches, trained(), **plan).path)
    assert told.returncode == 0
    assert "was enough for 2 of the 3 launches that an interval takes: --budget 2m" in told.stdout


def test_a_run_of_speeds_alone(tmp_path: Path) -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    told = run(store_launches(tmp_path, launches).path)
    assert told.returncode == 0, told.stderr
    assert re.search(r"TensorFlow / JAX +2\.0", told.stdout)


def test_launches_of_two_runs_are_never_one(tmp_path: Path) -> None:
    folders = [store_launches(tmp_path, [launch_payload(1)]).path for _ in range(2)]
    told = run(*folders, "--output", tmp_path / "merged")
    assert told.returncode == 5
    assert re.search(r"was timed in two runs: \S+ and \S+$", told.stderr.strip())


def test_launches_of_other_data_or_another_keras_stand_in_no_table_together(tmp_path: Path) -> None:
    one, other = (launch_payload(1, truth={name: TRUTH[name]}) for name in ("jax", "torch"))
    other["lanes"][0]["worker"]["versions"]["keras"] = "3.14.0"
    folders = [store_launches(tmp_path, [payload]).path for payload in (one, other)]
    told = run(*folders, "--output", tmp_path / "merged")
    assert told.returncode == 5
    assert "not comparable: Keras versions differ" in told.stderr


@pytest.mark.parametrize("name", ["folder", "file", "nothing"])
def test_what_is_no_run_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    (folder / "tables").mkdir(parents=True)
    for own in (folder / "report.md", folder / "tables" / "speed.csv", tmp_path / "file"):
        own.write_text("my own work")
    told = run(tmp_path / name)
    assert told.returncode == 5
    assert len(told.stderr.strip().splitlines()) == 1
    assert (folder / "report.md").read_text() == "my own work"
    assert (folder / "tables" / "speed.csv").exists()
    assert told.stderr.count("\n") == 1


def test_backends_of_other_runs_stand_side_by_side_without_a_ratio(tmp_path: Path) -> None:
    folders = []
    for number, name in enumerate(BACKENDS):
        payload = launch_payload(1, truth={name: TRUTH[name]})
        cell = accuracy_payload(name)
        payload["machine"]["id"] = cell["machine"]["id"] = f"machine{number}"
        folders.append(store_launches(tmp_path, [payload], [cell]).path)
    told = run(*folders, "--output", tmp_path / "merged", "--require", ",".join(BACKENDS))
    assert told.returncode == 0, told.stdout
    assert "ran on 3 machines" in told.stdout
    assert len(pd.read_csv(tmp_path / "merged" / "tables" / "ratios.csv")) == 0
    assert len(pd.read_csv(tmp_path / "merged" / "tables" / "speed.csv")) == 3
