"""The pytest front end: options in, cells, subjects and series as tests, exit code and report."""

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO, cast

import pytest
from rich.console import Console

from bench.contract.errors import BenchError, ExitCode, UsageError
from bench.contract.units import Cell, Series, Subject
from bench.coordinator.run_folder import RunFolder
from bench.farm.campaign import carry_out, engine, write_commands
from bench.outcome import ending_the_run
from bench.planning.options import NOT_GIVEN, OPTIONS, REPEATED, command
from bench.planning.plan import Plan
from bench.planning.resolving import resolve
from bench.planning.selection import Selection
from bench.process.output import Unbroken
from bench.session import report
from bench.session.run import Run, prepare
from bench.session.stored_plan import again, begun, check_farm

PLAN = pytest.StashKey[Plan]()
WORK = pytest.StashKey[Selection]()
RESUMED = pytest.StashKey[RunFolder]()
RUN = pytest.StashKey[Run]()
ERROR = pytest.StashKey[ExitCode]()
JUNIT = pytest.StashKey[Path]()
VERBOSE = pytest.StashKey[bool]()


class _Interruption:
    """Remembers that a person ended the session: pytest's code for it has other causes too."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if type(excinfo.value) is KeyboardInterrupt:
            self._config.stash[ERROR] = ExitCode.INTERRUPTED


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options of `bench.planning.plan`."""
    group = parser.getgroup("bench", "Keras Backend Bench")
    for flag, metavar, text in OPTIONS:
        group.addoption(flag, metavar=metavar, help=text)
    for flag, metavar, text in REPEATED:
        group.addoption(flag, metavar=metavar, help=text, action="append", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options before anything else happens."""
    options = {name: config.getoption(name) for name in NOT_GIVEN}
    environ, files = dict(os.environ), config.getoption("model")
    against, others = config.getoption("against"), None
    with _exit_on_error(config):
        _check_pytest(config)
        if options["resume"]:
            folder = RunFolder.resume(Path(options["results"] or "results"), options["resume"])
            stored = folder.plan()
            check_farm(stored, options["farm"])
            options, environ, files, others = again(stored, options, environ, files, against)
            config.stash[RESUMED] = folder
        plan = resolve(options, config.getoption("worker"), environ, files, against, others)
        plan = replace(plan, command=command(vars(config.option), os.environ))
        resumed = config.stash.get(RESUMED, None)
        config.stash[WORK] = begun(resumed.plan(), plan) if resumed else plan.everything
    config.stash[PLAN] = plan
    config.pluginmanager.register(_Interruption(config))
    # A polite end (a CI job that is cancelled) is one that Ctrl-C asks for too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A training that failed has nothing to record, and says so itself.
    config.addinivalue_line(
        "filterwarnings", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"
    )
    # Progress has a line for each cell, and the report says the rest.
    config.stash[VERBOSE] = config.option.verbose > 0
    config.option.verbose -= 2
    config.option.benchmark_quiet = True
    if not config.option.xmlpath:
        # The folder that it belongs in has no name yet; pytest writes it at the end.
        name = f"bench-junit-{secrets.token_hex(8)}.xml"
        config.stash[JUNIT] = Path(tempfile.gettempdir()) / name
        config.option.xmlpath = str(config.stash[JUNIT])


def _check_pytest(config: pytest.Config) -> None:
    """Refuse what would have pytest measure otherwise, or not at all, wherever it comes from.

    Raises:
        UsageError: There is such an option or variable.
    """
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        if os.environ.get(name):
            raise UsageError(f"{name} is set: it would change what is measured; unset it")
    if config.getoption("numprocesses", None) or config.getoption("dist", "no") != "no":
        raise UsageError(
            "-n, --dist: trainings and launches are timed, one at a time; leave them out"
        )
    if not config.pluginmanager.hasplugin("benchmark"):
        raise UsageError("-p no:benchmark: pytest-benchmark is wanted; leave it out")
    for what in ("disable", "skip", "only"):
        if config.getoption(f"benchmark_{what}"):
            raise UsageError(f"--benchmark-{what}: choose by -k what is measured; leave it out")


def _end_unread() -> None:
    """End as Ctrl-C does: whoever cuts the output off (`| head`) has seen enough."""
    print("error: nobody reads the output any more; ending as by Ctrl-C", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGINT)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test per cell, per subject and per series."""
    work = metafunc.config.stash[WORK]
    kinds = (("cell", work.cells), ("subject", work.subjects), ("series", work.series))
    for name, parts in kinds:
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, parts, ids=[part.id for part in parts])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The parts in their order, without what pytest makes of an empty set of parameters."""
    items[:] = [
        item
        for item in items
        if not hasattr(item, "callspec")
        or all(isinstance(part, (Cell, Series, Subject)) for part in item.callspec.params.values())
    ]
    items.sort(key=lambda item: report.PARTS.index(_part(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find the dataset, see that every backend is there, and open the run's folder."""
    config = session.config
    chosen = [item.callspec.params for item in session.items if hasattr(item, "callspec")]
    selection = Selection(
        cells=tuple(params["cell"] for params in chosen if "cell" in params),
        series=tuple(params["series"] for params in chosen if "series" in params),
        subjects=tuple(params["subject"] for params in chosen if "subject" in params),
    )
    if config.option.collectonly:
        return
    with _exit_on_error(config):
        if not chosen:
            why = "look at -k and at the arguments of pytest"
            if config.stash[PLAN].dataset == "drawn":
                why += "; without --data there is nothing to train on"
            raise UsageError(f"nothing is selected; {why}")
        if lonely := selection.lonely_twins:
            raise UsageError(f"a twin without its original is selected: {', '.join(lonely)}")
        if (by := config.stash[PLAN].farm) not in {"", "plan"}:
            engine(by)  # it is there, or that is told before anything else
        # A copy of stdout as it is now, before pytest captures what the tests print.
        stdout = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        console = Console(file=cast("TextIO", Unbroken(stdout, _end_unread)))
        resumed = config.stash.get(RESUMED, None)
        config.stash[RUN] = prepare(config.stash[PLAN], selection, resumed, console)
        report.begin(config.stash[RUN])
    if config.stash[PLAN].farm == "plan":
        _tell_commands(config, console)
    # What a model cannot be asked is known only now.
    possible = config.stash[RUN].selection.series
    session.items[:] = [
        item
        for item in session.items
        if not hasattr(item, "callspec") or item.callspec.params.get("series") in (None, *possible)
    ]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    if junit := config.stash.get(JUNIT, None):
        junit.unlink(missing_ok=True)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Make the report after each part, for whoever does not wait for the next."""
    if nextitem is not None and _part(nextitem) != _part(item):
        report.so_far(item.config.stash[RUN], report.later(item.config.stash[RUN], _part(item)))


def _part(item: pytest.Item) -> str:
    return item.path.stem.removeprefix("test_")


def _tell_commands(config: pytest.Config, console: Console) -> None:
    """Of a farm of commands those that are left, and no more; the report, where none is."""
    run = config.stash[RUN]
    commands = write_commands(run)
    for line in commands:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    run.given_up = {}
    if commands:
        del config.stash[RUN]
        config.pluginmanager.unregister(name="terminalreporter")
        pytest.exit("the commands are left", returncode=ExitCode.OK)


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """The run of this session; of one that is farmed out, when all pieces are back."""
    found = request.config.stash[RUN]
    if found.plan.farm and found.given_up is None:
        with ending_the_run(found):
            found.given_up = carry_out(found)
    return found


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """No dots between the progress lines."""
    if report.passed or report.failed:
        counts = report.when == "call" or report.failed
        return report.outcome if counts else "", "", ""
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    """After all else, print the report of whatever was finished and set the exit code."""
    config = session.config
    run = config.stash.get(RUN, None)
    recorder = config._benchmarksession  # type: ignore[attr-defined]
    if run is not None and recorder.benchmarks and not recorder.json:
        # Only now: the folder had no name when pytest-benchmark read its options.
        recorder.json = run.folder.path / "benchmark.json"
    try:
        yield
        if run is not None and (junit := config.stash.get(JUNIT, None)) and junit.exists():
            shutil.move(junit, run.folder.path / "junit.xml")
    except OSError as error:
        path = error.filename or recorder.json
        print(f"error: {path}: cannot be written: {error.strerror}", file=sys.stderr)
        config.stash[ERROR] = ExitCode.ENVIRONMENT
    code = _exit_code(config.stash.get(ERROR, None), run, exitstatus)
    if run is not None:
        made = report.whole(run, verbose=config.stash[VERBOSE])
        code = code or made
        if code in {ExitCode.INTERRUPTED, ExitCode.ENVIRONMENT}:
            folder = run.plan.results
            told = "" if folder == Path("results") else f"--results {shlex.quote(str(folder))} "
            told += f"--farm {run.plan.farm} " if run.plan.farm else ""
            print(f"To go on with it: nox -s bench -- {told}--resume {run.folder.run_id}")
    session.exitstatus = code
    # All is stored and told: who ends us now needs no traceback of pytest's own closing.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _exit_code(error: ExitCode | None, run: Run | None, exitstatus: int) -> int:
    """Our exit code for pytest's; an `error` of ours that ended the session comes first."""
    if error is not None:
        return error
    if exitstatus == pytest.ExitCode.OK:
        return ExitCode.OK
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        return ExitCode.USAGE
    # A test that failed without saying why met a fault of the harness itself.
    return (run.exit_code if run else ExitCode.OK) or ExitCode.INTERNAL


@contextlib.contextmanager
def _exit_on_error(config: pytest.Config) -> Iterator[None]:
    """Leave with one line and our exit code; pytest gives some of the numbers other meanings."""
    try:
        yield
    except BenchError as error:
        code, message = error.exit_code, f"error: {error}"
    except KeyboardInterrupt:
        code, message = ExitCode.INTERRUPTED, "interrupted before anything was measured"
    except Exception:  # noqa: BLE001 - pytest would leave with a code that means something else
        code, message = ExitCode.INTERNAL, f"a fault of the harness:\n{traceback.format_exc()}"
    else:
        return
    config.stash[ERROR] = code
    if PLAN in config.stash:
        # After its start pytest would tell it in its own words, after all else; before, it is
        # pytest's one line on stderr that tells it.
        config.pluginmanager.unregister(name="terminalreporter")
        print(message, file=sys.stderr)
    pytest.exit(message, returncode=code)
