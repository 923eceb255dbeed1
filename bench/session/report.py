"""The report of a run, while it goes on and when it has ended."""

import html
import shlex
import subprocess
import sys
from collections.abc import Sequence

from bench.contract.errors import ExitCode
from bench.contract.units import BESIDE
from bench.planning.estimate import describe
from bench.planning.plan import ROOT
from bench.process.atomic_files import write_atomically
from bench.session.run import Run

PARITY, SPEED, ACCURACY = "parity", "speed", "accuracy"
PARTS = (PARITY, SPEED, ACCURACY)
"""What a run does, in the order of the questions that a reader has; each is a `test_<part>.py`."""

EMPTY = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Keras Backend Bench</title>
<body style="font-family: system-ui; max-width: 48rem; margin: 2rem auto; padding: 0 1rem">
<h1>Keras Backend Bench</h1>
<p>Run {run} has begun, and nothing is known yet. Reload this page to see more.</p>
<pre>{plan}</pre></body></html>
"""


def begin(run: Run) -> None:
    """Put a page where the report will stand, so that it can be opened from the first minute on.

    A run that goes on has the report of what it did before.
    """
    path = run.folder.path / "report.html"
    if path.exists():
        return
    plan = html.escape(describe(run.plan, run.selection))
    page = EMPTY.format(run=run.folder.run_id, plan=plan)
    write_atomically(path, page.encode())


def so_far(run: Run, pending: Sequence[str]) -> None:
    """Make the report of what is known by now, and say that in three lines.

    Args:
        run: The run.
        pending: Parts that are still to come, or `BESIDE` for the second half of speed.
    """
    told = subprocess.run(
        [*_command(run), "--pending", ",".join(pending)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    for line in told.stdout.splitlines():
        run.progress.say(line)


def whole(run: Run, *, verbose: bool) -> int:
    """Make and show the report of whatever was finished; gives its exit code."""
    command = _command(run)
    options = ["--verbose"] if verbose else []
    try:
        code = subprocess.run([*command, *options], cwd=ROOT, check=False).returncode
    except KeyboardInterrupt:
        print(f"interrupted; make the report by: nox -s report -- {shlex.quote(command[-1])}")
        return ExitCode.INTERRUPTED
    return code if code >= 0 else ExitCode.INTERNAL


def later(run: Run, part: str) -> list[str]:
    """Parts of a run after this one."""
    chosen = run.selection
    does = {PARITY: chosen.subjects, SPEED: chosen.series, ACCURACY: chosen.cells}
    return [name for name in PARTS[PARTS.index(part) + 1 :] if does[name]]


def after_main(run: Run) -> None:
    """The report as soon as the main workloads have been measured."""
    so_far(run, [BESIDE, *later(run, SPEED)])


def _command(run: Run) -> list[str]:
    return [sys.executable, "-m", "reports", str(run.folder.path.resolve())]
