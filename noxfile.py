"""Sessions of Keras Backend Bench: `nox -l` lists them, `nox -s bench` is the main job."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import nox
import nox.command

if sys.platform == "win32":
    print("error: Linux or macOS is wanted (on Windows: WSL)", file=sys.stderr)
    sys.exit(2)

nox.needs_version = ">=2025.10.14"
HAS_UV = bool(shutil.which("uv") or importlib.util.find_spec("uv"))
nox.options.default_venv_backend = "uv" if HAS_UV else "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
CONSTRAINTS = ROOT / "constraints.txt"

BACKENDS = ("tensorflow", "jax", "torch")
DEVICES = ("cpu", "gpu")

PATHS = (
    *("--model", "--data", "--mnist", "--results", "--output", "--against", "--lanes"),
    *("--junitxml", "--junit-xml", "--benchmark-json"),
)
"""Options that take one."""


STRANGE, HARMLESS = ("PYTEST_", "PYTHON"), ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")


def leave(why: str, code: int = 2) -> NoReturn:
    """End with a line and the exit code that README has for it; nox's own would be 1."""
    print(f"error: {why}", file=sys.stderr)
    sys.exit(code)


def selected(variable: str, default: str, choices: tuple[str, ...]) -> list[str]:
    """Names in a variable, or leave: a typo must not become a missing backend."""
    names = [name.strip() for name in (os.environ.get(variable) or default).split(",")]
    for name in names:
        if name not in choices:
            leave(f"{variable}: unknown {name!r}; choose from {', '.join(choices)}")
    return names


(DEVICE,) = selected("BENCH_DEVICE", "cpu", DEVICES)
SELECTED = selected("BENCH_BACKENDS", ",".join(BACKENDS), BACKENDS)
WORKERS = [f"worker({backend}-{DEVICE})" for backend in SELECTED]


def install(session: nox.Session, group: str, more: Path | None = None) -> bool:
    """Install a dependency group, unless this environment has just that already.

    Args:
        session: Whose environment.
        group: Of `pyproject.toml`.
        more: A requirements file of the user's. What it includes or names by a path may have
            changed, so that pip always looks at it; its paths are those of the user's folder.

    Returns:
        Whether anything was installed.
    """
    packages = nox.project.dependency_groups(PYPROJECT, group)
    theirs = b"" if more is None else more.read_bytes()
    wanted = hashlib.sha256(f"{packages}".encode() + CONSTRAINTS.read_bytes() + theirs).hexdigest()
    stamp = Path(session.virtualenv.location) / "installed.sha256"
    if more is None and stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return False
    stamp.unlink(missing_ok=True)  # what ends amid this has built none
    own = [] if more is None else ["--requirement", str(more)]
    pip = ("--quiet", "--no-compile", *packages, *own, "--constraint", str(CONSTRAINTS))
    # Files of the user's are no modules of pip's, and their settings for uv none of ours.
    env = {"UV_TORCH_BACKEND": os.environ.get("UV_TORCH_BACKEND", "cpu")}
    env |= {} if more is None else {"PYTHONSAFEPATH": "1", "UV_NO_CONFIG": "1"}
    if group.endswith("-gpu"):  # else uv takes that build of PyTorch's, which is ten times as large
        del env["UV_TORCH_BACKEND"]
    try:
        with session.chdir(ROOT if more is None else session.invoked_from):
            session.install(*pip, env=env)
    except nox.command.CommandFailed:
        leave(f"the environment {stamp.parent.name} cannot be built (above is why)", 4)
    stamp.write_text(wanted, encoding="ascii")
    return True


def interpreter(environment: str) -> str:
    """Path of the interpreter of an environment that `harness` or `worker` builds."""
    return str(ROOT / ".nox" / environment / "bin" / "python")


def worker_options() -> list[str]:
    """Tell pytest where the selected backends live."""
    return [
        f"--worker={backend}={interpreter(f'worker-{backend}-{DEVICE}')}" for backend in SELECTED
    ]


def located(session: nox.Session, commands: tuple[str, ...] = ()) -> list[str]:
    """The arguments of a session with their paths as those of the folder they were given in.

    nox has left it. A path behind an option is glued to it, for pytest takes one that stands alone
    for tests. With `commands`, of which one may come first, what is no option's value is a path.
    """
    begun = Path(session.invoked_from)
    words: list[str] = []
    for number, argument in enumerate(session.posargs):
        option, glue, value = argument.partition("=")
        if words and words[-1] in PATHS:
            words[-1] += f"={_given(words[-1], begun, argument)}"
        elif option in PATHS and glue:
            words.append(f"{option}={_given(option, begun, value)}")
        elif _is_path(argument, words[-1:], commands if number == 0 else ()) and commands:
            words.append(_from(begun, argument))
        else:
            words.append(argument)
    return words


