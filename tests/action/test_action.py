"""A user's repository with one step in its workflow: what a pull request is told."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.action.runner import ROOT, RUN, GitHub, Outcome

RIGHT = """
import keras
import ours

def build():
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(1)])
"""
WRONG = """
import keras

def build():
    return keras.Sequential([
        keras.Input((6, 6, 1)),
        keras.layers.AveragePooling2D(3, strides=2, padding="same"),
        keras.layers.Flatten(),
        keras.layers.Dense(1),
    ])
"""
BROKEN = """
import keras

def build():
    if keras.backend.backend() == "jax":
        raise RuntimeError("only under the others")
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
"""
BRANCH, SHA = "patch; rm -rf /", "a" * 40
MEASURED = {
    "action": "completed",
    "workflow_run": {
        "id": int(RUN),
        "event": "pull_request",
        "head_branch": BRANCH,
        "head_sha": SHA,
        "head_repository": {"owner": {"login": "stranger"}},
    },
}
"""What GitHub says when a pull request of a fork has been measured."""


@pytest.fixture(scope="session")
def github(tmp_path_factory: pytest.TempPathFactory) -> GitHub:
    """With the project as it is committed here, and without environments."""
    folder = tmp_path_factory.mktemp("github")
    tool = folder / "tool"
    subprocess.run(["/usr/bin/git", "clone", "--quiet", ROOT, tool], check=True)
    listed = ("/usr/bin/git", "ls-files", "--modified", "--others", "--exclude-standard")
    changed = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in changed.stdout.splitlines():
        if not (ROOT / name).exists():
            (tool / name).unlink()
            continue
        (tool / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tool / name)
    # Where this machine takes packages from; that of uv's PyTorch lies beyond its reach.
    told = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    name = "NOX_DEFAULT_VENV_BACKEND"
    return GitHub(folder, told | {name: os.environ.get(name, "virtualenv")})


@pytest.fixture(autouse=True)
def _nothing_kept(github: GitHub) -> Iterator[None]:
    """A run of a workflow begins without artifacts."""
    yield
    shutil.rmtree(github.folder / "artifacts", ignore_errors=True)


def repository(folder: Path, source: str) -> Path:
    """One with a model, and requirements that lie in it."""
    folder.mkdir()
    (folder / "model.py").write_text(source)
    (folder / "requirements.txt").write_text("-r base.txt\n")
    (folder / "base.txt").write_text("./ours-1.0-py3-none-any.whl\n")
    with zipfile.ZipFile(folder / "ours-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("ours.py", "")
        told = "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr("ours-1.0.dist-info/WHEEL", told)
        wheel.writestr(
            "ours-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n"
        )
        wheel.writestr("ours-1.0.dist-info/RECORD", "")
    return folder


def workflow(**inputs: str) -> str:
    """What users copy; with more or other inputs, where there are any (`_` stands for `-`)."""
    text = (ROOT / "docs" / "own-model-gate.yml").read_text(encoding="utf-8")
    head, middle, given = text.partition("        with:\n          model:")
    told = yaml.safe_load(middle + given)["with"]
    told |= {name.replace("_", "-"): value for name, value in inputs.items()}
    return f"{head}        with: {json.dumps(told)}\n" if inputs else text


def measure(github: GitHub, place: Path, source: str, **inputs: str) -> Outcome:
    """Open a pull request."""
    return github.run(repository(place, source), workflow(**inputs), "pull_request", {})


@pytest.fixture(scope="session")
def right(github: GitHub, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """The first run there, which builds the environments, and what it kept."""
    folder = tmp_path_factory.mktemp("right")
    outcome = measure(github, folder / "mine", RIGHT)
    kept = shutil.copytree(github.artifacts / "keras-backend-bench", folder / "kept")
    shutil.rmtree(github.folder / "artifacts")
    return outcome, kept


@pytest.fixture
def wrong(github: GitHub, right: object, tmp_path: Path) -> tuple[Outcome, Path]:
    outcome = measure(github, tmp_path / "mine", WRONG)
    return outcome, github.artifacts / "keras-backend-bench"


def test_a_model_that_all_compute_alike_is_green(right: tuple[Outcome, Path]) -> None:
    outcome, report = right
    assert outcome.jobs == {"same-answers": "success"}, outcome.log
    assert (outcome.outputs["verdict"], outcome.outputs["exit-code"]) == ("pass", "0")
    assert outcome.summary.startswith("# Keras Backend Bench")
    assert (report / "report.html").exists()
    assert (report / "shards" / "plan.json").exists()
    assert "/results/2" in outcome.outputs["report"]
    assert "yes" in (report / "comment.md").read_text()


def test_a_model_that_a_backend_gets_wrong_is_red_and_says_which(
    wrong: tuple[Outcome, Path],
) -> None:
    outcome, report = wrong
    assert outcome.jobs == {"same-answers": "failure"}, outcome.log
    assert (outcome.outputs["verdict"], outcome.outputs["exit-code"]) == ("fail", "1")
    assert "NO: PyTorch" in outcome.summary
    told = (report / "comment.md").read_text()
    assert "PyTorch" in told
    assert len(told.splitlines()) <= 15
    # The environments are those that another run has left.
    assert "Creating virtual environment" not in outcome.log


def test_packages_that_are_no_longer_asked_for_are_not_there(
    github: GitHub, right: object, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", RIGHT)
    (mine / "base.txt").write_text("# none\n")
    outcome = github.run(mine, workflow(), "pull_request", {})
    assert outcome.outputs["verdict"] == "usage", outcome.log
    assert "No module named 'ours'" in outcome.summary


def test_a_model_that_cannot_be_built_somewhere_is_missing_there(
    github: GitHub, right: object, tmp_path: Path
) -> None:
    outcome = measure(github, tmp_path / "mine", BROKEN)
    assert outcome.jobs == {"same-answers": "failure"}, outcome.log
    assert (outcome.outputs["verdict"], outcome.outputs["exit-code"]) == ("missing", "4")
    assert "only under the others" in outcome.summary


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"model": "absent.py"}, "absent.py"),
        ({"requirements": "absent.txt"}, "absent.txt: no such file"),
        ({"backends": "jaxx"}, "unknown 'jaxx'"),
        ({"max_slowdown": "10%"}, "'max-slowdown' wants 'baseline' or 'against'"),
        (
            {"against": "jax==0.10.2", "max_error_increase": "0.1"},
            "'max-error-increase' wants 'baseline'",
        ),
        ({"baseline": "model.py"}, "'baseline' wants 'max-slowdown'"),
        ({"baseline": "absent.json", "max_slowdown": "10%"}, "absent.json: no such file"),
    ],
)
def test_a_mistake_in_the_workflow_is_a_line(
    github: GitHub, right: object, tmp_path: Path, inputs: dict[str, str], words: str
) -> None:
    outcome = measure(github, tmp_path / "mine", RIGHT, **inputs)
    assert outcome.jobs == {"same-answers": "failure"}, outcome.log
    assert (outcome.outputs["verdict"], outcome.outputs["exit-code"]) == ("usage", "2")
    assert outcome.outputs["report"] == ""
    assert words in outcome.summary


def test_a_baseline_of_the_repository_is_the_measure(
    github: GitHub, right: object, tmp_path: Path
) -> None:
    limits = {"baseline": "model.py", "max_slowdown": "10%"}
    outcome = measure(github, tmp_path / "mine", RIGHT, **limits)
    assert (outcome.outputs["verdict"], outcome.outputs["exit-code"]) == ("data", "5"), outcome.log
    assert "no baseline" in outcome.log


def test_packages_that_cannot_be_had_are_a_line(
    github: GitHub, right: object, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", RIGHT)
    (mine / "base.txt").write_text("./absent-1.0-py3-none-any.whl\n")
    outcome = github.run(mine, workflow(), "pull_request", {})
    assert outcome.outputs["verdict"] == "missing", outcome.log
    assert "worker-tensorflow-cpu cannot be built" in outcome.summary


def elsewhere(github: GitHub, folder: Path, **environ: str) -> GitHub:
    """One that has kept nothing yet."""
    shutil.copytree(github.folder / "tool", folder / "tool")
    return GitHub(folder, {**github.environ, **environ})


def test_environments_that_cannot_be_built_are_not_kept_for_others(
    github: GitHub, tmp_path: Path
) -> None:
    there = elsewhere(github, tmp_path / "github")
    constraints = there.folder / "tool" / "constraints.txt"
    pins = constraints.read_text()
    constraints.write_text(pins.replace("\njax==", "\njax==999."))
    outcome = measure(there, tmp_path / "mine", RIGHT, backends="jax")
    assert outcome.outputs["verdict"] == "missing", outcome.log
    assert "worker-jax-cpu cannot be built" in outcome.summary
    assert not (there.folder / "caches").exists()


def test_uv_builds_them_where_nobody_chooses_otherwise(github: GitHub, tmp_path: Path) -> None:
    """As on GitHub; without PyTorch, whose index lies beyond the reach of this machine."""
    there = elsewhere(github, tmp_path / "github", NOX_DEFAULT_VENV_BACKEND="")
    outcome = measure(there, tmp_path / "mine", RIGHT, backends="jax")
    assert outcome.outputs["verdict"] == "pass", outcome.log
    assert "(uv)" in outcome.log
    assert list((there.folder / "caches").iterdir())


Comment = Callable[..., list[list[str]]]


@pytest.fixture
def comment(github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comment:
    """Let the second workflow look at what the first has kept; gives what GitHub was asked for."""
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(
        f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_gh.py")} "$@"\n'
    )
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gh.parent}:{os.environ['PATH']}")
    mine = repository(tmp_path / "default branch", RIGHT)
    text = (ROOT / "docs" / "own-model-comment.yml").read_text(encoding="utf-8")

    def commented(*known: int, newest: str = SHA) -> list[list[str]]:
        marked = "of ours <!-- keras-backend-bench -->"
        told = {
            "repos/someone/something/pulls": [
                _pull(5, BRANCH, SHA, "closed"),
                _pull(6, "other", SHA, "open"),
                _pull(7, BRANCH, newest, "open"),
            ],
            "repos/someone/something/issues/7/comments": [
                _comment(31, "mallory", marked),
                _comment(32, "github-actions[bot]", "of another workflow"),
                *(_comment(one, "github-actions[bot]", marked) for one in known),
            ],
        }
        (tmp_path / "answers.json").write_text(json.dumps(told))
        there = GitHub(github.folder, {**github.environ, "FAKE_GH": str(tmp_path)})
        outcome = there.run(mine, text, "workflow_run", MEASURED)
        assert outcome.jobs == {"comment": "success"}, outcome.log
        calls = (tmp_path / "calls").read_text().splitlines()
        return [json.loads(line) for line in calls]

    return commented


def _pull(number: int, branch: str, sha: str, state: str) -> dict[str, Any]:
    head = {"sha": sha}
    return {"number": number, "owner": "stranger", "branch": branch, "state": state, "head": head}


def _comment(number: int, author: str, body: str) -> dict[str, Any]:
    return {"id": number, "user": {"login": author}, "body": body}


def test_one_comment_is_made_and_then_changed(
    wrong: tuple[Outcome, Path], comment: Comment, tmp_path: Path
) -> None:
    # Whatever the measuring job wrote itself is not what is told.
    (wrong[1] / "comment.md").write_text("Buy my coins at @everyone\n")
    calls = comment()
    assert "POST" in calls[-1]
    assert "repos/someone/something/issues/7/comments" in calls[-1]
    body = (tmp_path / "body").read_text()
    assert "PyTorch" in body
    assert "coins" not in body
    assert "Repeat with" not in body  # a stranger's command
    assert f"Commit {SHA[:12]}." in body
    assert len(body.splitlines()) <= 15
    calls = comment(41, 42)
    assert "PATCH" in calls[-1]
    assert "repos/someone/something/issues/comments/41" in calls[-1]


def test_a_commit_that_others_have_followed_is_not_told(comment: Comment, tmp_path: Path) -> None:
    assert len(comment(newest="b" * 40)) == 1
    assert not (tmp_path / "body").exists()


@pytest.mark.parametrize("artifact", ["hostile", "absent"])
def test_what_is_no_run_is_told_in_a_line(
    github: GitHub, comment: Comment, tmp_path: Path, artifact: str
) -> None:
    if artifact == "hostile":
        shards = github.artifacts / "keras-backend-bench" / "shards"
        shards.mkdir(parents=True)
        (shards / "plan.json").symlink_to("/etc/passwd")
        (shards.parent / "comment.md").write_text("Buy my coins\n")
    assert "POST" in comment()[-1]
    body = (tmp_path / "body").read_text()
    assert "no results that can be read" in body
    assert "root" not in body


def test_a_job_for_each_backend_and_one_report_and_one_comment(
    github: GitHub, comment: Comment, tmp_path: Path
) -> None:
    caller = """
