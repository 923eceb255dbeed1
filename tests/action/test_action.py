"""A user's repository with one step in its workflow: what a pull request is told."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.action.runner import Job, Runner

ROOT = Path(__file__).parents[2]

RIGHT = """
import keras

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
QUICK = "-k\nparity\n--batch-size\n8\n"

OWNER, BRANCH, SHA = "stranger", "patch; rm -rf /", "a" * 40


@pytest.fixture(scope="session")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action as GitHub downloads it: what is committed here, without environments."""
    folder = tmp_path_factory.mktemp("actions") / "keras-backend-bench"
    subprocess.run(["/usr/bin/git", "clone", "--quiet", ROOT, folder], check=True)
    listed = ("/usr/bin/git", "ls-files", "--modified", "--others", "--exclude-standard")
    changed = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in changed.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


Measure = Callable[..., Job]


@pytest.fixture
def measure(action: Path, tmp_path: Path) -> Measure:
    """Run it on a repository with a model in it."""

    def measured(source: str, **inputs: str) -> Job:
        workspace, temp = tmp_path / "mine", tmp_path / "temp"
        workspace.mkdir()
        temp.mkdir()
        (workspace / "model.py").write_text(source)
        runner = Runner(workspace, temp, settings())
        told = {"model": "model.py", "options": QUICK} | inputs
        return runner.run(action, **told)

    return measured


def settings() -> dict[str, str]:
    """Where this machine takes packages from; that of uv's PyTorch lies beyond its reach."""
    told = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return told | {"NOX_DEFAULT_VENV_BACKEND": "virtualenv"}


def test_a_model_that_all_compute_alike_is_green(measure: Measure) -> None:
    job = measure(RIGHT)
    assert (job.code, job.outputs["verdict"]) == (0, "pass"), job.log
    assert job.outputs["exit-code"] == "0"
    assert "# Keras Backend Bench" in job.summary
    report = job.artifacts["keras-backend-bench"]
    assert (report / "report.html").exists()
    assert Path(job.outputs["report"], "shards", "plan.json").exists()
    assert "yes" in (report / "comment.md").read_text()


def test_a_model_that_a_backend_gets_wrong_is_red_and_says_which(measure: Measure) -> None:
    job = measure(WRONG)
    assert (job.code, job.outputs["verdict"]) == (1, "fail"), job.log
    assert "NO: PyTorch" in job.summary
    told = (job.artifacts["keras-backend-bench"] / "comment.md").read_text()
    assert "PyTorch" in told
    assert len(told.splitlines()) <= 15


def test_a_model_that_cannot_be_built_somewhere_is_missing_there(measure: Measure) -> None:
    job = measure(BROKEN)
    assert (job.code, job.outputs["verdict"]) == (4, "missing"), job.log
    assert "only under the others" in job.summary


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"model": "absent.py"}, "absent.py"),
        ({"requirements": "absent.txt"}, "absent.txt: no such file"),
        ({"backends": "jaxx"}, "unknown 'jaxx'"),
        ({"max_slowdown": "10%"}, "a limit wants 'baseline' or 'against'"),
        ({"baseline": "model.py"}, "'baseline' wants 'max-slowdown'"),
        ({"baseline": "absent.json", "max_slowdown": "10%"}, "absent.json: no such file"),
    ],
)
def test_a_mistake_in_the_workflow_is_a_line(
    measure: Measure, inputs: dict[str, str], words: str
) -> None:
    job = measure(RIGHT, **inputs)
    assert (job.code, job.outputs["verdict"], job.outputs["report"]) == (2, "usage", ""), job.log
    assert words in job.log


def test_a_baseline_of_the_repository_is_the_measure(measure: Measure) -> None:
    job = measure(RIGHT, baseline="model.py", max_slowdown="10%")
    assert (job.code, job.outputs["verdict"]) == (5, "data"), job.log
    assert "no baseline" in job.log


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ("0", "pass"),
        ("1", "fail"),
        ("3", "inconclusive"),
        ("0 1 3", "fail"),
        ("4 1", "missing"),
        ("137", "fault"),  # for want of memory
        ("0 143", "fault"),
        ("", "fault"),
    ],
)
def test_the_gravest_code_is_the_verdict(tmp_path: Path, codes: str, verdict: str) -> None:
    told = yaml.safe_load((ROOT / "action.yml").read_text())
    (step,) = (one for one in told["runs"]["steps"] if one.get("id") == "verdict")
    *before, last = codes.split() or [""]
    (tmp_path / "codes").write_text("".join(f"{one}\n" for one in before))
    output = tmp_path / "output"
    subprocess.run(
        ["/bin/bash", "-eo", "pipefail", "-c", step["run"]],
        env={
            "PATH": os.environ["PATH"],
            "FOLDER": str(tmp_path),
            "CODE": last,
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        },
        check=True,
    )
    assert f"verdict={verdict}" in output.read_text().splitlines()


