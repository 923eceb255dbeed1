"""`report.md`: the comparison for pull requests and job summaries."""

import html
import re
from collections.abc import Iterable

import pandas as pd

from reports.judging import readable, readable_parity, sentences
from reports.judging.captions import AGREEMENT, LADDER, RATIOS, SPEEDS, TIME, VARIANTS
from reports.judging.comparison import Comparison
from reports.read.plain_text import plain
from reports.tables import time_to_error, variants

# Control characters have no business in a text file; the rest is Markdown's own syntax.
_SYNTAX = re.compile(r"([\\`*_{}\[\]()#|~@])")


MAX_BYTES = 60_000
"""Job summaries and comments on pull requests take no more."""


def render(comparison: Comparison) -> str:
    """The report as Markdown, of at most `MAX_BYTES`: what does not fit is left out and told."""
    blocks = [block for block in _blocks(comparison) if block]
    room = MAX_BYTES - len(LEFT_OUT.encode()) - 2
    kept: list[str] = []
    for block in blocks:
        room -= len(block.encode()) + 2
        if room < 0:
            kept.append(LEFT_OUT)
            break
        kept.append(block)
    return "\n\n".join(kept) + "\n"


LEFT_OUT = "*The rest would be too long for this page: report.html and tables/ have all of it.*"


def _blocks(comparison: Comparison) -> list[str]:
    summary = comparison.summary.copy()
    if comparison.published:
        published = summary["model"].map(comparison.published)
        summary.insert(4, "published_error_percent", published)
    return [
        "# Keras Backend Bench",
        "\n\n".join(f"**{escape(line)}**" for line in sentences.alerts(comparison)),
        "\n".join(
            f"- **{escape(verdict.text)}**" if verdict.grave else f"- {escape(verdict.text)}"
            for verdict in sentences.answers(comparison)
        ),
        _list((*comparison.headings, *comparison.noise)),
        "" if summary.empty else _table(summary),
        _list(sentences.remarks(comparison)),
        *_section(
            "The same answers?",
            readable_parity.ladder(comparison.ladder, comparison.parity),
            LADDER,
        ),
        _list(readable_parity.parity_lines(comparison.horizons, comparison.saturated)),
        *_section("The worst error on each rung", readable_parity.rung_errors(comparison.parity)),
        *_section("Errors over seeds", readable_parity.errors(comparison.errors)),
        *_section(
            "Agreement over seeds", readable_parity.agreement(comparison.agreement), AGREEMENT
        ),
        _list(readable_parity.conclusion_lines(comparison.conclusions)),
        *_section("Ratios", readable.ratios(comparison.ratios), RATIOS),
        *_section("Variants", variants.readable(comparison.variants), VARIANTS),
        *_section(
            "Time to the published error", time_to_error.readable(comparison.time_to_error), TIME
        ),
        *_section("Speed", readable.speed(comparison.speed), SPEEDS),
        *_section("Latency of one prediction", readable.latency(comparison.speed)),
        *_section("Where the time goes, in seconds", readable.costs(comparison.costs)),
        _list(readable.start_lines(comparison.break_even)),
        *_section("Every cell", comparison.accuracy.drop(columns=["dataset", "images_per_second"])),
        *_section("Versions", comparison.ledger),
        _list(comparison.conditions),
    ]


def escape(text: str) -> str:
    """`text` such that Markdown and HTML show it as it is."""
    return _SYNTAX.sub(r"\\\1", html.escape(plain(text), quote=False))


def _section(title: str, frame: pd.DataFrame, text: str = "") -> list[str]:
    return [] if frame.empty else [f"## {title}", text, _table(frame)]


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


def _table(frame: pd.DataFrame) -> str:
    cells = pd.DataFrame({column: frame[column].map(_cell(column)) for column in frame.columns})
    return str(cells.to_markdown(index=False, disable_numparse=True))


def _cell(column: str):  # type: ignore[no-untyped-def]
    digits = DIGITS.get(column)

    def show(value: object) -> str:
        if pd.isna(value):  # type: ignore[call-overload]
            return "-"
        return escape(str(value)) if digits is None else f"{value:,.{digits}f}"

    return show


DIGITS = {
    "error_percent": 2,
    "published_error_percent": 2,
    "accuracy_percent": 2,
    "images_per_second": 0,
    "train_seconds": 1,
    "peak_rss_mib": 0,
    "train_loss": 4,
    "test_loss": 4,
    "train_accuracy": 4,
    "test_accuracy": 4,
}
"""Digits after the point of each number that a person reads."""