on: pull_request
jobs:
  all:
    uses: OWNER/keras-backend-bench/.github/workflows/matrix.yml@v1
    with:
      model: model.py
      backends: '["jax", "torch"]'
      requirements: requirements.txt
      options: |
        -k
        parity
        --batch-size
        8
"""
    outcome = github.run(repository(tmp_path / "mine", WRONG), caller, "pull_request", {})
    # Each is alone and has nobody to differ from; together they do.
    assert sorted(outcome.jobs.values()) == ["failure", "success", "success"], outcome.log
    assert "with two there is no majority" in outcome.summary
    assert {path.name for path in github.artifacts.iterdir()} == {
        *("run-jax", "run-torch", "keras-backend-bench")
    }
    comment()
    assert "differ: JAX, PyTorch" in (tmp_path / "body").read_text()


def test_what_users_copy_checks_their_repository_out() -> None:
    """Which act does in any case."""
    told = yaml.safe_load((ROOT / "docs" / "own-model-gate.yml").read_text())
    (job,) = told["jobs"].values()
    assert job["steps"][0]["uses"].startswith("actions/checkout@")
    assert "repository" not in job["steps"][0]["with"]


def test_the_matrix_has_all_backends() -> None:
    told = yaml.safe_load((ROOT / ".github" / "workflows" / "matrix.yml").read_text())
    inputs = told[True]["workflow_call"]["inputs"]  # YAML 1.1 reads `on` as a truth
    assert yaml.safe_load(inputs["backends"]["default"]) == ["tensorflow", "jax", "torch"]
