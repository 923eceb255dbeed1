"""Figures of what was learned: curves, errors, confusions and disagreements."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from reports import published, wording
from reports.comparison import Comparison
from reports.curves import seconds_until
from reports.figures import style
from reports.figures.style import INK, MUTED, Panel, Picture

MOST_CLASSES = 20
"""More cannot be read in a heat map of this width."""

WRONG = to_rgb("#d55e00")
SHOWN, COLUMNS = 12, 4
"""Images that are shown for each model, and how many stand beside each other."""


SHADES = LinearSegmentedColormap.from_list("shades", [(*WRONG, 0.12), (*WRONG, 0.75)])
"""More is stronger on a light page and on a dark one."""


def curves(comparison: Comparison) -> Picture:
    """Loss and accuracy over the epochs."""
    panels = []
    for model, epochs in wording.by_model(comparison.curves):
        figure, (loss, accuracy) = style.panel(5.2, model, rows=2)
        for width, (backend, own) in _narrowing(epochs):
            means = own.groupby("epoch").mean(numeric_only=True)
            for axes, name, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
                train, test = (scale * means[f"{part}_{name}"] for part in ("train", "test"))
                colour, _ = style.look(backend)
                # Of a single epoch there is no line, but a point.
                dot = "o" if len(means) == 1 else ""
                axes.plot(
                    train.index, train, marker=dot, color=colour, linestyle="--", linewidth=width
                )
                axes.plot(
                    test.index, test, marker=dot, color=colour, linestyle="-", linewidth=width
                )
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        known = published.EPOCH_ACCURACY_PERCENT.get(model)
        if model in comparison.published and known:
            published_epochs = range(1, len(known) + 1)
            accuracy.plot(
                published_epochs, known, color=INK, linestyle=":", linewidth=2, label="published"
            )
        loss.set(ylabel="loss", yscale="log")
        style.plain_numbers(loss.yaxis)
        accuracy.set(ylabel="accuracy %", xlabel="epoch")
        for width, (backend, _) in _narrowing(epochs):
            accuracy.plot([], [], color=style.look(backend)[0], linewidth=width, label=backend)
        for name, line in (("test", "-"), ("training", "--")):
            accuracy.plot([], [], color=INK, linestyle=line, label=name)
        accuracy.legend(ncols=2)
        last = epochs[epochs["epoch"] == epochs["epoch"].max()]
        panels.append(
            Panel(
                figure,
                f"{model}: loss and accuracy over {epochs['epoch'].max()} epochs; test accuracy "
                f"in the end: {_by_backend(100 * last['test_accuracy'], last, '.2f', ' %')}",
            )
        )
    return Picture(
        "How they learn",
        "Mean over seeds. Solid: the test set after each epoch; dashed: training, a mean over the "
        "epoch; dotted: the test accuracy that the reference published.",
        tuple(panels),
    )


def time_to_error(comparison: Comparison) -> Picture:
    """Error over the seconds of training."""
    panels, lines = [], []
    for model, epochs in wording.by_model(comparison.curves):
        figure, (axes,) = style.panel(3.2, model)
        several = len(set(epochs["seed"])) > 1
        for backend, own in epochs.groupby("backend", sort=False):
            colour, marker = style.look(str(backend))
            for _, one in own.groupby("seed") if several else ():
                axes.plot(
                    one["trained_seconds"],
                    one["error_percent"],
                    color=colour,
                    linewidth=0.8,
                    alpha=0.35,
                )
            middle = own.groupby("epoch")[["trained_seconds", "error_percent"]].median()
            axes.plot(
                middle["trained_seconds"],
                middle["error_percent"],
                color=colour,
                marker=marker,
                markersize=4,
            )
        axes.set(xlabel="seconds of training", ylabel="error %", xscale="log", yscale="log")
        style.plain_numbers(axes.xaxis)
        style.plain_numbers(axes.yaxis)
        _legend(axes, epochs)
        told = ""
        if model in comparison.published:
            error = comparison.published[model]
            axes.axhline(error, color=INK, linestyle=":", linewidth=1)
            told = _time_to(epochs, error)
            lines.append(f"{model}, seconds of training until the error is {error:.2f} %: {told}.")
        panels.append(Panel(figure, f"{model}: error over seconds of training. {told}".strip()))
    return Picture(
        "How soon they learn",
        "Each point is an epoch, in the median over seeds; thin lines are the trainings. Seconds "
        "of training alone, as epochs took them, one training after another. Dotted: the error "
        "that was published.",
        tuple(panels),
        tuple(lines),
    )


def seeds(comparison: Comparison) -> Picture:
    """The error of each training."""
    panels = []
    errors = comparison.accuracy[comparison.accuracy["error_percent"].notna()]
    for model, cells in wording.by_model(errors):
        figure, (axes,) = style.panel(2.6, model)
        for place, (backend, own) in enumerate(cells.groupby("backend", sort=False)):
            colour, marker = style.look(str(backend))
            spread = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else np.zeros(1)
            axes.plot(place + spread, own["error_percent"], marker, color=colour, markersize=5)
            axes.hlines(own["error_percent"].mean(), place - 0.3, place + 0.3, color=colour)
        names = list(dict.fromkeys(cells["backend"]))
        axes.set(ylabel="error %", xticks=range(len(names)), xticklabels=names)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.margins(y=0.25)
        if model in comparison.published:
            error = comparison.published[model]
            axes.axhline(error, color=INK, linestyle=":", linewidth=1.5)
            axes.annotate(
                f"published {error:.2f}",
                (1, error),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize="small",
            )
        panels.append(
            Panel(
                figure,
                f"{model}: error of {len(cells)} trainings; mean by backend: "
                f"{_by_backend(cells['error_percent'], cells, '.2f', ' %')}",
            )
        )
    return Picture(
        "Errors over seeds",
        "Each point is a training from other initial weights and batches, the bar their mean. "
        "Compare spreads, never two single points.",
        tuple(panels),
    )


def confusion(comparison: Comparison) -> Picture:
    """Which class is taken for which."""
    panels = []
    of_models = wording.by_model(comparison.confusion)
    for model, backend, counts in (
        (model, backend, counts)
        for model, rows in of_models
        for backend, counts in rows.groupby("backend", sort=False)
    ):
        matrix = counts.pivot_table(index="label", columns="answer", values="count", aggfunc="sum")
        if len(matrix) > MOST_CLASSES:
            continue
        values = matrix.to_numpy(dtype=np.int64)
        wrong = values * (1 - np.eye(len(values), dtype=np.int64))
        figure = Figure(figsize=(style.WIDTH, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.set_title(f"{model}, {backend}")
        sns.heatmap(
            matrix.astype("int64"),
            ax=axes,
            mask=wrong == 0,
            annot=True,
            fmt="d",
            cmap=SHADES,
            norm=LogNorm(1, max(2, wrong.max())),
            cbar=False,
            square=True,
            linewidths=0.5,
            linecolor=style.GRID,
            annot_kws={"fontsize": "small", "color": INK},
        )
        for place, right in enumerate(np.diag(values)):
            axes.text(
                place + 0.5,
                place + 0.5,
                str(right),
                ha="center",
                va="center",
                fontsize="x-small",
                color=MUTED,
            )
        axes.grid(visible=False)
        axes.set(xlabel="answer", ylabel="label")
        axes.tick_params(length=0, labelrotation=0)
        panels.append(Panel(figure, f"{model}, {backend}: {_worst_confusions(wrong)}"))
    return Picture(
        "What is taken for what",
        "How many test images of each label (rows) got which answer (columns), summed over seeds; "
        "right answers on the diagonal, without colour.",
        tuple(panels),
    )


def disagreements(comparison: Comparison) -> Picture:
    """Images that backends answer differently."""
    panels, lines = [], []
    for model, found in wording.by_model(comparison.disagreements):
        images = list(dict.fromkeys(found["image"]))
        lines.append(
            f"{model}: {len(images)} images are answered differently at seed "
            f"{found['seed'].iloc[0]}."
        )
        pixels = comparison.images.get(str(found["dataset_sha256"].iloc[0]))
        if pixels is not None and max(images) < len(pixels):
            figure = _grid(model, found, images[:SHOWN], pixels)
            panels.append(Panel(figure, f"{lines[-1]} {_answers_in_words(found, images[:SHOWN])}"))
    return Picture(
        "Where they disagree",
        f"Up to {SHOWN} test images of which the backends are surest and yet not of one mind: the "
        "label, and what each answers with its probability.",
        tuple(panels),
        tuple(lines) if panels else (),
    )


def _grid(model: str, found: pd.DataFrame, images: list[int], pixels: NDArray[np.uint8]) -> Figure:
    """Images beside each other, and below each what the backends answer."""
    lines = 1 + found["backend"].nunique()
    rows = -(-len(images) // COLUMNS)
    words, picture = 0.16 * lines, 1.0
    figure = Figure(figsize=(style.WIDTH, rows * (picture + words) + 0.35))
    figure.text(0.01, 0.99, model, va="top", fontsize="medium", fontweight="bold")
    grid = figure.add_gridspec(
        2 * rows,
        COLUMNS,
        height_ratios=[picture, words] * rows,
        left=0,
        right=1,
        bottom=0,
        top=1 - 0.3 / figure.get_figheight(),
        hspace=0.05,
    )
    for place, image in enumerate(images):
        row, column = divmod(place, COLUMNS)
        shown = figure.add_subplot(grid[2 * row, column])
        shown.imshow(pixels[image].squeeze(), cmap="gray_r", interpolation="none")
        below = figure.add_subplot(grid[2 * row + 1, column])
        own = found[found["image"] == image].to_dict("records")
        told = [(f"label {own[0]['label']}", INK)]
        for answer in own:
            wrong = "" if answer["answer"] == answer["label"] else " ✗"
            text = f"{answer['backend']} {answer['answer']} ({answer['probability']:.0%}){wrong}"
            told.append((text, style.look(answer["backend"])[0]))
        for line, (text, colour) in enumerate(told):
            below.text(0.5, 1 - line / lines, text, va="top", ha="center", fontsize=7, color=colour)
        for axes in (shown, below):
            axes.set_axis_off()
    return figure


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


def _worst_confusions(wrong: NDArray[np.int64]) -> str:
    order = np.argsort(-wrong, axis=None)[:3]
    told = [f"{i // len(wrong)} as {i % len(wrong)} {wrong.flat[i]} times" for i in order]
    return f"{wrong.sum()} wrong answers; most often {', '.join(told)}"


def _answers_in_words(found: pd.DataFrame, images: list[int]) -> str:
    told = []
    for image in images:
        own = found[found["image"] == image]
        answers = ", ".join(f"{r['backend']} {r['answer']}" for r in own.to_dict("records"))
        told.append(f"label {own['label'].iloc[0]}: {answers}")
    return "; ".join(told)
