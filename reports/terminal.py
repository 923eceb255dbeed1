"""The comparison on a terminal, readable without colour and in 80 columns."""

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def show(comparison: Comparison, published: dict[str, float], console: Console) -> None:
    """Print the comparison.

    Args:
        comparison: What to tell.
        published: Published error in percent by model, where it may be compared.
        console: Where to print.
    """
    terminal = console.is_terminal  # elsewhere a note stays one line, for grep
    console.print()
    for line in comparison.headings:
        console.print(_plain(line))
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, header in _HEADERS.items():
        table.add_column(
            header, justify="right" if name in DIGITS else "left", no_wrap=name in DIGITS
        )
    for model, rows in comparison.summary.groupby("model"):
        for row in rows.to_dict("records"):
            style = None if row["status"] == "ok" else "bold red"
            if row["device"] != "cpu":
                row["backend"] = f"{row['backend']} {row['device']}"
            table.add_row(*(_cell(name, row[name]) for name in _HEADERS), style=style)
        if model in published:
            error = published[str(model)]
            table.add_row(
                str(model), "published", f"{error:.2f}", f"{100 - error:.2f}", style="dim"
            )
        table.add_section()
    console.print(table)
    for note in comparison.notes:
        grave = note.split(" ")[0].isupper()
        console.print(_plain(note), style="bold red" if grave else None, soft_wrap=not terminal)


def _cell(name: str, value: object) -> Text:
    if pd.isna(value):  # type: ignore[call-overload]
        return Text("-")
    return _plain(f"{value:,.{DIGITS[name]}f}" if name in DIGITS else str(value))


def _plain(text: str) -> Text:
    """Text without markup or escape sequences: shards may come from anywhere."""
    return Text(CONTROL.sub("?", text))
