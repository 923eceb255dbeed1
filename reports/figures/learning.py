"""Figures of what was learned, and how soon: curves and errors."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reports.figures import style
from reports.figures.style import INK, Panel, Parts
from reports.judging.comparison import Comparison
from reports.tables import published, wording
from reports.tables.curves import seconds_until


def curves(comparison: Comparison) -> Parts:
    """Loss and accuracy over the epochs, a panel for each."""
    for model, by_variant in wording.by_definition(comparison.curves):
        epochs = pd.concat(by_variant.values())
        known = (
            published.EPOCH_ACCURACY_PERCENT.get(model) if model in comparison.published else None
        )
        figure, grid = style.columns(3.0, model, by_variant)
        for axes, own in zip(grid, by_variant.values(), strict=True):
            _curves(axes, own, "loss", 1)
        grid[0].set(ylabel="loss", yscale="log")
        style.plain_numbers(grid[0].yaxis)
        _line_legend(grid[0], epochs)
        last = epochs[epochs["epoch"] == epochs["epoch"].max()]
        losses = _by_backend(last["test_loss"], last, ".4g", "")
        over = f"{model}: %s over {epochs['epoch'].max()} epochs; of the test set in the end: "
        yield Panel(figure, over % "loss" + losses, model, epochs)
        if epochs["test_accuracy"].isna().all():
            continue
        figure, grid = style.columns(3.0, model, by_variant)
        for axes, own in zip(grid, by_variant.values(), strict=True):
            _curves(axes, own, "accuracy", 100)
            if known:
                numbers = range(1, len(known) + 1)
                axes.plot(numbers, known, color=INK, linestyle=":", linewidth=2, label="published")
        grid[0].set_ylabel("accuracy %")
        _line_legend(grid[0], epochs)
        ends = _by_backend(100 * last["test_accuracy"], last, ".2f", " %")
        yield Panel(figure, over % "accuracy" + ends, model, epochs)


def _curves(axes: Axes, epochs: pd.DataFrame, name: str, scale: float) -> None:
    """Training dashed and the test set solid."""
    for width, (backend, own) in _narrowing(epochs):
        means = own.groupby("epoch").mean(numeric_only=True)
        colour, _ = style.look(backend)
        # Of a single epoch there is no line, but a point.
        dot = "o" if len(means) == 1 else ""
        for part, line in (("train", f"{dot}--"), ("test", f"{dot}-")):
            shown = scale * means[f"{part}_{name}"]
            axes.plot(shown.index, shown, line, color=colour, linewidth=width)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")


def _line_legend(axes: Axes, epochs: pd.DataFrame) -> None:
    for width, (backend, _) in _narrowing(epochs):
        axes.plot([], [], color=style.look(backend)[0], linewidth=width, label=backend)
    for name, line in (("test", "-"), ("training", "--")):
        axes.plot([], [], color=INK, linestyle=line, label=name)
    axes.legend(ncols=2)


def time_to_error(comparison: Comparison) -> Parts:
    """Error over the seconds of training."""
    timed = comparison.curves[["error_percent", "trained_seconds"]].notna().all(axis=1)
    for model, by_variant in wording.by_definition(comparison.curves[timed]):
        epochs = pd.concat(by_variant.values())
        figure, grid = style.columns(3.2, model, by_variant)
        error = comparison.published.get(model)
        for axes, own in zip(grid, by_variant.values(), strict=True):
            _errors_in_time(axes, own)
            if error is not None:
                axes.axhline(error, color=INK, linestyle=":", linewidth=1)
        style.both_logarithmic(grid[0], "seconds of training", "error %")
        _legend(grid[0], epochs)
        told = []
        if error is not None:
            told = [
                f"{wording.named(model, variant)}, seconds until {error:.2f} %: "
                f"{_time_to(own, error)}"
                for variant, own in by_variant.items()
            ]
        yield from (f"{line}." for line in told)
        alt = f"{model}: error over seconds of training. {'. '.join(told)}".strip()
        yield Panel(figure, alt, model, epochs)


def _errors_in_time(axes: Axes, epochs: pd.DataFrame) -> None:
    columns = ["trained_seconds", "error_percent"]
    several = len(set(epochs["seed"])) > 1
    for _, own, colour, marker in style.by_backend(epochs):
        for _, one in own.groupby("seed") if several else ():
            seconds, errors = (one[name] for name in columns)
            axes.plot(seconds, errors, color=colour, linewidth=0.8, alpha=0.35)
        middle = own.groupby("epoch")[columns].median()
        seconds, errors = (middle[name] for name in columns)
        axes.plot(seconds, errors, color=colour, marker=marker, markersize=4)


def seeds(comparison: Comparison) -> Parts:
    """The error of each training, with what so many test images leave open."""
    errors = comparison.accuracy[comparison.accuracy["error_percent"].notna()]
    for model, by_variant in wording.by_definition(errors):
        cells = pd.concat(by_variant.values())
        figure, grid = style.columns(2.8, model, by_variant)
        backends = list(dict.fromkeys(cells["lane"]))
        for axes, own in zip(grid, by_variant.values(), strict=True):
            _errors(axes, own, backends)
            error = comparison.published.get(model)
            if error is not None:
                axes.axhline(error, color=INK, linestyle=":", linewidth=1.5, label="published")
                axes.legend()
        grid[0].set_ylabel("error %")
        grid[0].set_xticks(range(len(backends)), backends)
        grid[0].set_xlim(-0.6, len(backends) - 0.4)
        grid[0].margins(y=0.25)
        means = _by_backend(cells["error_percent"], cells, ".2f", " %")
        alt = f"{model}: error of {len(cells)} trainings; mean by backend: {means}"
        yield Panel(figure, alt, model, cells)


def _errors(axes: Axes, cells: pd.DataFrame, backends: list[str]) -> None:
    """A point for each training; of a single one the 95 % interval of a share of its images."""
    for backend, own, colour, marker in style.by_backend(cells):
        place = backends.index(backend)
        spread = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else np.zeros(1)
        axes.plot(place + spread, own["error_percent"], marker, color=colour, markersize=5)
        if len(own) > 1:
            axes.hlines(own["error_percent"].mean(), place - 0.3, place + 0.3, color=colour)
        else:
            share, total = own["error_percent"].iloc[0] / 100, own["total"].iloc[0]
            half = 196 * (share * (1 - share) / total) ** 0.5
            middle = own["error_percent"].iloc[0]
            axes.vlines(place, middle - half, middle + half, color=colour, linewidth=2)


def _legend(axes: Axes, rows: pd.DataFrame) -> None:
    for backend in dict.fromkeys(rows["lane"]):
        colour, marker = style.look(str(backend))
        axes.plot([], [], color=colour, marker=marker, label=str(backend))
    axes.legend()


def _narrowing(rows: pd.DataFrame) -> Iterator[tuple[float, tuple[str, pd.DataFrame]]]:
    """Rows of each backend with the width of its line: equal lines stay visible below another."""
    backends = list(dict.fromkeys(rows["lane"]))
    for place, backend in enumerate(backends):
        yield 1.3 + 1.7 * (len(backends) - 1 - place), (backend, rows[rows["lane"] == backend])


def _by_backend(values: "pd.Series[float]", rows: pd.DataFrame, form: str, unit: str) -> str:
    means = values.groupby(rows["lane"], sort=False).mean()
    return ", ".join(f"{backend} {mean:{form}}{unit}" for backend, mean in means.items())


def _time_to(epochs: pd.DataFrame, error: float) -> str:
    """Median over seeds; one that never got there counts as later than all others."""
    told = []
    for backend, own in seconds_until(epochs, error).groupby("lane", sort=False):
        median = own["seconds"].fillna(np.inf).median()
        never = int(own["seconds"].isna().sum())
        late = f" ({never} of {len(own)} never)" if never else ""
        told.append(
            f"{backend} {median:.0f}{late}"
            if np.isfinite(median)
            else f"{backend} not in time{late}"
        )
    return ", ".join(told)
