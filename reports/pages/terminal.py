"""The comparison on a terminal, readable without colour and in 80 columns."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.across_runs.changes import error_changes, ratio_changes, speed_changes
from reports.across_runs.gate import FAIL, INCONCLUSIVE, MISSING, PASS, Check
from reports.across_runs.two_runs import ComparedRun, changed_models, headings, same_machine
from reports.judging import parity_lines, sections, sentences, speed_lines
from reports.judging.comparison import Comparison
from reports.read.plain_text import plain
from reports.tables.columns import DECLARED, shown

_WORDS = {
    *("model", "phase", "backend", "pair", "variant", "status", "verdict"),
    *("passed", "warned", "failed"),
}
"""Columns of words, which may be broken; all else are figures."""


def show(comparison: Comparison, console: Console) -> None:
    """Print the comparison: of speeds those of training; the written reports have all."""
    console.print()
    for line in comparison.headings:
        console.print(_plain(line))
    # Slots in turn, where there are any, say it better than epochs one after another.
    unsaid = [] if comparison.main_speed.empty else ["examples/s"]
    _show("summary", _summary(comparison).drop(columns=unsaid), console)
    _show("ladder", sections.rungs_by_status(comparison.ladder), console)
    show_lines(parity_lines.parity_lines(comparison.horizons, comparison.saturated), console)
    show_lines(parity_lines.conclusion_lines(comparison.conclusions), console)
    _show("speed", shown("speed", comparison.main_speed), console)
    _show("ratios", sections.ratios(comparison.main_ratios), console)
    _show("variants", sections.variants(comparison.main_variants), console)
    show_lines(speed_lines.start_lines(comparison.break_even), console)
    show_lines(comparison.conditions, console)
    show_lines(sentences.remarks(comparison), console)
    # Last what matters most: it is what stands above the prompt.
    for verdict in sentences.answers(comparison):
        show_lines([verdict.text], console, style="bold red" if verdict.grave else "bold")
    show_lines(sentences.alerts(comparison), console, style="bold red")


def show_changes(old: ComparedRun, new: ComparedRun, console: Console) -> None:
    """Print what changed between two runs."""
    show_lines(headings(old.comparison, new.comparison), console)
    show_lines(changed_models(old, new), console)
    same = same_machine(old, new)
    if old.machines and new.machines and not same:
        show_lines([OTHER_MACHINE], console, style="bold")
    speeds, ratios = speed_changes(old, new), ratio_changes(old, new)
    tables = {
        "speed_changes": _by_workload(speeds if same else speeds.iloc[:0]),
        "ratio_changes": _by_workload(ratios).assign(pair=sections.pair_names(ratios)),
        "error_changes": error_changes(old, new),
    }
    for name, table in tables.items():
        if not table.empty:
            console.print(f"\n{DECLARED[name]['title']}", style="bold")
            _show(name, shown(name, table), console)


def _by_workload(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(workload=table["phase"] + " " + table["batch_size"].astype("str"))


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


def _summary(comparison: Comparison) -> pd.DataFrame:
    """The table, and after each model what was published of it."""
    parts = []
    for model, own in comparison.summary.groupby("model"):
        parts.append(shown("summary", own).assign(group=model))
        if model in comparison.published:
            error = comparison.published[str(model)]
            published = {"error %": f"{error:.2f}", "acc. %": f"{100 - error:.2f}"}
            named = {"model": model, "backend": "published", "group": model}
            parts.append(pd.DataFrame([named | published]))
    return pd.concat(parts).fillna("") if parts else shown("summary", comparison.summary)


def _longest_word(column: "pd.Series[str]") -> int:
    """What is not broken, if it is no longer than a name of ours is."""
    lengths = [len(word) for cell in column.unique() for word in str(cell).split()]
    return min(max(lengths, default=0), 14)


def _show(name: str, frame: pd.DataFrame, console: Console) -> None:
    """Print a table of text, or the columns of it that a terminal has room for."""
    if frame.empty:
        return
    groups = frame["group"] if "group" in frame else frame["model"]
    frame = frame.drop(columns="group", errors="ignore")
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


def show_lines(lines: Iterable[str], console: Console, style: str | None = None) -> None:
    """Print plain text, a line each."""
    for line in lines:
        # Not on a terminal a line stays one line, for grep.
        console.print(_plain(line), style=style, soft_wrap=not console.is_terminal)


def _plain(text: str) -> Text:
    """Text without markup or escape sequences: shards may come from anywhere."""
    return Text(plain(text))
