"""Lanes beyond the backends as pinned: from `--against` and from a file, `--lanes`.

Standard library only: nox's own Python reads them too, to build their environments.
"""

import argparse
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract.backends import BACKENDS, DEVICES, backend_of
from bench.contract.errors import UsageError

PRECISIONS = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")
"""Keras's dtype policies that a lane may have; docs/parity.md says how they are judged."""

OURS = re.compile(r"KERAS_.*|PYTHON.*|TMPDIR|HOME|PATH")
"""Variables that a worker is made of, or does not heed."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

KEYS = ("requirements", "python", "environment", "precision")
NAME = re.compile(rf"({'|'.join(BACKENDS)})[@+][A-Za-z0-9.@+_-]{{1,40}}")
REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*(.*)")


@dataclass(frozen=True)
class Setup:
    """What a lane has that its backend as pinned has not.

    Attributes:
        name: Of the lane; it begins with the backend's.
        requirements: Laid over the pins, as pip takes them.
        python: Version or path of an interpreter of its own; empty for the one of all.
        environment: Variables that it has beyond all others.
        precision: Keras's dtype policy; empty for float32.
    """

    name: str
    requirements: tuple[str, ...] = ()
    python: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    precision: str = ""

    def folder(self, device: str) -> str:
        """Name of the environment: the backend's, unless something is laid over it."""
        pinned = f"worker-{backend_of(self.name)}-{device}"
        if not (self.requirements or self.python):
            return pinned
        told = json.dumps([self.requirements, self.python])
        return f"{pinned}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def setups(
    against: Sequence[str], file: str | None, python: str | None, backends: Sequence[str]
) -> tuple[Setup, ...]:
    """All lanes that were asked for beside the backends as pinned.

    Args:
        against: Texts of `--against`.
        file: That of `--lanes`.
        python: Of the lanes of `--against`.
        backends: That are selected.

    Raises:
        UsageError: One cannot be read, or two have one name.
    """
    if python and not against:
        raise UsageError("--python is for the lanes of --against")
    found = [one for text in against for one in _against(text, python or "", backends)]
    found += _of_file(Path(file)) if file else []
    for number, one in enumerate(found):
        if one.name in {other.name for other in found[:number]}:
            raise UsageError(f"two lanes are called {one.name}; give one of them in --lanes")
        if backend_of(one.name) not in backends:
            raise UsageError(f"{one.name}: {backend_of(one.name)} is not selected")
    return tuple(found)


def _against(text: str, python: str, backends: Sequence[str]) -> Iterator[Setup]:
    """A lane of each backend whose environment the requirements change."""
    path, requirements = Path(text), text.split()
    if not text.strip():
        raise UsageError("--against wants a requirement, a requirements file or a path")
    if path.is_file() and path.suffix not in {".whl", ".gz", ".zip"}:
        requirements = _lines(path)
    elif path.exists():
        requirements = [str(path.resolve())]
    elif " @ " in text:
        requirements = [text]
    for one in requirements:
        _check_requirement(f"--against {text}", one)
    whose = [_backend(one) for one in requirements]
    wanted = [name for name in backends if None in whose or name in whose]
    if not wanted:
        raise UsageError(f"--against {text}: none of the selected backends is changed by it")
    for backend in wanted:
        label = path.stem if path.exists() else _label(requirements[0], backend)
        name = f"{backend}@{re.sub(r'[^A-Za-z0-9.+_-]+', '-', label).strip('-')[:40]}"
        yield Setup(name, tuple(requirements), python)


