"""The pytest front end: options in, cells as tests, exit code and report out."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from bench import data
from bench.accuracy import protocol
from bench.errors import BenchError, DataError, ExitCode
from bench.journal import Journal
from bench.plan import (
    OPTIONS,
    ROOT,
    WORKER_OPTION,
    Plan,
    again,
    describe,
    estimated_seconds,
    plan_payload,
    resolve,
)
from bench.preflight import greet_backends
from bench.progress import Progress
from bench.workload import Cell


@dataclass
class Run:
    """What the tests of one session share.

    Attributes:
        plan: What was asked for.
        dataset: What to train on.
        journal: Where results go.
        progress: What the person at the terminal sees.
        exit_code: What the session leaves with, as far as the tests know.
    """

    plan: Plan
    dataset: data.Dataset
    journal: Journal
    progress: Progress
    exit_code: ExitCode = ExitCode.OK


PLAN = pytest.StashKey[Plan]()
CELLS = pytest.StashKey[tuple[Cell, ...]]()
RESUMED = pytest.StashKey[Journal]()
DATASET = pytest.StashKey[data.Dataset]()
RUN = pytest.StashKey[Run]()
ERROR = pytest.StashKey[ExitCode]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options of `bench.plan`."""
    group = parser.getgroup("bench", "Keras Backend Bench")
    for flag, metavar, text in OPTIONS:
        group.addoption(flag, metavar=metavar, help=text)
    flag, metavar, text = WORKER_OPTION
    group.addoption(flag, metavar=metavar, help=text, action="append", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options before anything else happens."""
    names = (flag.strip("-").replace("-", "_") for flag, _, _ in OPTIONS)
    options = {name: config.getoption(name) for name in names}
    environ = dict(os.environ)
    with _exit_on_error(config):
        if options["resume"]:
            journal = Journal.resume(Path(options["results"] or "results"), options["resume"])
            options, environ, cells = again(journal.plan(), options, environ)
            config.stash[RESUMED] = journal
            config.stash[CELLS] = cells
        plan = resolve(options, config.getoption("worker"), environ)
    config.stash[PLAN] = plan
    config.stash.setdefault(CELLS, plan.cells)
    # Progress has a line for each cell, and the report says the rest.
    config.option.verbose -= 2
    config.option.benchmark_quiet = True


def pytest_sessionstart(session: pytest.Session) -> None:
    """Find the dataset, and see that every backend is there, before anything is timed."""
    config = session.config
    if config.option.collectonly:
        return
    plan = config.stash[PLAN]
    print(describe(plan), flush=True)
    with _exit_on_error(config):
        dataset = data.prepare(plan.dataset, plan.mnist, plan.results / "data")
        _check_resumed_dataset(config, dataset)
        if dataset.note:
            print(_banner(dataset), flush=True)
        for backend, hello in greet_backends(plan).items():
            print(f"{backend} {hello['versions'][backend]} on {hello['device']}: ready")
    config.stash[DATASET] = dataset


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test per cell."""
    if "cell" in metafunc.fixturenames:
        cells = metafunc.config.stash[CELLS]
        metafunc.parametrize("cell", cells, ids=[cell.id for cell in cells])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Open the journal for the cells that were selected."""
    config = session.config
    cells = [item.callspec.params["cell"] for item in session.items if hasattr(item, "callspec")]
    if config.option.collectonly or not cells:
        return
    plan, dataset = config.stash[PLAN], config.stash[DATASET]
    with _exit_on_error(config):
        journal = config.stash.get(RESUMED, None)
        if journal is None:
            journal = Journal.create(plan.results)
            stored = plan_payload(plan) | {
                "protocol": protocol(plan, dataset),
                "dataset_note": dataset.note,
                "cells": [asdict(cell) for cell in cells],
            }
            journal.write("plan", "plan", stored)
        journal.point_latest()
    print(f"results: {journal.folder}\n", flush=True)
    # A copy of stdout as it is now, before pytest captures what the tests print.
    stdout = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    progress = Progress(Console(file=stdout), cells, partial(estimated_seconds, plan))
    config.stash[RUN] = Run(plan, dataset, journal, progress)


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """The run of this session."""
    return request.config.stash[RUN]


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
    if run is not None and recorder.benchmarks:
        # Only now: the folder had no name when pytest-benchmark read its options.
        recorder.json = run.journal.folder / "benchmark.json"
    yield
    code = _exit_code(config.stash.get(ERROR, None), run, exitstatus)
    if run is not None:
        command = [sys.executable, "-m", "reports", str(run.journal.folder.resolve())]
        report = subprocess.run(command, cwd=ROOT, check=False)
        code = code or report.returncode
    session.exitstatus = code


def _exit_code(error: ExitCode | None, run: Run | None, exitstatus: int) -> int:
    """Our exit code for pytest's; an `error` of ours that ended the session comes first."""
    if error is not None:
        return error
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        return ExitCode.USAGE
    if exitstatus == pytest.ExitCode.OK:
        return ExitCode.OK
    # A test that failed without saying why met a fault of the harness itself.
    return (run.exit_code if run else ExitCode.OK) or ExitCode.INTERNAL


@contextlib.contextmanager
def _exit_on_error(config: pytest.Config) -> Iterator[None]:
    try:
        yield
    except BenchError as error:
        # pytest gives some of these numbers another meaning.
        config.stash[ERROR] = error.exit_code
        pytest.exit(f"error: {error}", returncode=error.exit_code)


def _check_resumed_dataset(config: pytest.Config, dataset: data.Dataset) -> None:
    if RESUMED in config.stash:
        journal = config.stash[RESUMED]
        if journal.plan()["protocol"]["dataset_sha256"] != dataset.sha256:
            raise DataError(f"{journal.folder} was begun with another {dataset.name} dataset")


def _banner(dataset: data.Dataset) -> str:
    line = "!" * 79
    return (
        f"\n{line}\n!!! NOT MNIST: {dataset.note}.\n!!! This run uses the {dataset.name} dataset; "
        f"its figures say nothing about MNIST.\n{line}\n"
    )
