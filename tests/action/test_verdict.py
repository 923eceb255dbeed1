"""The step of the action that says what became of a run, on its own."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.action.runner import ROOT


@pytest.mark.parametrize(
    ("codes", "report", "word", "words"),
    [
        ("0", "- all fine", "pass", ""),
        ("0", None, "usage", "error: there is no report"),
        ("1", r"- **model: NOT 7% \(&lt;at\_all&gt;\)**", "fail", "model: NOT 7% (<at_all>)"),
        ("3", "- **UNTRUSTED**\n- **More**", "inconclusive", "UNTRUSTED"),
        ("0 1 3", "- all fine", "fail", "see the summary of this job"),
        ("4 1", None, "missing", "error: as it was said"),
        ("137", None, "fault", "error: as it was said"),  # for want of memory
        ("0 143", "- all fine", "fault", "see the summary of this job"),
        ("", None, "fault", "error: as it was said"),
    ],
)
def test_the_gravest_code_is_the_verdict_and_the_log_says_why(
    tmp_path: Path, codes: str, report: str | None, word: str, words: str
) -> None:
    *before, last = codes.split() or [""]
    done = verdict(tmp_path, "\n".join(before), last, report)
    assert f"verdict={word}" in (tmp_path / "output").read_text().splitlines()
    assert annotation(done.stdout).startswith(f"{word}: {words}" if words else "")
    assert bool(done.stdout) == bool(words)
    assert (report or word) in (tmp_path / "summary").read_text()


def verdict(
    folder: Path, gates: str, code: str, report: str | None
) -> subprocess.CompletedProcess[str]:
    """Run this step alone: on codes of gates and of the run, and on what has been said."""
    told = yaml.safe_load((ROOT / "action.yml").read_text())
    (step,) = (one for one in told["runs"]["steps"] if one.get("id") == "verdict")
    (folder / "codes").write_text(f"{gates}\n" if gates else "")
    (folder / "said").write_text("\0 error: pip's\n! Exit: error: as it was said\nmore\n")
    if report:
        (folder / "results" / "latest").mkdir(parents=True)
        (folder / "results" / "latest" / "report.md").write_text(f"# Report\n\n{report}\n")
    return subprocess.run(
        ["/bin/bash", "-eo", "pipefail", "-c", step["run"]],
        env={
            "PATH": os.environ["PATH"],
            "FOLDER": str(folder),
            "CODE": code,
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )


def annotation(log: str) -> str:
    """What a runner shows of an error, which it takes apart at colons, commas and percents."""
    if not log:
        return ""
    command, _, message = log.removeprefix("::error ").rstrip("\n").partition("::")
    assert command.split(",") == ["title=Keras Backend Bench"]
    return message.replace("%0A", "\n").replace("%25", "%")


@pytest.mark.parametrize(
    ("gate", "words"),
    [("jax  speed   FAIL  -12%", "fail: jax speed FAIL -12%"), ("Traceback", "fail: see the")],
)
def test_a_gate_says_why(tmp_path: Path, gate: str, words: str) -> None:
    (tmp_path / "gate").write_text(f"heading\n{gate}\n")
    assert annotation(verdict(tmp_path, "1", "0", "- all fine").stdout).startswith(words)
    assert gate in (tmp_path / "summary").read_text()
