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
    """Loss and accuracy over the epochs."""
    for model, epochs in wording.by_model(comparison.curves):
        classifies = epochs["test_accuracy"].notna().any()
        figure, grid = style.panel(5.2 if classifies else 2.8, model, rows=1 + int(classifies))
        loss, accuracy = grid[0], grid[-1]
        for width, (backend, own) in _narrowing(epochs):
            means = own.groupby("epoch").mean(numeric_only=True)
            drawn = ((loss, "loss", 1), (accuracy, "accuracy", 100))
            for axes, name, scale in drawn if classifies else drawn[:1]:
                train, test = (scale * means[f"{part}_{name}"] for part in ("train", "test"))
                colour, _ = style.look(backend)
                # Of a single epoch there is no line, but a point.
                dot = "o" if len(means) == 1 else ""
                for shown, line in ((train, f"{dot}--"), (test, f"{dot}-")):
                    axes.plot(shown.index, shown, line, color=colour, linewidth=width)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        shipped = epochs["model"].iloc[0]
        known = published.EPOCH_ACCURACY_PERCENT.get(shipped)
        if shipped in comparison.published and known:
            published_epochs = range(1, len(known) + 1)
            accuracy.plot(
                published_epochs, known, color=INK, linestyle=":", linewidth=2, label="published"
            )
        loss.set(ylabel="loss", yscale="log")
        style.plain_numbers(loss.yaxis)
        if classifies:
            accuracy.set(ylabel="accuracy %")
        accuracy.set(xlabel="epoch")
        for width, (backend, _) in _narrowing(epochs):
            accuracy.plot([], [], color=style.look(backend)[0], linewidth=width, label=backend)
        for name, line in (("test", "-"), ("training", "--")):
            accuracy.plot([], [], color=INK, linestyle=line, label=name)
        accuracy.legend(ncols=2)
        last = epochs[epochs["epoch"] == epochs["epoch"].max()]
        told = (
            f"loss and accuracy over {epochs['epoch'].max()} epochs; test accuracy in the end: "
            f"{_by_backend(100 * last['test_accuracy'], last, '.2f', ' %')}"
            if classifies
            else f"loss over {epochs['epoch'].max()} epochs; of the test set in the end: "
            f"{_by_backend(last['test_loss'], last, '.4g', '')}"
        )
        yield Panel(figure, f"{model}: {told}")


def time_to_error(comparison: Comparison) -> Parts:
    """Error over the seconds of training."""
    classified = comparison.curves[comparison.curves["error_percent"].notna()]
    columns = ["trained_seconds", "error_percent"]
    for model, epochs in wording.by_model(classified):
        figure, (axes,) = style.panel(3.2, model)
        several = len(set(epochs["seed"])) > 1
        for _, own, colour, marker in style.by_backend(epochs):
            for _, one in own.groupby("seed") if several else ():
                seconds, errors = (one[name] for name in columns)
                axes.plot(seconds, errors, color=colour, linewidth=0.8, alpha=0.35)
            middle = own.groupby("epoch")[columns].median()
            seconds, errors = (middle[name] for name in columns)
            axes.plot(seconds, errors, color=colour, marker=marker, markersize=4)
        style.both_logarithmic(axes, "seconds of training", "error %")
        _legend(axes, epochs)
        told = ""
        error = comparison.published.get(epochs["model"].iloc[0])
        if error is not None:
            axes.axhline(error, color=INK, linestyle=":", linewidth=1)
            told = _time_to(epochs, error)
            yield f"{model}, seconds of training until the error is {error:.2f} %: {told}."
        yield Panel(figure, f"{model}: error over seconds of training. {told}".strip())


def seeds(comparison: Comparison) -> Parts:
    """The error of each training."""
    errors = comparison.accuracy[comparison.accuracy["error_percent"].notna()]
    for model, cells in wording.by_model(errors):
        figure, (axes,) = style.panel(2.6, model)
        names = []
        for place, (backend, own, colour, marker) in enumerate(style.by_backend(cells)):
            names.append(backend)
            spread = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else np.zeros(1)
            axes.plot(place + spread, own["error_percent"], marker, color=colour, markersize=5)
            axes.hlines(own["error_percent"].mean(), place - 0.3, place + 0.3, color=colour)
        axes.set(ylabel="error %", xticks=range(len(names)), xticklabels=names)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.margins(y=0.25)
        error = comparison.published.get(cells["model"].iloc[0])
        if error is not None:
            axes.axhline(error, color=INK, linestyle=":", linewidth=1.5)
            axes.annotate(
                f"published {error:.2f}",
                (1, error),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize="small",
            )
        means = _by_backend(cells["error_percent"], cells, ".2f", " %")
        yield Panel(figure, f"{model}: error of {len(cells)} trainings; mean by backend: {means}")


def _legend(axes: Axes, rows: pd.DataFrame) -> None:
    for backend in dict.fromkeys(rows["backend"]):
        colour, marker = style.look(str(backend))
        axes.plot([], [], color=colour, marker=marker, label=str(backend))
    axes.legend()


def _narrowing(rows: pd.DataFrame) -> Iterator[tuple[float, tuple[str, pd.DataFrame]]]:
    """Rows of each backend with the width of its line: equal lines stay visible below another."""
    backends = list(dict.fromkeys(rows["backend"]))
    for place, backend in enumerate(backends):
        yield 1.3 + 1.7 * (len(backends) - 1 - place), (backend, rows[rows["backend"] == backend])


def _by_backend(values: "pd.Series[float]", rows: pd.DataFrame, form: str, unit: str) -> str:
    means = values.groupby(rows["backend"], sort=False).mean()
    return ", ".join(f"{backend} {mean:{form}}{unit}" for backend, mean in means.items())


def _time_to(epochs: pd.DataFrame, error: float) -> str:
    """Median over seeds; one that never got there counts as later than all others."""
    told = []
    for backend, own in seconds_until(epochs, error).groupby("backend", sort=False):
        median = own["seconds"].fillna(np.inf).median()
        never = int(own["seconds"].isna().sum())
        late = f" ({never} of {len(own)} never)" if never else ""
        told.append(
            f"{backend} {median:.0f}{late}"
            if np.isfinite(median)
            else f"{backend} not in time{late}"
        )
    return ", ".join(told)
