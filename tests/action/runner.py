"""Plays GitHub's runner: takes the steps of an action from its file, and runs them elsewhere.

Of the language of expressions it knows what the actions here use: names of contexts, `!= ''`.
Actions of others do what matters of them here: there is a Python, a cache that is empty or full,
artifacts that are folders.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")

SETS = "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH", "GITHUB_ENV"
"""Files that a step may write to."""


@dataclass
class Job:
    """What came of an action.

    Attributes:
        code: Exit code of the step that failed first; 0 if none did.
        outputs: Of the action.
        summary: What it wrote for people.
        artifacts: Folders that were kept, by their names.
        log: All that the steps printed.
    """

    code: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    artifacts: dict[str, Path] = field(default_factory=dict)
    log: str = ""


@dataclass(frozen=True)
class Runner:
    """A machine of GitHub's, as far as an action sees it.

    Attributes:
        workspace: The user's repository, checked out.
        temp: The folder of this job.
        environ: Variables that stand beside those that GitHub sets.
        artifacts: Those of other runs, by their names.
    """

    workspace: Path
    temp: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Path] = field(default_factory=dict)

    def run(self, action: Path, **inputs: str) -> Job:
        """Run the action of a folder; `_` in the name of an input stands for `-`."""
        told = yaml.safe_load((action / "action.yml").read_text(encoding="utf-8"))
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        known = told["inputs"]
        assert given.keys() <= known.keys(), given.keys() - known.keys()
        missing = {n for n, one in known.items() if one.get("required") and n not in given}
        assert not missing, missing
        job, steps = Job(), dict[str, dict[str, str]]()
        context = self._context(action)
        for name, one in known.items():
            context[f"inputs.{name}"] = given.get(name, _filled(one.get("default", ""), context))
        for number, step in enumerate(told["runs"]["steps"]):
            if job.code and "always()" not in step.get("if", ""):
                continue
            if not _holds(step.get("if", ""), context):
                continue
            outputs = self._step(step, number, action, context, job)
            steps[step.get("id", str(number))] = outputs
            for name, value in outputs.items():
                context[f"steps.{step.get('id', number)}.outputs.{name}"] = value
        for name, one in told.get("outputs", {}).items():
            job.outputs[name] = _filled(one["value"], context)
        return job

    def _context(self, action: Path) -> dict[str, str]:
        return {
            "github.action_path": str(action),
            "github.token": "token-of-the-job",
            "runner.temp": str(self.temp),
            "runner.os": "Linux",
            "runner.arch": "X64",
        }

    def _step(
        self, step: dict[str, Any], number: int, action: Path, context: dict[str, str], job: Job
    ) -> dict[str, str]:
        given = {n: _filled(str(v), context) for n, v in step.get("with", {}).items()}
        name = step.get("uses", "").partition("@")[0]
        match name:
            case "":
                return self._bash(step, number, action, context, job)
            case "actions/setup-python":
                return {"python-path": sys.executable, "python-version": "3.11.9"}
            case "actions/cache/restore":
                assert re.fullmatch(r"[^,]{1,512}", given["key"]), given[
                    "key"
                ]  # as GitHub wants it
                return {"cache-primary-key": given["key"]}
            case "actions/cache/save":
                assert Path(given["path"]).is_dir()
                assert given["key"]
            case "actions/upload-artifact":
                kept = self.temp / "artifacts" / given["name"]
                shutil.copytree(given["path"], kept)
                job.artifacts[given["name"]] = kept
            case "actions/download-artifact":
                if given["name"] in self.artifacts:
                    shutil.copytree(self.artifacts[given["name"]], given["path"], symlinks=True)
                else:
                    assert step.get("continue-on-error"), "nothing to download"
            case _:
                raise AssertionError(f"nobody plays {name}")
        return {}

    def _bash(
        self, step: dict[str, Any], number: int, action: Path, context: dict[str, str], job: Job
    ) -> dict[str, str]:
        files = {each: self.temp / f"{each.lower()}-{number}" for each in SETS}
        for path in files.values():
            path.touch()
        own = {name: _filled(str(value), context) for name, value in step.get("env", {}).items()}
        done = subprocess.run(
            # As the runner starts it.
            ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.temp),
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(action),
                "GITHUB_REPOSITORY": "someone/something",
                "GITHUB_WORKSPACE": str(self.workspace),
                "RUNNER_TEMP": str(self.temp),
                **{name: str(path) for name, path in files.items()},
                **self.environ,
                **own,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert "${{" not in step["run"], "an expression in a program is an injection"
        job.log += done.stdout
        job.code = job.code or done.returncode
        job.summary += files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
        lines = files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)


def _filled(text: str, context: Mapping[str, str]) -> str:
    """A text with its expressions; a name that nobody has set is empty, as with GitHub."""
    return EXPRESSION.sub(lambda match: context.get(match[1], ""), str(text))


def _holds(condition: str, context: Mapping[str, str]) -> bool:
    if not condition or condition == "always()":
        return True
    name, _, other = condition.partition(" != ")
    assert re.fullmatch("'.*'", other), f"nobody knows what {condition!r} is"
    return context.get(name, "") != other.strip("'")
