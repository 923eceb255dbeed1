"""HTML pages of one file each, which need no network: report, compare and history."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import figures
from reports.across_runs.compared import Compared
from reports.across_runs.history import History, step_lines
from reports.figures import style, trend
from reports.figures.style import Picture
from reports.judging import sentences
from reports.judging.comparison import Comparison
from reports.judging.questions import questions
from reports.judging.screen import screen
from reports.judging.sections import sections
from reports.pages.spreadsheets import harmless
from reports.read.plain_text import plain
from reports.tables import wording
from reports.tables.columns import DECLARED, as_text
from reports.tables.wording import Note

_WORDLESS = re.compile(r"[^\w.]+")
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class DrawnPanel:
    """A panel as an SVG element, which takes its colours from the page.

    Attributes:
        name: Its place in the page, such as `ratios-single_layer`.
        file: Name of its file.
        svg: The drawing.
        csv: What it is drawn from.
        model: What it is about.
    """

    name: str
    file: str
    svg: Markup
    csv: str
    model: str


@dataclass(frozen=True)
class Drawn:
    """A picture with its panels."""

    name: str
    title: str
    text: str
    lines: list[str]
    panels: list[DrawnPanel]

    def files(self) -> dict[str, str]:
        """The panels as SVG files, which bring the colours along."""
        theme = (TEMPLATES / "theme.css").read_text(encoding="utf-8")
        return {
            # `str`, for `Markup` would escape the style.
            panel.file: str(panel.svg).replace(">", f"><style>{theme}</style>", 1)
            for panel in self.panels
        }


def draw(comparison: Comparison) -> list[Drawn]:
    """All pictures of a comparison."""
    with style.applied():
        return _drawn(figures.draw(comparison))


def report(comparison: Comparison, pictures: Sequence[Drawn]) -> str:
    """The comparison as a page.

    Args:
        comparison: What to tell.
        pictures: `draw` of it.
    """
    seen, tables = screen(comparison), sections(comparison)
    by_name = {picture.name: picture for picture in pictures}
    return _page(
        "report.html",
        title="Keras Backend Bench",
        screen={
            "heading": plain(seen.heading),
            "header": _clean(seen.header),
            "rows": [_clean(row) for row in seen.rows],
            "caption": seen.caption,
            "notes": _notes(seen.notes),
        },
        pending=list(comparison.pending),
        headings=_clean(comparison.headings),
        alerts=_clean(sentences.alerts(comparison)),
        command="nox -s report -- " + " ".join(f"results/{run}" for run in comparison.runs),
        choices=_choices(comparison),
        sections=[
            {
                "name": question.name,
                "title": question.title,
                "finding": _notes([question.finding])[0],
                "lines": _notes(question.lines),
                "pictures": [by_name[name] for name in question.figures if name in by_name],
                "more": [by_name[name] for name in question.more if name in by_name],
                "tables": [
                    _table(name, tables[name]) for name in question.tables if name in tables
                ],
            }
            for question in questions(comparison)
        ],
    )


def compare(found: Compared) -> str:
    """What has changed between two runs, as a page."""
    return _page(
        "compare.html",
        title="Keras Backend Bench: what has changed",
        heading=plain(found.title),
        notes=_notes(found.notes),
        remarks=_clean(found.remarks),
        tables=[_table(name, table) for name, table in found.tables.items()],
        command="",
    )


def history(found: History) -> str:
    """The history of many runs as a page."""
    with style.applied():
        pictures = _drawn(trend.draw(found.table))
    runs = found.table["run"].nunique()
    return _page(
        "history.html",
        title="Keras Backend Bench: history",
        heading=f"{runs} {'run' if runs == 1 else 'runs'}",
        alerts=_clean(found.problems),
        answers=_clean(step_lines(found.table)),
        pictures=pictures,
        tables=[_table("history", as_text(found.table.round(2)))],
        command="",
    )


def _page(template: str, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The page's own style and script; all else is escaped.
    theme, css, script = (
        Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704
        for name in ("theme.css", "page.css", "page.js")
    )
    return environment.get_template(template).render(css=theme + css, script=script, **values)


def _drawn(pictures: Mapping[str, Picture]) -> list[Drawn]:
    return [
        Drawn(
            name,
            picture.title,
            picture.text,
            _clean(picture.lines),
            [
                DrawnPanel(
                    f"{name}-{panel.model}-{number}" if number else f"{name}-{panel.model}",
                    f"{name}-{number + 1}.svg",
                    # matplotlib escapes all text that it is given.
                    Markup(style.svg(panel, f"{name}-{number}")),  # noqa: S704
                    harmless(panel.data).to_csv(index=False, float_format="%.7g"),
                    panel.model,
                )
                for number, panel in enumerate(picture.panels)
            ],
        )
        for name, picture in pictures.items()
    ]


def _table(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """A table for a page."""
    declared = DECLARED[name]
    return {
        "name": name,
        "title": declared["title"],
        "text": declared.get("caption", ""),
        "columns": list(frame.columns),
        "rows": list(_rows(name, frame)),
    }


def _rows(name: str, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of a table; the first of each model and phase can be linked to."""
    seen = set()
    for row in frame.astype("str").to_dict("records"):
        parts = (name, *(str(row[column]) for column in ("model", "phase") if column in row))
        anchor = "-".join(_WORDLESS.sub("-", part) for part in parts)
        yield {
            "anchor": "" if anchor in seen or "phase" not in row else anchor,
            "cells": _clean(map(str, row.values())),
        }
        seen.add(anchor)


def _notes(notes: Iterable[Note]) -> list[dict[str, Any]]:
    return [{"text": plain(note.text), "grave": note.grave} for note in notes]


def _choices(comparison: Comparison) -> dict[str, list[str]]:
    """What tables and figures can be narrowed to, by column; nothing where there is one alone."""
    speed, ladder = comparison.speed, comparison.ladder
    tables = [table for table in (speed, ladder, comparison.accuracy) if len(table)]
    found = {}
    for column in ("model", "variant", "phase", "lane"):
        values = dict.fromkeys(
            str(value) for table in tables if column in table for value in table[column]
        )
        titles = [wording.title(value) if column == "lane" else value for value in values]
        if len(titles) > 1:
            found[column] = _clean(titles)
    return found


def _clean(lines: Iterable[str]) -> list[str]:
    """Text without control characters, which no page may have."""
    return [plain(line) for line in lines]
