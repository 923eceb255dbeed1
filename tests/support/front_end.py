"""Runs `pytest bench` as a user would, with fake workers and the embedded dataset."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import psutil
import pytest

import reports.__main__
from bench.planning.plan import ROOT
from reports.pages import html
from tests.support.plugins.unreported import MARK

PYTEST = [sys.executable, "-m", "pytest", "bench", "-p", "no:cacheprovider"]
PYTEST += ["-p", "no:hypothesispytest"]  # it takes half of a run's CPU time, to be imported


def command(results: Path, workers: dict[str, str], *options: str) -> list[str]:
    """The accuracy half of a run on the digits, unless `-k` chooses otherwise; stock alone.

    A resumed run takes the dataset, and what is to be done, from the run.
    """
    part = [] if "-k" in options or "--resume" in options else ["-k", "test_accuracy"]
    given = any(option.startswith(("--resume", "--model=")) for option in options)
    dataset = [] if given else ["--dataset", "digits"]
    if "--variants" not in options and not any(o.startswith("--resume") for o in options):
        dataset += ["--variants", "stock"]
    interpreters = [f"--worker={backend}={python}" for backend, python in workers.items()]
    return [*PYTEST, *dataset, "--results", str(results), *interpreters, *part, *options]


def environment(**variables: str) -> dict[str, str]:
    """Our own variables, without those that choose what is run, or say how these tests are."""
    ours = ("BENCH_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | variables


def run_bench(
    results: Path, workers: dict[str, str], *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; its tables are made in this process, and no figures."""
    plugin = ("-p", "tests.support.plugins.unreported")
    told = run_bench_as_users_do(results, workers, *plugin, *options, **variables)
    before, mark, after = told.stdout.partition(MARK)
    if not mark:
        return told
    run, _, after = after.partition("\n")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        with mock.patch.object(html, "draw", return_value=[]):
            code = reports.__main__.main([run])
    return subprocess.CompletedProcess(
        told.args,
        told.returncode or code,
        before + out.getvalue() + after,
        told.stderr + err.getvalue(),
    )


def run_bench_as_users_do(
    results: Path, workers: dict[str, str], *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with every report that it makes of itself."""
    return subprocess.run(
        command(results, workers, *options),
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@contextlib.contextmanager
def started(results: Path, workers: dict[str, str], *options: str) -> Iterator[psutil.Popen]:
    """A run that goes on while the test looks at what it prints."""
    with psutil.Popen(
        command(results, workers, *options),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process


def wait_for(process: psutil.Popen, words: str) -> None:
    told = []
    for line in process.stdout:
        told.append(line)
        if words in line:
            return
    pytest.fail(f"it never said {words!r}: {''.join(told)}")


def descendants(process: psutil.Popen) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def assert_all_end(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