def _lines(path: Path) -> list[str]:
    """The requirements in a file."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"--against: {path} is no requirements file: {error}") from error
    found = [told for line in lines if (told := line.partition("#")[0].strip())]
    if not found:
        raise UsageError(f"--against: {path} has no requirement in it")
    return found


def _check_requirement(where: str, text: str) -> None:
    """Refuse what pip would understand otherwise than as a package, or not at all."""
    match = REQUIREMENT.fullmatch(text)
    if Path(text).exists() or "://" in text:
        return
    if text.startswith(("/", ".")):
        raise UsageError(f"{where}: {text}: no such file or folder")
    if not match or not re.match(r"([=!~]=|[<>@;]|$)", match[2]):
        raise UsageError(f"{where}: {text!r} is no requirement like jax==0.10.2")


def _backend(requirement: str) -> str | None:
    """Whose framework it is; None of what all have."""
    match = REQUIREMENT.match(requirement)
    package = match[1].lower() if match and not Path(requirement).exists() else ""
    return next((name for name in BACKENDS if package.startswith(name)), None)


def _label(requirement: str, backend: str) -> str:
    match = REQUIREMENT.match(requirement)
    if not match:
        raise UsageError(f"--against: {requirement!r} is no requirement")
    version = re.sub(r"^[=~<>!\s]+", "", match[2].partition("@")[0]).strip()
    if match[1].lower() == backend and version:
        return version
    return "-".join(filter(None, (match[1], version)))


def _of_file(path: Path) -> list[Setup]:
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--lanes: {path.resolve()}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--lanes: {path}: {error}") from error
    if not told:
        raise UsageError(f"--lanes: {path}: no lane in it")
    return [_of_table(path, name, table) for name, table in told.items()]


def _of_table(path: Path, name: str, table: Any) -> Setup:
    where = f"--lanes: {path}: {name}"
    if not NAME.fullmatch(name):
        raise UsageError(f"{where}: a lane is called like 'jax@new' or 'torch+bfloat16'")
    if not isinstance(table, dict):
        raise UsageError(f"{where}: a lane is a table with {', '.join(KEYS)}")
    if strange := sorted({*table} - {*KEYS}):
        raise UsageError(f"{where}: {strange[0]} is not one of {', '.join(KEYS)}")
    requirements, variables = table.get("requirements", []), table.get("environment", {})
    precision, python = table.get("precision", ""), table.get("python", "")
    if not isinstance(requirements, list) or not all(isinstance(r, str) for r in requirements):
        raise UsageError(f"{where}: requirements are a list of texts")
    for one in requirements:
        _check_requirement(where, one)
    if not isinstance(variables, Mapping):
        raise UsageError(f"{where}: environment is a table of variables")
    for variable, value in variables.items():
        _check_variable(f"{where}: {variable}", variable, value)
    if precision not in ("", *PRECISIONS):
        raise UsageError(f"{where}: precision may be {' or '.join(PRECISIONS)}")
    if not isinstance(python, str):
        raise UsageError(f'{where}: python is a text, like "3.12"')
    if not (requirements or variables or precision or python):
        raise UsageError(f"{where}: nothing is otherwise than pinned")
    pairs = tuple(sorted((key, str(value)) for key, value in variables.items()))
    return Setup(name, tuple(requirements), python, pairs, precision)


def _check_variable(where: str, name: str, value: Any) -> None:
    if not VARIABLE.fullmatch(name):
        raise UsageError(f"{where}: not the name of a variable")
    if OURS.fullmatch(name):
        hint = " (for a dtype there is precision)" if name == "KERAS_FLOATX" else ""
        raise UsageError(f"{where}: a lane cannot set it{hint}")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or "\0" in str(value):
        raise UsageError(f"{where}: a variable is a text or a whole number")


def asked(arguments: Sequence[str]) -> tuple[str, tuple[Setup, ...]]:
    """The device and the lanes that options of `bench` ask for, before pytest reads them.

    Raises:
        UsageError: As `setups`.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--against", action="append", default=[])
    for flag in ("--lanes", "--python"):
        parser.add_argument(flag)
    known, _ = parser.parse_known_args(arguments)
    backends = (os.environ.get("BENCH_BACKENDS") or ",".join(BACKENDS)).replace(" ", "").split(",")
    device = os.environ.get("BENCH_DEVICE") or DEVICES[0]
    return device, setups(known.against, known.lanes, known.python, backends)