def _is_path(argument: str, before: list[str], commands: tuple[str, ...]) -> bool:
    after_option = before and before[0].startswith("--") and "=" not in before[0]
    is_value = after_option and before[0] not in {"--verbose", "--each-lane", "--foreign"}
    return not argument.startswith("-") and argument not in commands and not is_value


def _given(option: str, folder: Path, value: str) -> str:
    """A path; but what `bench` is measured against may be a requirement."""
    path = _from(folder, value)
    return value if option == "--against" and not Path(path).exists() else path


def _from(folder: Path, path: str) -> str:
    """A path of that folder, as this one knows it."""
    return path if folder == ROOT or path.startswith("~") else str(folder / path)


def run_to_the_end(session: nox.Session, *command: str) -> None:
    """Run a command and leave with its own exit code, which nox would turn into 1.

    On Ctrl-C it gets the signal too and ends in good order; only wait for it. Options and modules
    that variables would slip into it stay outside.
    """
    session.log(" ".join(command[1:]))
    kept = {n: v for n, v in os.environ.items() if n in HARMLESS or not n.startswith(STRANGE)}
    with subprocess.Popen(command, cwd=ROOT, env=kept) as process:
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
    run_to_the_end(session, sys.executable, "-m", "bench.planning.estimate", *located(session))
    environments = ["harness", *(f"worker-{backend}-{DEVICE}" for backend in SELECTED)]
    missing = [name for name in environments if not Path(interpreter(name)).exists()]
    if missing:
        print(
            f"Before it {len(missing)} environments are built, about 20 s each: "
            f"{', '.join(missing)}.",
            flush=True,
        )


@nox.session
def harness(session: nox.Session) -> None:
    """Build the environment of the harness: pytest, pandas and friends, never Keras."""
    if install(session, "harness") and sys.dont_write_bytecode:
        # As containers often have it: then each process would compile all that it imports.
        compile_all = ("python", "-m", "compileall", "-qq", "-j", "0", session.virtualenv.location)
        session.run(*compile_all, success_codes=[0, 1], silent=True)  # 1: some are not for us


@nox.session
@nox.parametrize("lane", [nox.param(f"{b}-{d}", id=f"{b}-{d}") for d in DEVICES for b in BACKENDS])
def worker(session: nox.Session, lane: str) -> None:
    """Build one backend's environment: Keras, NumPy and that framework, and BENCH_REQUIREMENTS."""
    given = os.environ.get("BENCH_REQUIREMENTS")
    more = Path(session.invoked_from, given) if given else None
    if more and not more.is_file():
        leave(f"BENCH_REQUIREMENTS: {more}: no such file")
    install(session, lane, more)


@nox.session(venv_backend="none", requires=["harness", *WORKERS])
def environments(session: nox.Session) -> None:
    """Build what `bench` runs in, and no more: for caches and containers."""


@nox.session(venv_backend="none", requires=["plan", "harness", *WORKERS])
def bench(session: nox.Session) -> None:
    """Train, test and compare on this machine; ends with the report."""
    words, begun = located(session), Path(session.invoked_from)
    command = [interpreter("harness"), "-m", "pytest", "bench"]
    if mnist := os.environ.get("BENCH_MNIST"):
        os.environ["BENCH_MNIST"] = _from(begun, mnist)
    if begun != ROOT and not any(word.startswith("--results") for word in words):
        words.append(f"--results={ROOT / 'results'}")  # so that it is told in full
    if any(word.startswith(("--against", "--lanes")) for word in words):
        run_to_the_end(session, sys.executable, "-m", "bench.planning.environments", *words)
    run_to_the_end(session, *command, *worker_options(), *words)


@nox.session(venv_backend="none", requires=["harness", *WORKERS])
def tests(session: nox.Session) -> None:
    """Run the tests: those without Keras, then those of each backend in its environment."""
    in_harness(session, *worker_options(), *session.posargs)
    in_each_worker(session, "tests/backend")


@nox.session(venv_backend="none", requires=["harness"])
def harness_tests(session: nox.Session) -> None:
    """Run the tests that need no framework, as on systems on which nobody has tried one."""
    in_harness(session, "--without-frameworks", *session.posargs)


