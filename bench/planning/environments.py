"""Environments of lanes that have other packages, or another Python, than their backend as pinned.

`python -m bench.planning.environments OPTION...` builds those that are missing. It runs in nox's
own Python, which has virtualenv and no more of what this project needs.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.contract.backends import backend_of
from bench.contract.errors import BenchError, ExitCode
from bench.planning.lanes import Setup, asked
from bench.planning.plan import ROOT


class BuildError(BenchError):
    """A lane's environment cannot be built."""

    exit_code = ExitCode.ENVIRONMENT


def build(setup: Setup, folder: Path, pins: Sequence[str], constraints: Path) -> None:
    """Build the environment of a lane, unless it is there: the pins, and its requirements on top.

    What comes from a folder or file may have changed, and is always built.

    Args:
        setup: The lane.
        folder: Of the environment.
        pins: Requirements of its backend.
        constraints: The file of their versions.

    Raises:
        BuildError: With pip's own reason.
    """
    stamp, wanted = folder / "installed.sha256", _wanted(setup, pins, constraints)
    local = any(Path(each).exists() or "file:" in each for each in setup.requirements)
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted and not local:
        return
    for step in _steps(setup, folder, pins, constraints):
        done = subprocess.run(step, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr + done.stdout).splitlines()
            raise BuildError(f"{setup.name} cannot be built: {_why(said, setup.python)}")
    stamp.write_text(wanted, encoding="ascii")


def _why(said: Sequence[str], python: str) -> str:
    """The reason among all that pip or virtualenv said."""
    told = [line.strip() for line in said if line.strip()]
    if any("failed to find interpreter" in line for line in told):
        return f"there is no Python {python} on PATH; name one by its path"
    if "The conflict is caused by:" in told:
        first = told.index("The conflict is caused by:") + 1
        return f"these do not go together: {'; '.join(told[first : first + 2])}"
    errors = [line.removeprefix("ERROR: ") for line in told if line.startswith("ERROR")]
    raised = [line for line in told if re.match(r"[A-Za-z.]+(Error|Exception): ", line)]
    return "; ".join([*(errors or told)[-1:], *raised[-1:]]) or "it failed without a word"


def _wanted(setup: Setup, pins: Sequence[str], constraints: Path) -> str:
    told = [setup.requirements, setup.python, list(pins), constraints.read_text(encoding="utf-8")]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _steps(
    setup: Setup, folder: Path, pins: Sequence[str], constraints: Path
) -> Iterator[tuple[str, ...]]:
    """Commands that build it: no more is changed than its requirements ask for."""
    python = str(folder / "bin" / "python")
    pip = (python, "-m", "pip")
    install = (*pip, "install", "--quiet", "--no-compile")
    interpreter = ("-p", setup.python) if setup.python else ()
    yield (sys.executable, "-m", "virtualenv", "--quiet", "--clear", *interpreter, str(folder))
    yield (*install, *pins, "--constraint", str(constraints))
    if setup.requirements:
        pinned = constraints.read_text(encoding="utf-8")
        yield (*install, "--upgrade", *_with_family(setup.requirements, pinned))
    yield (*pip, "check")


def _with_family(requirements: Sequence[str], constraints: str) -> list[str]:
    """Requirements, and what is pinned of the same family: jax without its jaxlib is half of it."""
    named = {re.split(r"[^a-z0-9-]", each.lower(), maxsplit=1)[0] for each in requirements}
    pinned = {line.partition("==")[0] for line in constraints.splitlines() if "==" in line}
    family = {pin for pin in pinned - named for name in named if name and pin.startswith(name)}
    return [*requirements, *sorted(family)]


def main(arguments: Sequence[str]) -> int:
    """Build all that are asked for; those that cannot be built are told together."""
    import nox.project  # the environment in which the rest is tested has no nox

    project = nox.project.load_toml(ROOT / "pyproject.toml")
    failures: list[BenchError] = []
    try:
        device, setups = asked(arguments)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for setup in setups:
        if not setup.requirements and not setup.python:
            continue
        group = f"{backend_of(setup.name)}-{device}"
        pins = nox.project.dependency_groups(project, group)
        print(f"environment of {setup.name}: {setup.folder(device)}", flush=True)
        try:
            build(setup, ROOT / ".nox" / setup.folder(device), pins, ROOT / "constraints.txt")
        except BenchError as error:
            print(f"error: {error}", file=sys.stderr)
            failures.append(error)
    return failures[0].exit_code if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
