"""The comparison on a terminal, readable without colour and in 80 columns."""

import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.contract.errors import ExitCode
from reports.across_runs.compared import Compared
from reports.across_runs.verdicts import FAIL, INCONCLUSIVE, MISSING, PASS, Check
from reports.judging import sections, sentences
from reports.judging.comparison import Comparison
from reports.judging.questions import questions
from reports.judging.screen import screen
from reports.read.plain_text import plain
from reports.tables.columns import DECLARED, shown
from reports.tables.wording import Note

_WORDS = {
    *("model", "phase", "lane", "pair", "variant", "status", "verdict"),
    *("passed", "warned", "failed", "same answers"),
}
"""Columns of words, which may be broken; all else are figures."""


def show(comparison: Comparison, console: Console) -> None:
    """Print the one screen that answers."""
    seen = screen(comparison)
    console.print()
    console.print(_plain(seen.heading))
    if seen.rows:
        table = Table(header_style="bold", box=None, pad_edge=False)
        for name in seen.header:
            table.add_column(_plain(name))
        for row in seen.rows:
            table.add_row(*map(_plain, row))
        console.print(table)
        if seen.caption:
            console.print(seen.caption, style="dim")
    show_notes(seen.notes, console)


def show_all(comparison: Comparison, console: Console) -> None:
    """Print each question with its sentences and its tables, of speeds those of training."""
    tables = {
        "ladder": sections.rungs_by_status(comparison.ladder),
        "speed": shown("speed", comparison.main_speed),
        "ratios": sections.ratios(comparison.main_ratios),
        "variants": sections.variants(comparison.main_variants),
        "summary": shown("summary", comparison.summary),
        "conditions": sections.sections(comparison).get("conditions", pd.DataFrame()),
    }
    show_lines(comparison.headings, console)
    show_lines(sentences.alerts(comparison), console, "bold red")
    for question in questions(comparison):
        console.print(f"\n{question.title}", style="bold")
        show_notes([question.finding, *question.lines], console)
        for name in question.tables:
            _show(name, tables.get(name, pd.DataFrame()), console)


def show_changes(compared: Compared, console: Console) -> None:
    """Print what changed between two runs."""
    show_lines(compared.remarks, console)
    show_notes(compared.notes, console)
    for name, table in compared.tables.items():
        console.print(f"\n{DECLARED[name]['title']}", style="bold")
        _show(name, table, console)


def show_checks(checks: Sequence[Check], console: Console) -> None:
    """Print what a gate found, the gravest last."""
    order = [PASS, INCONCLUSIVE, MISSING, FAIL]
    for check in sorted(checks, key=lambda check: order.index(check.verdict)):
        style = {PASS: None, INCONCLUSIVE: "bold"}.get(check.verdict, "bold red")
        show_lines([f"{check.verdict} {check.what}: {check.told}"], console, style)


def show_notes(notes: Iterable[Note], console: Console) -> None:
    """Print notes, a line each; what is grave is red."""
    for note in notes:
        show_lines([note.text], console, "bold red" if note.grave else None)


def show_lines(lines: Iterable[str], console: Console, style: str | None = None) -> None:
    """Print plain text, a line each."""
    for line in lines:
        # Not on a terminal a line stays one line, for grep.
        console.print(_plain(line), style=style, soft_wrap=not console.is_terminal)


def _longest_word(column: "pd.Series[str]") -> int:
    """What is not broken, if it is no longer than a name of ours is."""
    lengths = [len(word) for cell in column.unique() for word in str(cell).split()]
    return min(max(lengths, default=0), 14)


def _show(name: str, frame: pd.DataFrame, console: Console) -> None:
    """Print a table of text, or the columns of it that a terminal has room for."""
    if frame.empty:
        return
    groups = frame["model"] if "model" in frame else pd.Series("", frame.index)
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = DECLARED[name].get("short", list(frame.columns))
    for column in columns:
        words = column in _WORDS
        table.add_column(
            column,
            justify="left" if words else "right",
            no_wrap=not words,
            overflow="fold",
            min_width=_longest_word(frame[column]),
        )
    for _, rows in frame.groupby(groups, sort=False):
        for row in rows.to_dict("records"):
            cells = (_plain(row[column]) for column in columns)
            table.add_row(*cells, style="bold red" if _is_bad(row) else None)
        table.add_section()
    console.print(table)


def _is_bad(row: Mapping[Hashable, str]) -> bool:
    return (
        row.get("status", "") not in {"", "ok"}
        or row.get("verdict") in {"missing", "failed"}
        or row.get("failed", "-") != "-"
    )


def _plain(text: str) -> Text:
    """Text without markup or escape sequences: shards may come from anywhere."""
    return Text(plain(text))


def console(width: int = 80) -> Console:
    """Of this process: as wide as its terminal, or so many columns where it has none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else width)


def tell_problems(problems: Sequence[str]) -> int:
    """Print what is wrong with data, and return the exit code of that."""
    print("\n".join(plain(f"error: {problem}") for problem in problems), file=sys.stderr)
    return ExitCode.DATA
