"""The comparison on a terminal, readable without colour and in 80 columns."""

from collections.abc import Iterable, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.across_runs.changes import error_changes, ratio_changes, speed_changes
from reports.across_runs.gate import FAIL, INCONCLUSIVE, MISSING, PASS, Check
from reports.across_runs.two_runs import Side, changed_models, same_machine
from reports.judging import readable, readable_changes, readable_parity, sentences
from reports.judging.comparison import Comparison
from reports.pages.markdown import DIGITS
from reports.read.plain_text import plain
from reports.tables import variants, wording

_HEADERS = {
    "model": "model",
    "backend": "backend",
    "error_percent": "error %",
    "accuracy_percent": "acc. %",
    "images_per_second": "examples/s",
    "train_seconds": "train s",
    "status": "status",
}
_SPEED = ("model", "backend", "examples/s", "95 % interval", "% of peak", "status")
_RATIOS = ("model", "pair", "ratio", "95 % interval", "verdict")
_VARIANTS = ("model", "backend", "variant", "ratio", "95 % interval", "verdict")
_LADDER = ("model", "backend", "passed", "warned", "failed")
_WORDS = {"model", "phase", "backend", "pair", "variant", "status", "verdict", *_LADDER}


def show(comparison: Comparison, console: Console) -> None:
    """Print the comparison: of speeds those of training; the written reports have all."""
    console.print()
    for line in comparison.headings:
        console.print(_plain(line))
    if not comparison.summary.empty:
        console.print(_summary(comparison))
    if not comparison.ladder.empty:
        console.print(_table(readable_parity.rungs_by_status(comparison.ladder), _LADDER))
    show_lines(readable_parity.parity_lines(comparison.horizons, comparison.saturated), console)
    show_lines(readable_parity.conclusion_lines(comparison.conclusions), console)
    # Slots in turn, where there are any, say it better than epochs one after another.
    if not comparison.main_speed.empty:
        console.print(_table(readable.speed(comparison.main_speed), _SPEED))
    if not comparison.main_ratios.empty:
        console.print(_table(readable.ratios(comparison.main_ratios), _RATIOS))
    if not comparison.main_variants.empty:
        console.print(_table(variants.readable(comparison.main_variants), _VARIANTS))
    show_lines(readable.start_lines(comparison.break_even), console)
    show_lines(comparison.conditions, console)
    show_lines(sentences.remarks(comparison), console)
    # Last what matters most: it is what stands above the prompt.
    for verdict in sentences.answers(comparison):
        show_lines([verdict.text], console, style="bold red" if verdict.grave else "bold")
    show_lines(sentences.alerts(comparison), console, style="bold red")


def show_changes(old: Side, new: Side, console: Console) -> None:
    """Print what changed between two runs."""
    show_lines(readable_changes.headings(old.comparison, new.comparison), console)
    show_lines(changed_models(old, new), console)
    same = same_machine(old, new)
    if old.machines and new.machines and not same:
        show_lines([OTHER_MACHINE], console, style="bold")
    tables = (
        ("speed", readable_changes.speeds(speed_changes(old, new)) if same else None),
        ("ratios of speeds", readable_changes.speeds(ratio_changes(old, new))),
        ("errors", readable_changes.errors(error_changes(old, new))),
    )
    for title, table in tables:
        if table is not None and not table.empty:
            console.print(f"\n{title}", style="bold")
            console.print(_table(table, tuple(table.columns)))


OTHER_MACHINE = (
    "These speeds are of two machines: they are not compared, only the ratios of backends within "
    "each run are."
)


def show_checks(checks: Sequence[Check], console: Console) -> None:
    """Print what a gate found, the gravest last."""
    order = [PASS, INCONCLUSIVE, MISSING, FAIL]
    for check in sorted(checks, key=lambda check: order.index(check.verdict)):
        style = {PASS: None, INCONCLUSIVE: "bold"}.get(check.verdict, "bold red")
        show_lines([f"{check.verdict} {check.what}: {check.told}"], console, style)


def _summary(comparison: Comparison) -> Table:
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
        for row in rows.assign(model=wording.models(rows)).to_dict("records"):
            style = None if row["status"] == "ok" else "bold red"
            if row["device"] != "cpu":
                row["backend"] = f"{row['backend']} {row['device']}"
            table.add_row(*(_cell(name, row[name]) for name in headers), style=style)
        if model in comparison.published:
            error = comparison.published[str(model)]
            table.add_row(
                str(model), "published", f"{error:.2f}", f"{100 - error:.2f}", style="dim"
            )
        table.add_section()
    return table


def _longest_word(column: "pd.Series[str]") -> int:
    """What is not broken, if it is no longer than a name of ours is."""
    lengths = [len(word) for cell in column.unique() for word in str(cell).split()]
    return min(max(lengths, default=0), 14)


def _table(frame: pd.DataFrame, columns: tuple[str, ...]) -> Table:
    """A table of text; a row that is not ok is red."""
    table = _empty_table()
    for name in columns:
        words = name in _WORDS
        table.add_column(
            name,
            justify="left" if words else "right",
            no_wrap=not words,
            overflow="fold",
            min_width=_longest_word(frame[name]),
        )
    for _, rows in frame.groupby("model", sort=False):
        for row in rows.to_dict("records"):
            bad = (
                row.get("status", "ok") != "ok"
                or row.get("verdict") in {"missing", "failed"}
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


def show_lines(lines: Iterable[str], console: Console, style: str | None = None) -> None:
    """Print plain text, a line each."""
    for line in lines:
        # Not on a terminal a line stays one line, for grep.
        console.print(_plain(line), style=style, soft_wrap=not console.is_terminal)


def _plain(text: str) -> Text:
    """Text without markup or escape sequences: shards may come from anywhere."""
    return Text(plain(text))
