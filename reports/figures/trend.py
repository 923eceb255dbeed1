"""Figures of a history: each figure of each model over the runs, with its steps."""

import pandas as pd

from reports import wording
from reports.figures import style
from reports.figures.style import MUTED, Panel, Picture

METRICS = {
    "images_per_second": ("Training speed", "images per second"),
    "error_percent": ("Error", "error %"),
}


def draw(table: pd.DataFrame) -> dict[str, Picture]:
    """A picture of each metric, by its name; to be called in `style.applied()`.

    Args:
        table: `reports.history.History.table`.
    """
    return {
        metric: Picture(
            title,
            "Each point is a run, in the order of their making, with its 95 % interval where it "
            "has one. Lines are levels: where they break, the figure stepped.",
            tuple(_panels(table[table["metric"] == metric], unit)),
        )
        for metric, (title, unit) in METRICS.items()
        if (table["metric"] == metric).any()
    }


def _panels(table: pd.DataFrame, unit: str) -> list[Panel]:
    panels = []
    several = len(set(table["machine"])) > 1
    for machine, on_machine in table.groupby("machine", sort=False):
        places = {run: place for place, run in enumerate(dict.fromkeys(on_machine["run"]))}
        for model, rows in wording.by_model(on_machine):
            title = f"{model} on {machine}" if several else model
            figure, (axes,) = style.panel(3.0, title)
            told = []
            for backend, own in rows.groupby("backend", sort=False):
                colour, marker = style.look(str(backend))
                where = own["run"].map(places)
                axes.plot(where, own["value"], marker, color=colour, label=backend, markersize=4)
                axes.vlines(where, own["low"], own["high"], color=colour, linewidth=1)
                for segment, level in own.groupby("segment"):
                    at = level["run"].map(places)
                    axes.hlines(level["value"].median(), at.min(), at.max(), color=colour)
                    if segment:
                        axes.axvline(at.min() - 0.5, color=MUTED, linestyle=":", linewidth=0.8)
                last = own.iloc[-1]
                told.append(f"{backend} {last['value']:,.4g} in {own['segment'].max() + 1} levels")
            axes.set(xlabel="run", ylabel=unit)
            axes.legend(ncols=3)
            axes.margins(y=0.2)
            panels.append(Panel(figure, f"{title}, {unit} over runs: {', '.join(told)}"))
    return panels
