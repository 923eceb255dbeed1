"""HTML pages of one file each, which need no network: `report.html` and `history.html`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import figures
from reports.across_runs.history import History, step_lines
from reports.figures import style, trend
from reports.figures.style import Picture
from reports.judging import readable, readable_parity, sentences
from reports.judging.captions import AGREEMENT, LADDER, RATIOS, SPEEDS, TIME, VARIANTS
from reports.judging.comparison import Comparison
from reports.pages.markdown import DIGITS
from reports.read.plain_text import plain
from reports.tables import time_to_error, variants

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Table:
    """A table of a page, of text; empty ones are left out."""

    title: str
    text: str
    frame: pd.DataFrame

    @property
    def rows(self) -> list[list[str]]:
        """Text of each cell."""
        return [_clean(map(str, row)) for row in self.frame.to_numpy()]


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
        tables=[table for table in _tables(comparison) if not table.frame.empty],
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
        tables=[Table("Every run", "", _numbers(found.table.round(2)))],
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


def _clean(lines: Iterable[str]) -> list[str]:
    """Text without control characters, which no page may have."""
    return [plain(line) for line in lines]


def _tables(comparison: Comparison) -> Sequence[Table]:
    return (
        Table("Summary", "Means over seeds.", _numbers(comparison.summary)),
        Table("Ratios", RATIOS, readable.ratios(comparison.ratios)),
        Table("Variants", VARIANTS, variants.readable(comparison.variants)),
        Table(
            "Time to the published error", TIME, time_to_error.readable(comparison.time_to_error)
        ),
        Table("Speed", SPEEDS, readable.speed(comparison.speed)),
        Table("Latency of one prediction", "", readable.latency(comparison.speed)),
        Table(
            "The same answers?",
            LADDER,
            readable_parity.ladder(comparison.ladder, comparison.parity),
        ),
        Table("The worst error on each rung", "", readable_parity.rung_errors(comparison.parity)),
        Table("Errors over seeds", "", readable_parity.errors(comparison.errors)),
        Table("Agreement over seeds", AGREEMENT, readable_parity.agreement(comparison.agreement)),
        Table("Where the time goes, in seconds", "", readable.costs(comparison.costs)),
        Table("Every cell", "", _numbers(comparison.accuracy)),
        Table("Versions and machines", "", comparison.ledger),
    )


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers with the digits that a person reads; a dash where there is none."""
    columns = {}
    for name in frame.columns:
        digits = DIGITS.get(str(name))
        form = "{}".format if digits is None else f"{{:,.{digits}f}}".format
        columns[name] = ["-" if pd.isna(value) else form(value) for value in frame[name]]
    return pd.DataFrame(columns)
