"""Figures of a history: each figure of each model over the runs, with its steps."""

import pandas as pd
from matplotlib.ticker import MaxNLocator

from reports.figures import style
from reports.figures.style import MUTED, Panel, Parts, Picture
from reports.tables import wording

UNITS = {"images_per_second": "examples per second", "error_percent": "error %"}


def draw(table: pd.DataFrame) -> dict[str, Picture]:
    """A picture of each metric, by its name; to be called in `style.applied()`.

    Args:
        table: `reports.across_runs.history.History.table`.
    """
    return {
        metric: style.picture(metric, _panels(table[table["metric"] == metric], unit))
        for metric, unit in UNITS.items()
        if (table["metric"] == metric).any()
    }


def _panels(table: pd.DataFrame, unit: str) -> Parts:
    several = [name for name in ("machine", "protocol") if len(set(table[name])) > 1]
    for key, alike in table.groupby(["machine", "protocol"], sort=False):
        where = dict(zip(("machine", "protocol"), key, strict=True))
        places = {run: place for place, run in enumerate(dict.fromkeys(alike["run"]), start=1)}
        for model, rows in wording.by_model(alike):
            title = ", ".join([model, *(str(where[name]) for name in several)])
            figure, (axes,) = style.panel(3.0, title)
            told = []
            for backend, own, colour, marker in style.by_backend(rows):
                runs = own["run"].map(places)
                axes.plot(runs, own["value"], marker, color=colour, label=backend, markersize=4)
                axes.vlines(runs, own["low"], own["high"], color=colour, linewidth=1)
                for segment, level in own.groupby("segment"):
                    at = level["run"].map(places)
                    axes.hlines(level["value"].median(), at.min(), at.max(), color=colour)
                    if segment:
                        axes.axvline(at.min() - 0.5, color=MUTED, linestyle=":", linewidth=0.8)
                last = own.iloc[-1]
                told.append(f"{backend} {last['value']:,.4g} in {own['segment'].max() + 1} levels")
            axes.set(xlabel="run", ylabel=unit)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            figure.legend(loc="outside lower left", ncols=3)
            axes.margins(y=0.2)
            alt = f"{title}, {unit} over runs: {', '.join(told)}"
            yield Panel(figure, alt, str(rows["model"].iloc[0]), rows)
