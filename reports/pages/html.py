"""HTML pages of one file each, which need no network: `report.html` and `history.html`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import figures
from reports.across_runs.history import History, step_lines
from reports.figures import style, trend
from reports.figures.style import Picture
from reports.judging import sentences
from reports.judging.comparison import Comparison
from reports.judging.sections import sections
from reports.read.plain_text import plain
from reports.tables.columns import DECLARED, as_text

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Drawn:
    """A picture with its panels as SVG elements, which take their colours from the page."""

    name: str
    title: str
    text: str
    lines: list[str]
    panels: list[Markup]

    def files(self) -> dict[str, str]:
        """The panels as SVG files, which bring the colours along."""
        theme = (TEMPLATES / "theme.css").read_text(encoding="utf-8")
        return {
            # `str`, for `Markup` would escape the style.
            f"{self.name}-{number}.svg": str(panel).replace(">", f"><style>{theme}</style>", 1)
            for number, panel in enumerate(self.panels, start=1)
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
    return _page(
        "report.html",
        title="Keras Backend Bench",
        headings=_clean(comparison.headings),
        alerts=_clean(sentences.alerts(comparison)),
        answers=[
            {"text": plain(verdict.text), "grave": verdict.grave}
            for verdict in sentences.answers(comparison)
        ],
        noise=_clean(comparison.noise),
        remarks=_clean(sentences.remarks(comparison)),
        conditions=_clean(comparison.conditions),
        pictures=pictures,
        tables=[_table(DECLARED[name], frame) for name, frame in sections(comparison).items()],
    )


def history(found: History) -> str:
    """The history of many runs as a page."""
    with style.applied():
        pictures = _drawn(trend.draw(found.table))
    runs = found.table["run"].nunique()
    return _page(
        "history.html",
        title="Keras Backend Bench: history",
        headings=[f"{runs} {'run' if runs == 1 else 'runs'}"],
        alerts=_clean(found.problems),
        answers=_clean(step_lines(found.table)),
        pictures=pictures,
        tables=[_table({"title": "Every run"}, as_text(found.table.round(2)))],
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
            # matplotlib escapes all text that it is given.
            [
                Markup(style.svg(panel, f"{name}-{number}"))  # noqa: S704
                for number, panel in enumerate(picture.panels)
            ],
        )
        for name, picture in pictures.items()
    ]


def _table(told: Mapping[str, str], frame: pd.DataFrame) -> dict[str, Any]:
    """A table for a page."""
    return {
        "title": told["title"],
        "text": told.get("caption", ""),
        "columns": list(frame.columns),
        "rows": [_clean(map(str, row)) for row in frame.to_numpy()],
    }


def _clean(lines: Iterable[str]) -> list[str]:
    """Text without control characters, which no page may have."""
    return [plain(line) for line in lines]
