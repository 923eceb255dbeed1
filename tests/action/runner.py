"""Runs workflows with act, which does as GitHub's runner does, on this machine and offline.

GitHub's own actions come from elsewhere; those in `actions/` stand for them.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOOL = "OWNER/keras-backend-bench@v1"
RUN = "1"
"""Number that act gives each run of a workflow."""


@dataclass(frozen=True)
class Outcome:
    """What came of a workflow.

    Attributes:
        jobs: `success` or `failure` of each, by its name.
        outputs: Last value of each output of a step.
        summary: What was written for people.
        log: All that was printed.
    """

    jobs: Mapping[str, str]
    outputs: Mapping[str, str]
    summary: str
    log: str


@dataclass(frozen=True)
class GitHub:
    """What is kept there between runs.

    Attributes:
        folder: With `tool`, this project as others get it; of what is made here, `caches` and
            `artifacts`.
        environ: Variables of all steps.
    """

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def artifacts(self) -> Path:
        """Of the last run, by their names."""
        return self.folder / "artifacts" / RUN

    def run(
        self, repository: Path, workflow: str, event: str, payload: Mapping[str, Any]
    ) -> Outcome:
        """Let an event of a user's repository start a workflow.

        Args:
            repository: A folder.
            workflow: Text of the file.
            event: Its name.
            payload: What GitHub says of it.
        """
        place = repository / ".github" / "workflows" / "backends.yml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(workflow, encoding="utf-8")
        told = self.folder / "event.json"
        told.write_text(json.dumps(payload), encoding="utf-8")
        _commit(repository)
        own = {"STAND_INS": str(self.folder), "STAND_INS_PYTHON": sys.executable}
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("act")),
                *(event, "--eventpath", str(told), "--platform", "ubuntu-latest=-self-hosted"),
                *("--secret", "GITHUB_TOKEN=of-the-job"),
                *("--json", "--no-cache-server", "--action-cache-path", str(self.folder / "act")),
                *(f"--local-repository={name}={path}" for name, path in self._known()),
                *(f"--env={name}={value}" for name, value in (own | dict(self.environ)).items()),
            ],
            cwd=repository,
            env=os.environ | dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return _read(done.stdout.splitlines())

    def _known(self) -> Iterable[tuple[str, Path]]:
        """Where act finds the actions that are used, here and by what is used here."""
        yield TOOL, self.folder / "tool"
        files = [*ROOT.glob("*.yml"), *ROOT.glob("docs/*.yml"), *ROOT.glob(".github/**/*.yml")]
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        for name, version in sorted(set(re.findall(r"uses: actions/([\w-]+)[\w/-]*@(\w+)", text))):
            yield f"actions/{name}@{version}", Path(__file__).with_name("actions") / name


def _commit(repository: Path) -> None:
    """Have git tell act what repository and commit it is."""
    git = ("git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org")
    if not (repository / ".git").exists():
        subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
        origin = "https://github.com/someone/something.git"
        subprocess.run([*git, "remote", "add", "origin", origin], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "All"], check=True)


def _read(lines: Iterable[str]) -> Outcome:
    """What act told, a line of JSON for each event but for its own errors."""
    jobs, outputs = dict[str, str](), dict[str, str]()
    summary, log = "", ""
    for line in lines:
        try:
            told = json.loads(line)
        except json.JSONDecodeError:
            log += f"{line}\n"
            continue
        log += told["msg"] if told.get("raw_output") else f"{told['msg']}\n"
        if "jobResult" in told:
            jobs[told["job"].split("/", 1)[-1].strip()] = told["jobResult"]
        match told.get("command"):
            case "set-output":
                outputs[told["name"]] = told["arg"]
            case "summary":
                summary += told["content"]
    return Outcome(jobs, outputs, summary, log)
