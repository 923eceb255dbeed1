"""`report.md`, for job summaries: the answer, and all else folded; `comment.md`: its head alone."""

import html
import re
from collections.abc import Iterable, Iterator

import pandas as pd

from reports.across_runs.compared import Compared
from reports.judging.comparison import Comparison
from reports.judging.questions import questions
from reports.judging.screen import screen
from reports.judging.sections import sections
from reports.read.plain_text import plain
from reports.tables.columns import DECLARED
from reports.tables.wording import Note

# Control characters have no business in a text file; the rest is Markdown's own syntax.
_SYNTAX = re.compile(r"([\\`*_{}\[\]()#|~@])")


MAX_BYTES = 60_000
"""Job summaries and comments on pull requests take no more."""

COMMENT_LINES = 14
"""Nobody reads more of one; the workflow that posts it adds a line."""

LEFT_OUT = "*The rest would be too long for this page: report.html and tables/ have all of it.*"


def render(comparison: Comparison) -> str:
    """The report as Markdown, of at most `MAX_BYTES`: what does not fit is left out and told."""
    return fitted(_blocks(comparison))


def fitted(blocks: Iterable[str]) -> str:
    """Blocks of Markdown, as many of them as fit."""
    room = MAX_BYTES - len(LEFT_OUT.encode()) - 2
    kept: list[str] = []
    for block in filter(None, blocks):
        room -= len(block.encode()) + 2
        if room < 0:
            kept.append(LEFT_OUT)
            break
        kept.append(block)
    return "\n\n".join(kept) + "\n"


def comment(comparison: Comparison) -> str:
    """The answer in at most `COMMENT_LINES`, for a comment on a pull request."""
    seen = screen(comparison)
    head = [f"**Keras Backend Bench**: {escape(seen.heading)}", ""]
    if seen.rows:
        head += [*table(pd.DataFrame(seen.rows, columns=list(seen.header))).splitlines(), ""]
    commands = [f"Repeat with `{plain(one).replace('`', '')}`" for one in comparison.commands[:1]]
    room = COMMENT_LINES - len(head) - len(commands)
    lines = sorted(seen.notes, key=lambda note: not note.grave)
    if len(lines) > room:
        lines = [*lines[: room - 1], Note("More stands in the report.")]
    return "\n".join((*head, notes(lines), *(f"- {one}" for one in commands))) + "\n"


def _blocks(comparison: Comparison) -> Iterator[str]:
    seen = screen(comparison)
    yield "# Keras Backend Bench"
    yield escape(seen.heading)
    if seen.rows:
        yield table(pd.DataFrame(seen.rows, columns=list(seen.header)))
        yield seen.caption
    yield notes(seen.notes)
    tables = sections(comparison)
    for question in questions(comparison):
        yield f"## {question.title}"
        yield notes([question.finding])
        yield folded("In sentences", notes(question.lines))
        for name in question.tables:
            if name in tables:
                yield folded(DECLARED[name]["title"], table(tables[name]))


def changes(found: Compared) -> str:
    """What has changed between two runs."""
    tables = (folded(DECLARED[name]["title"], table(one)) for name, one in found.tables.items())
    remarks = folded("What else differs", notes(map(Note, found.remarks)))
    return fitted(("# What has changed", escape(found.title), notes(found.notes), *tables, remarks))


def folded(title: str, block: str) -> str:
    """What a reader has to open."""
    return f"<details><summary>{title}</summary>\n\n{block}\n\n</details>" if block else ""


def escape(text: str) -> str:
    """`text` such that Markdown and HTML show it as it is."""
    return _SYNTAX.sub(r"\\\1", html.escape(plain(text), quote=False))


def notes(lines: Iterable[Note]) -> str:
    """A list; what is grave stands out."""
    told = [(escape(line.text), line.grave) for line in lines]
    return "\n".join(f"- **{text}**" if grave else f"- {text}" for text, grave in told)


def table(frame: pd.DataFrame) -> str:
    """A table of text."""
    return str(frame.map(escape).to_markdown(index=False, disable_numparse=True))
