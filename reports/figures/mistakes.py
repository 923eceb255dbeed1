"""Figures of what is answered wrongly, and of what backends do not answer alike."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.figures import style
from reports.figures.style import INK, MUTED, Panel, Parts
from reports.judging.comparison import Comparison
from reports.tables import predictions, wording

MOST_CLASSES = 20
"""More cannot be read in a heat map of this width."""

COLUMNS = 4
"""How many images stand beside each other."""

WRONG = to_rgb("#d55e00")
SHADES = LinearSegmentedColormap.from_list("shades", [(*WRONG, 0.12), (*WRONG, 0.75)])
"""More is stronger on a light page and on a dark one."""


def confusion(comparison: Comparison) -> Parts:
    """Which class is taken for which: a column for each backend."""
    for model, rows in wording.by_model(comparison.confusion):
        matrices = {
            str(backend): counts.pivot_table(
                index="label", columns="answer", values="count", aggfunc="sum"
            )
            for backend, counts in rows.groupby("lane", sort=False)
        }
        if max(map(len, matrices.values())) > MOST_CLASSES:
            continue
        figure, grid = style.columns(4.4, "", matrices)
        told = []
        for axes, (backend, matrix) in zip(grid, matrices.items(), strict=True):
            axes.set_title(f"{model}, {backend}")
            told.append(f"{backend} {_confusion(axes, matrix)}")
        grid[0].invert_yaxis()
        grid[0].set_ylabel("label")
        yield Panel(figure, f"{model}: {'; '.join(told)}", str(rows["model"].iloc[0]), rows)


def _confusion(axes: Axes, matrix: pd.DataFrame) -> str:
    """Draw one matrix; gives what is confused most often, in words."""
    values = matrix.to_numpy(dtype=np.int64)
    wrong = values * (1 - np.eye(len(values), dtype=np.int64))
    shown = np.ma.masked_equal(wrong, 0)
    scale = LogNorm(1, max(2, wrong.max()))
    axes.pcolormesh(shown, cmap=SHADES, norm=scale, edgecolor=style.GRID, linewidth=0.5)
    for row, column in np.argwhere(wrong):
        _count(axes, row, column, wrong[row, column], INK)
    for place, right in enumerate(np.diag(values)):
        _count(axes, place, place, right, MUTED)
    axes.grid(visible=False)
    axes.set(xlabel="answer", aspect="equal")
    axes.set_xticks(np.arange(len(values)) + 0.5, [str(name) for name in matrix.columns])
    axes.set_yticks(np.arange(len(values)) + 0.5, [str(name) for name in matrix.index])
    axes.tick_params(length=0)
    return _worst_confusions(wrong)


def disagreements(comparison: Comparison) -> Parts:
    """Images that backends answer differently."""
    for model, found in wording.by_model(comparison.disagreements):
        images = list(dict.fromkeys(found["image"]))
        most = "at least " if len(images) == predictions.MOST_IMAGES else ""
        seed = found["seed"].iloc[0]
        line = f"{model}: {most}{len(images)} images are answered differently at seed {seed}."
        yield line
        pixels = comparison.images.get(str(found["dataset_sha256"].iloc[0]))
        if pixels is not None and max(images) < len(pixels):
            shown = images[: style.IMAGES]
            figure = _grid(model, found, shown, pixels)
            alt = f"{line} {_answers_in_words(found, shown)}"
            yield Panel(figure, alt, str(found["model"].iloc[0]), found)


def _grid(model: str, found: pd.DataFrame, images: list[int], pixels: NDArray[np.uint8]) -> Figure:
    """Images beside each other, and below each what the backends answer."""
    lines = 1 + found["lane"].nunique()
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
            text = f"{answer['lane']} {answer['answer']} ({answer['probability']:.0%}){wrong}"
            told.append((text, style.look(answer["lane"])[0]))
        for line, (text, colour) in enumerate(told):
            below.text(0.5, 1 - line / lines, text, va="top", ha="center", fontsize=7, color=colour)
        for axes in (shown, below):
            axes.set_axis_off()
    return figure


def _count(axes: Axes, row: int, column: int, count: int, colour: str) -> None:
    size = "small" if count < 1000 else "x-small"
    x, y = column + 0.5, row + 0.5
    text = axes.text(x, y, str(count), ha="center", va="center", fontsize=size, color=colour)
    text.set_in_layout(False)  # it stands in a cell, and measuring all of them takes long


def _worst_confusions(wrong: NDArray[np.int64]) -> str:
    order = np.argsort(-wrong, axis=None)[:3]
    told = [f"{i // len(wrong)} as {i % len(wrong)} {wrong.flat[i]} times" for i in order]
    return f"{wrong.sum()} wrong answers; most often {', '.join(told)}"


def _answers_in_words(found: pd.DataFrame, images: list[int]) -> str:
    told = []
    for image in images:
        own = found[found["image"] == image]
        answers = ", ".join(f"{r['lane']} {r['answer']}" for r in own.to_dict("records"))
        told.append(f"label {own['label'].iloc[0]}: {answers}")
    return "; ".join(told)
