"""Read runs and say what they say.

`python -m reports RUN...` writes and prints the comparison of backends; `compare OLD NEW` says what
changed between two runs, `gate RUN --against BASELINE` whether it got worse, and `history DIR` how
it went over all runs of a folder.
"""

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.contract.errors import BenchError, ExitCode
from bench.contract.variants import THREE
from reports import gating
from reports.across_runs import baseline, history, two_runs
from reports.across_runs.compared import compared
from reports.judging.comparison import Comparison, compare
from reports.judging.screen import so_far
from reports.pages import files, html, spreadsheets, terminal
from reports.read import shards
from reports.read.plain_text import plain
from reports.statistics.intervals import MIN_LAUNCHES
from reports.tables import speed
from reports.tables.comparable import NotComparableError


def main(arguments: Sequence[str]) -> int:
    """Do what is asked and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    for add in (_add_report, _add_compare, gating.add, _add_baseline, _add_history):
        add(commands)
    if arguments and arguments[0] not in {*commands.choices, "-h", "--help"}:
        arguments = ["report", *arguments]
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except NotComparableError as error:
        print(plain(f"error: not comparable: {error}"), file=sys.stderr)
        return ExitCode.DATA
    except BenchError as error:
        print(plain(f"error: {error}"), file=sys.stderr)
        return error.exit_code


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("report", help="compare the backends of a run (the default)")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--require", default="", metavar="BACKENDS", help="comma-separated; each must be there"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="default: the run, or results/merged for several"
    )
    parser.add_argument("--verbose", action="store_true", help="print the tables, too")
    parser.add_argument(
        "--pending", default="", metavar="PARTS", help="of a run that goes on: what is to come"
    )
    parser.add_argument(
        "--foreign", action="store_true", help="a stranger's run: its command is not repeated"
    )
    parser.set_defaults(run=_report)


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("compare", help="what changed from one run to another")
    parser.add_argument("old", type=Path, metavar="OLD", help="folder of a run")
    parser.add_argument("new", type=Path, metavar="NEW", help="folder of a run")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: the new run")
    parser.set_defaults(run=_compare)


def _add_baseline(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "baseline", help="keep a run's ratios and errors in a file, for gates on other machines"
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="what is there is added to"
    )
    parser.set_defaults(run=_baseline)


def _add_history(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("history", help="the trend over all runs of a folder")
    parser.add_argument("results", type=Path, metavar="DIR", help="folder of runs")
    parser.set_defaults(run=_history)


def _report(options: argparse.Namespace) -> int:
    required = [name for name in options.require.split(",") if name]
    single = options.runs[0] if len(options.runs) == 1 else Path("results") / "merged"
    output = options.output or single
    found = shards.read(options.runs)
    try:
        # Nothing is removed from a folder that is none of ours.
        if found.plans or (output / "shards").is_dir():
            files.remove(output)
    except OSError as error:
        return _cannot_write(output, error)
    if not found.plans:
        return terminal.tell_problems(found.problems)
    pending = [name for name in options.pending.split(",") if name]
    comparison = compare(found, required, pending)
    if options.foreign:  # whoever reads that would run it
        comparison = replace(comparison, commands=())
    try:
        files.write(comparison, output)
    except OSError as error:
        return _cannot_write(output, error)
    console = terminal.console()
    if pending:
        terminal.show_lines(list(so_far(comparison)), console)
        return ExitCode.OK
    if options.verbose:
        terminal.show_all(comparison, console)
    terminal.show(comparison, console)
    console.print(f"report: {_shown(output) / 'report.html'}", soft_wrap=True)
    return exit_code(comparison, found)


def _compare(options: argparse.Namespace) -> int:
    old, new = (
        two_runs.ComparedRun(shards.read([folder])) for folder in (options.old, options.new)
    )
    if problems := [*old.found.problems, *new.found.problems]:
        return terminal.tell_problems(problems)
    two_runs.check(old, new)
    found = compared(old, new)
    console = terminal.console(width=110)
    terminal.show_changes(found, console)
    try:
        page = files.write_compared(found, options.output or options.new)
    except OSError as error:
        return _cannot_write(options.output or options.new, error)
    console.print(f"\nreport: {_shown(page)}", soft_wrap=True)
    return ExitCode.OK


def _baseline(options: argparse.Namespace) -> int:
    run = two_runs.ComparedRun(shards.read([options.run_folder]))
    if run.found.problems:
        return terminal.tell_problems(run.found.problems)
    before = baseline.read(options.output) if options.output.exists() else None
    made = baseline.written(run, before)
    try:
        files.put(options.output, made.decode())
    except OSError as error:
        return _cannot_write(options.output, error)
    console = terminal.console()
    for kind, one in baseline.read(options.output).kinds.items():
        told = f"{kind}: {len(one.ratios)} ratios, {len(one.trainings)} trainings"
        terminal.show_lines([told], console)
    return ExitCode.OK


def _history(options: argparse.Namespace) -> int:
    found = history.read(options.results)
    if found.table.empty:
        return terminal.tell_problems(found.problems or [f"{options.results}: no runs in it"])
    page, table = (options.results / f"history.{form}" for form in ("html", "csv"))
    try:
        files.put(table, spreadsheets.harmless(found.table).to_csv(index=False))
        files.put(page, html.history(found))
    except OSError as error:
        return _cannot_write(options.results, error)
    console = terminal.console()
    terminal.show_lines((*found.problems, *history.step_lines(found.table)), console)
    console.print(f"\nhistory: {_shown(page)}", soft_wrap=True)
    return ExitCode.OK


def _shown(path: Path) -> Path:
    """From where the person is, if it is below; nox has gone elsewhere, and leaves this behind."""
    with contextlib.suppress(ValueError):
        return path.resolve().relative_to(os.environ.get("PWD") or Path.cwd())
    return path


def _cannot_write(output: Path, error: OSError) -> int:
    path = error.filename or output
    print(plain(f"error: {path}: cannot be written ({error.strerror})"), file=sys.stderr)
    return ExitCode.ENVIRONMENT


def exit_code(comparison: Comparison, found: shards.Shards) -> int:
    """The gravest thing that the comparison found."""
    trained = set(comparison.accuracy["status"])
    # A speed that is `invalid` makes its run untrusted; all else that is not ok is an absence.
    # That a setting on its own cannot be had is a result.
    tried = (comparison.speed["status"] == speed.FAILED) & ~comparison.speed["variant"].isin(THREE)
    timed = set(comparison.speed.loc[~tried, "status"]) - {"invalid"}
    if found.problems:
        return ExitCode.DATA
    if (trained | timed) - {"ok", "diverged"} or comparison.incomplete:
        return ExitCode.ENVIRONMENT
    if "diverged" in trained or "fail" in set(comparison.parity["status"]):
        return ExitCode.FAIL
    inconclusive = comparison.untrusted or "invalid" in set(comparison.speed["status"])
    # A run of so few launches that it claims nothing (`smoke`) has nothing to take back.
    claims = any(plan.launches >= MIN_LAUNCHES for _, plan in speed.planned(found))
    return ExitCode.INCONCLUSIVE if inconclusive and claims else ExitCode.OK


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # as of `| head`; the files have been written by then
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.INTERRUPTED
    except Exception:  # noqa: BLE001 - Python's own exit code, 1, would mean "diverged"
        traceback.print_exc()
        code = ExitCode.INTERNAL
    sys.exit(code)