def in_harness(session: nox.Session, *options: str) -> None:
    """Run all tests that need no environment of their own."""
    processes = str(3 * (os.cpu_count() or 1) // 2 + 1)  # many of them wait
    others = ("backend", "mutants", "browser", "endurance", "farm", "action")
    session.run(
        interpreter("harness"),
        *("-m", "pytest", "-W", "error", "tests"),
        *(f"--ignore=tests/{folder}" for folder in others),
        "--hypothesis-profile=ci",  # the same examples every time, and no deadline by the clock
        *("-n", processes, "--dist", "worksteal", "-p", "no:benchmark"),
        *options,
        env={"OPENBLAS_NUM_THREADS": "1"},  # the processes share the cores already
        external=True,
    )


@nox.session(venv_backend="none", requires=WORKERS)
def mutants(session: nox.Session) -> None:
    """Check the parity ladder: on each backend every fault that is put in must be caught."""
    in_each_worker(session, "tests/mutants")


@nox.session
def browser(session: nox.Session) -> None:
    """Look at the pages of a report in Chromium, which must be installed."""
    install(session, "browser")
    session.run("python", "-m", "pytest", "-p", "no:benchmark", "tests/browser", *session.posargs)


@nox.session(venv_backend="none", requires=["harness"])
def farm(session: nox.Session) -> None:
    """Put Ray beside the harness, for `bench -- --farm ray`."""
    packages = nox.project.dependency_groups(PYPROJECT, "farm")
    pip = ("pip", "install", "--quiet", *packages, "--constraint", str(CONSTRAINTS))
    if Path(interpreter("harness")).with_name("pip").exists():
        session.run(interpreter("harness"), "-m", *pip, external=True)
    else:  # uv has made it
        session.run("uv", *pip, "--python", interpreter("harness"), external=True)


@nox.session(venv_backend="none", requires=["farm"])
def farm_tests(session: nox.Session) -> None:
    """Farm pieces out to a Ray cluster of several nodes on this machine."""
    pytest = ("-m", "pytest", "-p", "no:benchmark", "tests/farm", *session.posargs)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 64}
    session.run(interpreter("harness"), *pytest, external=True, env=token)


@nox.session
def action_tests(session: nox.Session) -> None:
    """Run the action on repositories of users; its environments are built as on a new machine."""
    install(session, "action")
    session.run("python", "-m", "pytest", "-p", "no:benchmark", "tests/action", *session.posargs)


@nox.session(requires=WORKERS)
def endurance(session: nox.Session) -> None:
    """Kill 210 runs, make 500 launches, fuzz the loaders for a quarter of an hour."""
    install(session, "endurance")
    pytest = ("-m", "pytest", "-p", "no:benchmark", "--import-mode=importlib")
    session.run(
        "python", *pytest, "tests/endurance", "-n", "2", *worker_options(), *session.posargs
    )
    scratch = {"TMPDIR": session.create_tmp()}  # libFuzzer leaves without tidying up
    for target in ("shards", "arrays", "datasets"):
        limits = ("-max_total_time=300", "-rss_limit_mb=4096")
        session.run("python", "-m", "tests.endurance.fuzz", target, *limits, env=scratch)


def in_each_worker(session: nox.Session, folder: str) -> None:
    """Run tests in the environment of each backend, side by side, and show them one by one.

    Most of the time one framework or another compiles on a single core. Their own warnings are not
    ours to mend.
    """
    started = {}
    core = {min(os.sched_getaffinity(0))} if hasattr(os, "sched_getaffinity") else set()
    for backend in SELECTED:
        python = interpreter(f"worker-{backend}-{DEVICE}")
        command = [python, "-m", "pytest", folder, *session.posargs]
        session.log(f"KERAS_BACKEND={backend} {' '.join(command)}")
        started[backend] = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if backend == "torch" and core:  # its threads wait spinning, which doubles its CPU time
            os.sched_setaffinity(started[backend].pid, core)
    # One thread each: a pipe that nobody reads would stop its tests.
    with ThreadPoolExecutor(len(started)) as pool:
        told = {backend: pool.submit(process.communicate) for backend, process in started.items()}
        for backend, output in told.items():
            print(f"--- {backend}\n{output.result()[0]}", flush=True)
    failed = [backend for backend, process in started.items() if process.returncode]
    if failed:
        session.error(f"tests failed under {', '.join(failed)}")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and workflows."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    copied = map(str, Path("docs").glob("*.yml"))  # by users
    workflows = [*map(str, Path(".github/workflows").glob("*.yml")), *copied]
    actions = ["action.yml", *map(str, Path(".github/actions").glob("*/action.yml"))]
    stand_ins = map(str, Path("tests/action/actions").glob("**/action.yml"))
    for kind, files in (("workflows", workflows), ("actions", [*actions, *stand_ins])):
        session.run("check-jsonschema", "--builtin-schema", f"vendor.github-{kind}", *files)
    session.run("actionlint", *workflows)
    session.run("zizmor", "--offline", "--quiet", *workflows, *actions)


@nox.session
def audit(session: nox.Session) -> None:
    """Ask for known vulnerabilities of all pinned packages; one that cannot be asked for fails."""
    install(session, "audit")
    pins = ("--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip")
    session.run("pip-audit", "--strict", "--progress-spinner", "off", *pins)


@nox.session(venv_backend="none", requires=["harness"])
def report(session: nox.Session) -> None:
    """Merge runs (`-- RUN...`); or `-- compare`, `gate`, `baseline`, `history`."""
    commands = ("report", "compare", "gate", "baseline", "history")
    words = located(session, commands)
    # A merged comparison must have every selected backend.
    owed = ["--require", ",".join(SELECTED)] if words[:1] == [] or words[0] not in commands else []
    run_to_the_end(session, interpreter("harness"), "-m", "reports", *words, *owed)
