"""`report.md`: the comparison for pull requests and job summaries."""

import html
import re
from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from reports.judging import parity_lines, sentences, speed_lines
from reports.judging.comparison import Comparison
from reports.judging.sections import sections
from reports.read.plain_text import plain
from reports.tables.columns import DECLARED, as_text

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


ORDER: tuple[str | Callable[[Comparison], Iterable[str]], ...] = (
    "ladder",
    lambda told: parity_lines.parity_lines(told.horizons, told.saturated),
    "rung_errors",
    "errors",
    "agreement",
    lambda told: parity_lines.conclusion_lines(told.conclusions),
    "ratios",
    "variants",
    "time_to_error",
    "speed",
    "latency",
    "costs",
    lambda told: speed_lines.start_lines(told.break_even),
    "accuracy",
    "ledger",
    lambda told: told.conditions,
)
"""Tables and lists after the answers."""


def _blocks(comparison: Comparison) -> Iterator[str]:
    tables = sections(comparison)
    yield "# Keras Backend Bench"
    yield "\n\n".join(f"**{escape(line)}**" for line in sentences.alerts(comparison))
    answers = [(escape(note.text), note.grave) for note in sentences.answers(comparison)]
    yield "\n".join(f"- **{text}**" if grave else f"- {text}" for text, grave in answers)
    yield _list((*comparison.headings, *comparison.noise))
    if "summary" in tables:
        yield _table(_with_published(comparison))
    yield _list(sentences.remarks(comparison))
    for part in ORDER:
        if callable(part):
            yield _list(part(comparison))
        elif part in tables:
            yield f"## {DECLARED[part]['title']}"
            yield DECLARED[part].get("caption", "")
            unsaid = ["dataset", "images_per_second"] if part == "accuracy" else []
            yield _table(tables[part].drop(columns=unsaid))


def _with_published(comparison: Comparison) -> pd.DataFrame:
    summary = comparison.summary.copy()
    if comparison.published:
        published = summary["model"].map(comparison.published)
        summary.insert(4, "published_error_percent", published)
    return as_text(summary)


def escape(text: str) -> str:
    """`text` such that Markdown and HTML show it as it is."""
    return _SYNTAX.sub(r"\\\1", html.escape(plain(text), quote=False))


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


def _table(frame: pd.DataFrame) -> str:
    return str(frame.map(escape).to_markdown(index=False, disable_numparse=True))
