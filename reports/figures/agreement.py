"""Figures of parity: the ladder as a heat map, and trainings that diverge."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from bench.contract.rungs import RUNGS
from reports.figures import style
from reports.figures.style import INK, Panel, Parts
from reports.judging.comparison import Comparison
from reports.tables import wording

COLOURS, NORM = mpl.colormaps["cividis_r"], LogNorm(0.5, 1000, clip=True)
WORDS = {"pass": "ok", "warn": "warn", "fail": "FAIL"}


def ladder(comparison: Comparison) -> Parts:
    """Rungs of each model and backend, in multiples of what rounding alone gives."""
    names = [rung for rung in RUNGS if rung in set(comparison.parity["rung"])]
    for model, by_variant in wording.by_definition(comparison.parity):
        backends = list(dict.fromkeys(name for own in by_variant.values() for name in own["lane"]))
        figure, grid = style.columns(1.0 + 0.42 * len(backends), model, by_variant)
        told = []
        for axes, (variant, own) in zip(grid, by_variant.items(), strict=True):
            for backend, rows in own.groupby("lane", sort=False):
                cells = {str(rung): _cell(of_rung) for rung, of_rung in rows.groupby("rung")}
                for rung, cell in cells.items():
                    _draw_cell(axes, names.index(rung), backends.index(str(backend)), *cell)
                said = ", ".join(_said(rung, *cell) for rung, cell in cells.items())
                told.append(f"{wording.named(str(backend), variant)}: {said}")
            axes.tick_params(length=0)
            axes.grid(visible=False)
            for spine in axes.spines.values():
                spine.set_visible(False)
        grid[0].set(xlim=(-0.5, len(names) - 0.5), ylim=(len(backends) - 0.5, -0.5))
        grid[0].set_xticks(range(len(names)), names)
        grid[0].set_yticks(range(len(backends)), backends)
        columns = ["variant", "lane", "rung", "quantity", "value", "floors", "status"]
        data = pd.concat(by_variant.values())[columns]
        alt = f"{model}, worst error in roundings of float32: {'; '.join(told)}"
        yield Panel(figure, alt, model, data)


def _said(rung: str, status: str, text: str, share: float) -> str:
    return f"{rung} {status} {text}" if share else f"{rung} {status}"


def _draw_cell(axes: Axes, x: int, y: int, status: str, text: str, share: float) -> None:
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
    colour = "#ffffff" if dark else "#000000" if share else INK
    weight = "bold" if status == "fail" else "normal"
    text_at = axes.text(x, y, text, fontsize="small", color=colour, fontweight=weight)
    text_at.set(ha="center", va="center")


def divergence(comparison: Comparison) -> Parts:
    """How far trainings go from the reference's, and how far rounding may take them."""
    for model, rows in comparison.divergence.groupby("model", sort=False):
        figure, (axes,) = style.panel(3.2, str(model))
        told = []
        rows = rows.assign(lane=wording.backends(rows))
        for backend, own, colour, marker in style.by_backend(rows):
            steps, marked = own["step"], f"{marker}-"
            axes.plot(steps, own["distance"], marked, color=colour, markersize=4, label=backend)
            axes.plot(steps, own["envelope"], color=colour, linestyle=":", linewidth=1.5)
            widths = (own["distance"] / own["envelope"]).max()
            told.append(f"{backend} at most {widths:.2f} widths of its envelope")
        axes.plot([], [], color=INK, linestyle=":", label="envelope")
        style.both_logarithmic(axes, "step", "distance of all weights")
        axes.legend(ncols=2)
        alt = f"{model}, distance from the oracle: {', '.join(told)}"
        yield Panel(figure, alt, str(model), rows)


def _cell(own: pd.DataFrame) -> tuple[str, str, float]:
    """Worst status, what is written, and the worst error in floors (0 where there is none)."""
    status = max(own["status"], key=["pass", "warn", "fail"].index)
    floors = own["floors"].where(own["value"].notna(), np.inf).max()
    if pd.isna(floors) or floors == 0:
        return status, WORDS[status], 0.0
    text = f"{floors:.1f}" if floors < 9.95 else f"{floors:,.0f}" if np.isfinite(floors) else "∞"
    return status, text if status == "pass" else f"{text} {WORDS[status]}", max(floors, 0.5)
