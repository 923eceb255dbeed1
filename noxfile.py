"""Sessions of Keras Backend Bench: `nox -l` lists them, `nox -s bench` is the main job."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
CONSTRAINTS = "constraints.txt"
HARNESS = ".nox/harness"

BACKENDS = ("tensorflow", "jax", "torch")
DEVICES = ("cpu", "gpu")


def selected(variable: str, default: str, choices: tuple[str, ...]) -> list[str]:
    """Names in a variable, or leave: a typo must not become a missing backend."""
    names = [name.strip() for name in (os.environ.get(variable) or default).split(",")]
    for name in names:
        if name not in choices:
            print(
                f"error: {variable}: unknown {name!r}; choose from {', '.join(choices)}",
                file=sys.stderr,
            )
            sys.exit(2)
    return names


(DEVICE,) = selected("BENCH_DEVICE", "cpu", DEVICES)
LANES = [f"{name}-{DEVICE}" for name in selected("BENCH_BACKENDS", ",".join(BACKENDS), BACKENDS)]
WORKERS = [f"worker({lane})" for lane in LANES]


def install(session: nox.Session, group: str) -> None:
    """Install a dependency group, unless this environment has just that already."""
    requirements = nox.project.dependency_groups(PYPROJECT, group)
    constraints = (ROOT / CONSTRAINTS).read_text(encoding="utf-8")
    wanted = hashlib.sha256(f"{requirements}{constraints}".encode()).hexdigest()
    stamp = Path(session.virtualenv.location) / "installed.sha256"
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    session.install("--quiet", *requirements, "--constraint", CONSTRAINTS)
    stamp.write_text(wanted, encoding="ascii")


def environment(name: str) -> Path:
    """Interpreter of a worker environment."""
    return ROOT / ".nox" / f"worker-{name}" / "bin" / "python"


def run_to_the_end(session: nox.Session, *command: str) -> None:
    """Run a command and leave with its own exit code, which nox would turn into 1.

    On Ctrl-C it gets the signal too and ends in good order; only wait for it.
    """
    arguments = [str(Path(session.bin) / command[0]), *command[1:]]
    session.log(" ".join(command))
    with subprocess.Popen(arguments, cwd=ROOT) as process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                continue
    if code:
        sys.exit(code)


@nox.session(venv_backend="none")
def plan(session: nox.Session) -> None:
    """Say what `bench` will do and how long it will take, and check its options."""
    missing = [lane for lane in LANES if not environment(lane).exists()]
    result = subprocess.run(
        [sys.executable, "-m", "bench.plan", *session.posargs], cwd=ROOT, check=False
    )
    if result.returncode:
        sys.exit(result.returncode)
    if missing:
        print(
            f"First the environments are built ({', '.join(missing)}): several minutes and, "
            "all together, about 4 GB.",
            flush=True,
        )


@nox.session
@nox.parametrize("lane", [nox.param(f"{b}-{d}", id=f"{b}-{d}") for d in DEVICES for b in BACKENDS])
def worker(session: nox.Session, lane: str) -> None:
    """Build one backend's environment."""
    install(session, lane)


@nox.session(venv_location=HARNESS, requires=["plan", *WORKERS])
def bench(session: nox.Session) -> None:
    """Train, test and compare on this machine; ends with the report. Options: `-- --help`."""
    install(session, "harness")
    workers = [f"--worker={lane.rpartition('-')[0]}={environment(lane)}" for lane in LANES]
    run_to_the_end(session, "pytest", "bench", *workers, *session.posargs)


@nox.session(venv_location=HARNESS, requires=WORKERS)
def tests(session: nox.Session) -> None:
    """Run the tests: those without Keras, then those of each backend in its environment."""
    install(session, "harness")
    workers = [f"--worker={lane.rpartition('-')[0]}={environment(lane)}" for lane in LANES]
    session.run("pytest", "-W", "error", "tests", *workers, *session.posargs)
    for lane in LANES:
        backend = lane.rpartition("-")[0]
        session.run(
            str(environment(lane)),
            "-m",
            "pytest",
            "tests/backend",
            *session.posargs,
            env={"KERAS_BACKEND": backend},
            external=True,
        )


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and workflows."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    workflows = sorted(str(path) for path in Path(".github/workflows").glob("*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    session.run("zizmor", "--offline", "--quiet", *workflows)


@nox.session(venv_location=HARNESS)
def report(session: nox.Session) -> None:
    """Merge runs (`-- RUN...`) into one comparison; every selected backend must be in it."""
    install(session, "harness")
    required = ",".join(lane.rpartition("-")[0] for lane in LANES)
    run_to_the_end(session, "python", "-m", "reports", "--require", required, *session.posargs)
