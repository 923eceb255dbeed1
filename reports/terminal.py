"""The comparison on a terminal, readable without colour and in 80 columns."""

from collections.abc import Iterable

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports import readable, readable_parity
from reports.comparison import Comparison
from reports.markdown import CONTROL, DIGITS

_HEADERS = {
    "model": "model",
    "backend": "backend",
    "error_percent": "error %",
    "accuracy_percent": "accur. %",
    "images_per_second": "images/s",
    "train_seconds": "train s",
    "status": "status",
}
_SPEED = ("model", "backend", "images/s", "95 % interval", "% of peak", "status")
_RATIOS = ("model", "pair", "ratio", "95 % interval", "verdict")
_LADDER = ("model", "backend", "passed", "warned", "failed")
_WORDS = {"model", "backend", "pair", "status", "verdict", *_LADDER}


def show(comparison: Comparison, published: dict[str, float], console: Console) -> None:
    """Print the comparison: of speeds those of training; `report.md` has all.

    Args:
        comparison: What to tell.
        published: Published error in percent by model, where it may be compared.
        console: Where to print.
    """
    console.print()
    _lines(comparison.untrusted, console, style="bold red")
    for line in comparison.headings:
        console.print(_plain(line))
    if not comparison.untrusted:
        _lines(
            readable.fastest_lines(comparison.main_ratios, comparison.main_speed),
            console,
            style="bold",
        )
    for line in readable_parity.verdict_lines(comparison.ladder, comparison.parity):
        shouted = {"NOT", "DIFFER"} & set(line.split())
        _lines([line], console, style="bold red" if shouted else "bold")
    if not comparison.summary.empty:
        console.print(_summary(comparison, published))
    if not comparison.ladder.empty:
        console.print(_table(readable_parity.rungs_by_status(comparison.ladder), _LADDER))
    _lines(readable_parity.parity_lines(comparison.horizons, comparison.saturated), console)
    _lines(readable_parity.conclusion_lines(comparison.conclusions), console)
    # Slots in turn, where there are any, say it better than epochs one after another.
    if not comparison.main_speed.empty:
        console.print(_table(readable.speed(comparison.main_speed), _SPEED))
    if not comparison.main_ratios.empty:
        console.print(_table(readable.ratios(comparison.main_ratios), _RATIOS))
    _lines(readable.start_lines(comparison.break_even), console)
    _lines(comparison.conditions, console)
    for note in comparison.notes:
        grave = note.split(" ")[0].isupper()
        _lines([note], console, style="bold red" if grave else None)


def _summary(comparison: Comparison, published: dict[str, float]) -> Table:
    headers = dict(_HEADERS)
    if not comparison.main_speed.empty:
        del headers["images_per_second"]
    table = _empty_table()
    for name, header in headers.items():
        table.add_column(
            header,
            justify="right" if name in DIGITS else "left",
            no_wrap=name in DIGITS,
            overflow="fold",
        )
    for model, rows in comparison.summary.groupby("model"):
        for row in rows.to_dict("records"):
            style = None if row["status"] == "ok" else "bold red"
            if row["device"] != "cpu":
                row["backend"] = f"{row['backend']} {row['device']}"
            table.add_row(*(_cell(name, row[name]) for name in headers), style=style)
        if model in published:
            error = published[str(model)]
            table.add_row(
                str(model), "published", f"{error:.2f}", f"{100 - error:.2f}", style="dim"
            )
        table.add_section()
    return table


def _table(frame: pd.DataFrame, columns: tuple[str, ...]) -> Table:
    """A table of text; a row that is not ok is red."""
    table = _empty_table()
    for name in columns:
        words = name in _WORDS
        table.add_column(
            name, justify="left" if words else "right", no_wrap=not words, overflow="fold"
        )
    for _, rows in frame.groupby("model", sort=False):
        for row in rows.to_dict("records"):
            bad = (
                row.get("status", "ok") != "ok"
                or row.get("verdict") == "missing"
                or row.get("failed", "-") != "-"
            )
            cells = (_plain(row[name]) for name in columns)
            table.add_row(*cells, style="bold red" if bad else None)
        table.add_section()
    return table


def _empty_table() -> Table:
    return Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _cell(name: str, value: object) -> Text:
    if pd.isna(value):  # type: ignore[call-overload]
        return Text("-")
    return _plain(f"{value:,.{DIGITS[name]}f}" if name in DIGITS else str(value))


def _lines(lines: Iterable[str], console: Console, style: str | None = None) -> None:
    for line in lines:
        # Not on a terminal a line stays one line, for grep.
        console.print(_plain(line), style=style, soft_wrap=not console.is_terminal)


def _plain(text: str) -> Text:
    """Text without markup or escape sequences: shards may come from anywhere."""
    return Text(CONTROL.sub("?", text))
