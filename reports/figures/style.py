"""How all figures look: one colour and one marker for each backend, SVG that follows the page."""

import contextlib
import io
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from reports.ladder.findings import TOLERANCES
from reports.tables import wording
from reports.tables.columns import DECLARED

IMAGES = 12
"""That are shown for each model."""

WIDTH = 5.2
"""Inches: at this width text is as large as the page's, and still readable on a phone."""

INK, MUTED, GRID, GROUND = "#1a1a1b", "#65656b", "#d4d4d9", "#fefeff"
BACKENDS = {
    "tensorflow": ("#d55e00", "o"),
    "jax": ("#0072b2", "s"),
    "torch": ("#009e73", "^"),
}
"""Colour and marker; of the palette of Okabe and Ito, which colour-blind readers can tell apart."""

OTHERS = (("#cc79a7", "D"), ("#8a6d00", "v"), ("#7a51a8", "P"))

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    GROUND: "--ground",
    **{colour: f"--{backend}" for backend, (colour, _) in BACKENDS.items()},
}
"""Colours that the page changes in the dark, by the names they have there."""

RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # names come from shards
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}


@dataclass(frozen=True)
class Panel:
    """One drawing of a picture.

    Attributes:
        figure: What is drawn.
        alt: The same in words, for those who do not see it.
        model: What it is about.
        data: What it is drawn from.
    """

    figure: Figure
    alt: str
    model: str
    data: pd.DataFrame


@dataclass(frozen=True)
class Picture:
    """One subject of the report.

    Attributes:
        title: A heading.
        text: How to read it.
        panels: Usually one for each model; none where there is nothing to show.
        lines: What it says in numbers.
    """

    title: str
    text: str
    panels: tuple[Panel, ...]
    lines: tuple[str, ...] = ()


Parts = Iterable[Panel | str]
"""Panels of a picture, and lines that stand below them."""

TEXTS = tomllib.loads((Path(__file__).parent / "pictures.toml").read_text(encoding="utf-8"))


def picture(name: str, parts: Parts) -> Picture:
    """A picture of `pictures.toml`."""
    made = list(parts)
    panels = tuple(part for part in made if isinstance(part, Panel))
    lines = tuple(part for part in made if isinstance(part, str)) if panels else ()
    known = {
        "caption": DECLARED["ladder"]["caption"],
        "limit": TOLERANCES["P5 distance"][1],
        "shown": IMAGES,
    }
    return Picture(TEXTS[name]["title"], TEXTS[name]["text"].format(**known), panels, lines)


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Draw and save figures in our style, and leave that of others as it was."""
    with mpl.rc_context(RC):
        yield


def panel(height: float, title: str, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of the usual width with one column of axes.

    Args:
        height: Inches.
        title: Stands over the first axes.
        rows: How many axes.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = list(figure.subplots(rows, 1, squeeze=False)[:, 0])
    axes[0].set_title(title)
    return figure, axes


def columns(height: float, model: str, variants: Iterable[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a column for each variant, which all share their axes.

    Args:
        height: Inches.
        model: Stands over each column, with the variant.
        variants: Names of the columns.
    """
    names = list(variants)
    wide = WIDTH * (0.35 + 0.65 * len(names))
    figure = Figure(figsize=(wide, height), layout="constrained")
    axes = list(figure.subplots(1, len(names), squeeze=False, sharex=True, sharey=True)[0])
    for one, name in zip(axes, names, strict=True):
        one.set_title(wording.named(model, name))
    return figure, axes


def look(backend: str) -> tuple[str, str]:
    """Colour and marker of a backend, the same in all figures."""
    title, _, device = backend.partition(" ")
    if device:  # the same colour, another marker
        return look(title)[0], "X"
    known = next((name for name in BACKENDS if title in {name, wording.title(name)}), "")
    if known:
        return BACKENDS[known]
    # Of many lanes few share both.
    colour = OTHERS[sum(map(ord, title)) % len(OTHERS)][0]
    return colour, OTHERS[sum(n * ord(c) for n, c in enumerate(title)) % len(OTHERS)][1]


def by_backend(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, str, str]]:
    """Rows of each backend, with its name, colour and marker."""
    for backend, own in rows.groupby("lane", sort=False):
        yield str(backend), own, *look(str(backend))


def words(rows: pd.DataFrame, form: str, between: str = ", ") -> str:
    """Each row in words; `form` has names of columns in braces."""
    return between.join(form.format_map(row) for row in rows.to_dict("records"))


def plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis with numbers as they are read, at 1, 2 and 5, or a few more."""
    low, high = axis.get_view_interval()
    few: tuple[float, ...] = (1, 1.2, 1.5, 2, 3, 5, 7) if high < 3 * low else (1, 2, 5)
    if high < 1.7 * low:
        few = (1, 1.1, 1.2, 1.3, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    axis.set_major_locator(LogLocator(subs=few, numticks=99))
    if high > 300 * low:
        axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def both_logarithmic(axes: Axes, across: str, up: str) -> None:
    """Make both axes logarithmic, with these labels."""
    axes.set(xlabel=across, ylabel=up, xscale="log", yscale="log")
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)


def rows(axes: Axes, places: Sequence[float], labels: Sequence[str], across: str) -> None:
    """Name what lies in rows, the first on top; `across` is what is read off."""
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(across)


def svg(drawn: Panel, name: str) -> str:
    """A panel as an SVG element.

    Args:
        drawn: The panel.
        name: Goes before all ids, which must be unique in the page.
    """
    file = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": name, "svg.id": None}):
        # `savefig` would draw and lay out everything twice.
        FigureCanvasSVG(drawn.figure).print_svg(file, metadata=metadata)  # type: ignore[no-untyped-call]
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = text.replace("'DejaVu Sans'", "var(--font)")
    width = drawn.figure.get_size_inches()[0] * 72
    head = f'<svg role="img" aria-label={quoteattr(drawn.alt)} style="max-width: {width:.0f}pt"'
    # Without a size of its own it is as wide as there is room.
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    return text.replace("<svg", head, 1)