def comment(
    action: Path, folder: Path, artifact: Path | None, *known: str
) -> tuple[Job, list[str]]:
    """What the second workflow says of an artifact, and asks GitHub for."""
    temp, gh = folder / "temp", folder / "bin" / "gh"
    temp.mkdir(parents=True)
    gh.parent.mkdir()
    gh.symlink_to(Path(__file__).with_name("fake_gh.sh"))
    (folder / "known").write_text("".join(f"{one}\n" for one in known))
    ours = {"PATH": f"{gh.parent}:{os.environ['PATH']}", "FAKE_GH": str(folder)}
    kept = {"keras-backend-bench": artifact} if artifact else {}
    runner = Runner(folder, temp, settings() | ours, kept)
    job = runner.run(
        action / ".github" / "actions" / "comment",
        run_id="1",
        head_owner=OWNER,
        head_branch=BRANCH,
        head_sha=SHA,
    )
    return job, (folder / "calls").read_text().splitlines()


def test_one_comment_is_made_and_then_changed(
    measure: Measure, action: Path, tmp_path: Path
) -> None:
    made = measure(WRONG).artifacts["keras-backend-bench"]
    # Whatever the measuring job wrote itself is not what is told.
    (made / "comment.md").write_text("Buy my coins at @everyone\n")
    job, calls = comment(action, tmp_path / "first", made)
    assert job.code == 0, job.log
    assert "POST" in calls[-1]
    assert "repos/someone/something/issues/7/comments" in calls[-1]
    body = (tmp_path / "first" / "body").read_text()
    assert "PyTorch" in body
    assert "coins" not in body
    assert "Repeat with" not in body  # a stranger's command
    assert f"Commit {SHA[:12]}." in body
    assert len(body.splitlines()) <= 15
    job, calls = comment(action, tmp_path / "second", made, "41", "42")
    assert "PATCH" in calls[-1]
    assert "issues/comments/41" in calls[-1]


def test_what_is_no_run_is_told_in_a_line(action: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    (hostile / "shards").mkdir(parents=True)
    (hostile / "shards" / "plan.json").symlink_to("/etc/passwd")
    (hostile / "comment.md").write_text("Buy my coins\n")
    for name, artifact in (("told", hostile), ("absent", None)):
        job, calls = comment(action, tmp_path / name, artifact)
        assert job.code == 0, job.log
        assert "POST" in calls[-1]
        body = (tmp_path / name / "body").read_text()
        assert "no results that can be read" in body
        assert "root" not in body


def test_runs_of_a_job_for_each_backend_are_one_comment(
    measure: Measure, action: Path, tmp_path: Path
) -> None:
    made = measure(WRONG).artifacts["keras-backend-bench"]
    (tmp_path / "runs").mkdir()
    shutil.copytree(made, tmp_path / "runs" / "run-all")
    (tmp_path / "runs" / "merged").mkdir()
    job, _ = comment(action, tmp_path / "told", tmp_path / "runs")
    assert job.code == 0, job.log
    assert "NO: PyTorch" in (tmp_path / "told" / "body").read_text()


def test_what_users_copy_gives_the_action_what_it_takes() -> None:
    for name, file in (
        ("own-model-gate", ROOT / "action.yml"),
        ("own-model-comment", ROOT / ".github" / "actions" / "comment" / "action.yml"),
    ):
        workflow = yaml.safe_load((ROOT / "docs" / f"{name}.yml").read_text())
        (job,) = workflow["jobs"].values()
        (step,) = (one for one in job["steps"] if one["uses"].startswith("OWNER/"))
        known = yaml.safe_load(file.read_text())["inputs"]
        assert step["with"].keys() <= known.keys()
        assert {n for n, one in known.items() if one.get("required")} <= step["with"].keys()


def test_the_matrix_has_all_backends() -> None:
    told = yaml.safe_load((ROOT / ".github" / "workflows" / "matrix.yml").read_text())
    inputs = told[True]["workflow_call"]["inputs"]  # YAML 1.1 reads `on` as a truth
    assert yaml.safe_load(inputs["backends"]["default"]) == ["tensorflow", "jax", "torch"]
