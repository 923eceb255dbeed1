"""Figures of parity: the ladder as a heat map, and trainings that diverge."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from reports.figures import style
from reports.figures.style import INK, Panel, Picture
from reports.judging.comparison import Comparison
from reports.ladder.findings import TOLERANCES
from reports.tables import wording
from reports.tables.columns import DECLARED

COLOURS, NORM = mpl.colormaps["cividis_r"], LogNorm(0.5, 1000, clip=True)
WORDS = {"pass": "ok", "warn": "warn", "fail": "FAIL"}


def ladder(comparison: Comparison) -> Picture:
    """Rungs of each model and backend, in multiples of the rounding floor."""
    table, panels = comparison.parity, []
    rungs = sorted(set(table["rung"]))
    names = [f"P{number}" for number in range(9) if f"P{number}" in rungs]
    for model, rows in table.groupby(wording.models(table), sort=False):
        rows = rows.assign(backend=wording.backends(rows))
        backends = list(dict.fromkeys(rows["backend"]))
        figure, (axes,) = style.panel(1.0 + 0.42 * len(backends), str(model))
        told = []
        for y, backend in enumerate(backends):
            words = []
            for x, rung in enumerate(names):
                own = rows[(rows["backend"] == backend) & (rows["rung"] == rung)]
                if own.empty:
                    continue
                status, text, share = _cell(own)
                axes.add_patch(
                    Rectangle(
                        (x - 0.48, y - 0.46),
                        0.96,
                        0.92,
                        linewidth=2 if status != "pass" else 0,
                        edgecolor=INK,
                        facecolor=COLOURS(NORM(share)) if share else "none",
                    )
                )
                dark = share and NORM(share) > 0.55
                axes.text(
                    x,
                    y,
                    text,
                    ha="center",
                    va="center",
                    fontsize="small",
                    color="#ffffff" if dark else "#000000" if share else INK,
                    fontweight="bold" if status == "fail" else "normal",
                )
                words.append(f"{rung} {status}{f' {text}' if share else ''}")
            told.append(f"{backend}: {', '.join(words)}")
        axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(backends) - 0.5, -0.5))
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(backends)), backends)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        panels.append(Panel(figure, f"{model}, worst error in rounding floors: {'; '.join(told)}"))
    return Picture(
        "Do they give the same answers",
        f"{DECLARED['ladder']['caption']} Numbers are the worst error of a rung in floors; a frame "
        "marks a warning or a failure.",
        tuple(panels),
    )


def divergence(comparison: Comparison) -> Picture:
    """How far trainings go from the reference's, and how far rounding may take them."""
    panels = []
    limit = TOLERANCES["P5 distance"][1]
    for model, rows in comparison.divergence.groupby("model", sort=False):
        figure, (axes,) = style.panel(3.2, str(model))
        told = []
        for backend, own in rows.groupby(wording.backends(rows), sort=False):
            colour, marker = style.look(str(backend))
            axes.plot(
                own["step"],
                own["distance"],
                color=colour,
                marker=marker,
                markersize=4,
                label=str(backend),
            )
            axes.plot(own["step"], own["envelope"], color=colour, linestyle=":", linewidth=1.5)
            widths = (own["distance"] / own["envelope"]).max()
            told.append(f"{backend} at most {widths:.2f} widths of its envelope")
        axes.plot([], [], color=INK, linestyle=":", label="envelope")
        style.both_logarithmic(axes, "step", "distance of all weights")
        axes.legend(ncols=2)
        panels.append(Panel(figure, f"{model}, distance from the oracle: {', '.join(told)}"))
    return Picture(
        "Training divergence",
        "Euclidean distance of all weights from the reference's training. Dotted: how far "
        "trainings part whose weights are moved by one unit in the last place, at the start and "
        "at every point that is shown. A backend fails where it is farther than "
        f"{limit:g} times that.",
        tuple(panels),
    )


def _cell(own: pd.DataFrame) -> tuple[str, str, float]:
    """Worst status, what is written, and the worst error in floors (0 where there is none)."""
    status = max(own["status"], key=["pass", "warn", "fail"].index)
    floors = own["floors"].where(own["value"].notna(), np.inf).max()
    if pd.isna(floors) or floors == 0:
        return status, WORDS[status], 0.0
    text = f"{floors:.1f}" if floors < 9.95 else f"{floors:,.0f}" if np.isfinite(floors) else "∞"
    return status, text if status == "pass" else f"{text} {WORDS[status]}", max(floors, 0.5)
