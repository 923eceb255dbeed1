"""Figures of speed: throughput, ratios, costs, latency, and how the machine wandered."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from bench.contract.variants import NATIVE, STOCK, THREE
from reports.figures import style
from reports.figures.style import GROUND, INK, MUTED, Panel, Parts
from reports.judging import sections, speed_lines
from reports.judging.comparison import Comparison
from reports.statistics import intervals
from reports.tables import wording

COSTS = {
    "process and import": ["start_seconds", "import_seconds"],
    "data and model": ["load_seconds", "build_seconds"],
    "first two steps": ["first_step_seconds", "second_step_seconds"],
    "training": ["feed_seconds", "train_seconds"],
    "evaluation": ["evaluation_seconds"],
    "other": ["other_seconds"],
}
COST_COLOURS = ("#332288", "#88ccee", "#cc6677", "#ddcc77", "#117733", "#aaaab0")
"""Of Paul Tol's muted palette, which colour-blind readers can tell apart."""

MANY_POINTS = 4000
"""More are drawn as pixels: the page must stay small."""


def throughput(comparison: Comparison) -> Parts:
    """Examples per second of each workload, with intervals."""
    table = comparison.speed[comparison.speed["images_per_second"].notna()]
    for model, rows in wording.by_model(table[table["batch_size"].isin(comparison.batch_sizes)]):
        rows = rows.assign(workload=rows["phase"] + " " + rows["batch_size"].astype("str"))
        figure, (axes,) = style.panel(1.0 + 0.3 * len(rows), model)
        places = _places(rows)
        for place, row in zip(places, rows.to_dict("records"), strict=True):
            colour, _ = style.look(row["backend"])
            axes.barh(place, row["images_per_second"], color=colour, height=0.8)
            if pd.notna(row["low"]):
                axes.hlines(place, row["low"], row["high"], color=INK, linewidth=2)
        labels = list(rows["workload"] + ", " + rows["backend"])
        style.rows(axes, places, labels, "examples per second")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        told = style.words(rows, "{workload} {backend} {images_per_second:,.0f}")
        yield Panel(figure, f"{model}, examples per second: {told}")


def forest(comparison: Comparison) -> Parts:
    """Ratios with their intervals."""
    table = comparison.ratios[comparison.ratios["ratio"].notna()]
    table = table[table["variant"].isin(THREE)]  # settings are compared within a backend
    shown = table["batch_size"].isin(comparison.batch_sizes) | _latency(table)
    for model, rows in wording.by_model(table[shown]):
        rows = rows.sort_values(["phase", "batch_size"], ascending=False, kind="stable")
        workload = rows["phase"] + " " + rows["batch_size"].astype("str")
        colours = [INK if pair else MUTED for pair in rows["backend"] != rows["baseline"]]
        yield _ratios(model, rows, workload + ": " + sections.pair_names(rows), colours)


def variants(comparison: Comparison) -> Parts:
    """What settings bring and what Keras costs, in training."""
    table = comparison.main_variants[comparison.main_variants["ratio"].notna()]
    for model, rows in table.groupby("model", sort=False):
        # The inverse stands there too: stock over native.
        rows = rows[(rows["variant"] != NATIVE) | (rows["over"] != STOCK)]
        labels = wording.backends(rows) + ": " + rows["variant"] + " / " + rows["over"]
        colours = [style.look(backend)[0] for backend in rows["backend"]]
        yield _ratios(str(model), rows, labels, colours)


def _ratios(
    title: str, rows: pd.DataFrame, labels: "pd.Series[str]", colours: Sequence[str]
) -> Panel:
    figure, (axes,) = style.panel(1.1 + 0.3 * len(rows), title)
    margin = 1 + intervals.MARGIN
    axes.axvspan(1 / margin, margin, color=MUTED, alpha=0.18, linewidth=0)
    axes.axvline(1, color=INK, linewidth=1)
    for place, (row, colour) in enumerate(zip(rows.to_dict("records"), colours, strict=True)):
        if pd.notna(row["low"]):
            axes.hlines(place, row["low"], row["high"], color=colour, linewidth=2)
        fill = colour if row["verdict"] in {"faster", "slower", "equivalent"} else GROUND
        axes.plot(row["ratio"], place, "D", color=colour, markerfacecolor=fill, markersize=5)
    style.rows(axes, range(len(rows)), list(labels), "times as fast as the second of the pair")
    axes.set_xscale("log")
    style.plain_numbers(axes.xaxis)
    told = style.words(rows.assign(label=labels), "{label} {ratio:.2f} ({verdict})", "; ")
    return Panel(figure, f"{title}, ratios: {told}")


def costs(comparison: Comparison) -> Parts:
    """What a whole training costs, part by part."""
    for model, rows in wording.by_model(comparison.costs):
        figure, (axes,) = style.panel(1.7 + 0.4 * len(rows), model)
        left = np.zeros(len(rows))
        for (name, parts), colour in zip(COSTS.items(), COST_COLOURS, strict=True):
            seconds = rows[parts].sum(axis=1).clip(lower=0).to_numpy()
            axes.barh(range(len(rows)), seconds, left=left, color=colour, label=name, height=0.7)
            left += seconds
        style.rows(axes, range(len(rows)), list(rows["backend"]), "seconds")
        figure.legend(loc="outside lower left", ncols=3)
        form = "{backend} {wall_seconds:.0f} s, of which {train_seconds:.0f} s are training"
        told = style.words(rows, form)
        yield Panel(figure, f"{model}, seconds of a whole training: {told}")
    yield from speed_lines.start_lines(comparison.break_even)


def latency(comparison: Comparison) -> Parts:
    """Percentiles of a prediction of one example."""
    table = comparison.speed[comparison.speed["latency_p50_ms"].notna()]
    columns = [f"latency_{name}_ms" for name in ("p50", "p90", "p99")]
    for model, rows in wording.by_model(table):
        figure, (axes,) = style.panel(1.2 + 0.35 * len(rows), model)
        for place, row in enumerate(rows.to_dict("records")):
            colour, _ = style.look(row["backend"])
            values = [row[name] for name in columns]
            axes.plot(values, [place] * 3, color=colour, linewidth=2)
            for value, marker in zip(values, "o|x", strict=True):
                axes.plot(value, place, marker, color=colour, markersize=8)
        style.rows(axes, range(len(rows)), list(rows["backend"]), "milliseconds")
        axes.margins(y=0.3)
        axes.set_xscale("log")
        style.plain_numbers(axes.xaxis)
        p50, p90, p99 = (f"{{{name}:.2f}}" for name in columns)
        told = style.words(rows, f"{{backend}} {p50}, {p90} and {p99} ms")
        yield Panel(figure, f"{model}, median, 90th and 99th percentile: {told}")


def sweep(comparison: Comparison) -> Parts:
    """Throughput over batch sizes."""
    table = comparison.speed[comparison.speed["images_per_second"].notna()]
    for model, of_model in wording.by_model(table[~_latency(table)]):
        for phase, rows in of_model.groupby("phase", sort=False):
            if rows["batch_size"].nunique() < 2:
                continue
            figure, (axes,) = style.panel(3.0, f"{model}, {phase}")
            for backend, own, colour, marker in style.by_backend(rows.sort_values("batch_size")):
                sizes = own["batch_size"].to_numpy(np.float64)
                speeds = own["images_per_second"]
                axes.plot(sizes, speeds, color=colour, marker=marker, label=backend)
                axes.fill_between(sizes, own["low"], own["high"], color=colour, alpha=0.2)
            style.both_logarithmic(axes, "batch size", "examples per second")
            axes.legend()
            best = rows.loc[rows.groupby("backend")["images_per_second"].idxmax()]
            told = style.words(best, "{backend} {images_per_second:,.0f} at {batch_size}")
            yield Panel(figure, f"{model}, {phase}: most examples per second: {told}")


def wander(comparison: Comparison) -> Parts:
    """Every sample, in the order of measuring."""
    turns = comparison.samples
    main = (turns["phase"] == "train") & turns["batch_size"].isin(comparison.batch_sizes)
    turns = turns[main & ~turns["twin"] & turns["seconds_per_step"].notna()]
    for model, rows in wording.by_model(turns):
        figure, (axes,) = style.panel(3.0, model)
        order = rows[["run", "launch", "round"]].drop_duplicates().reset_index(drop=True)
        place = rows[["run", "launch", "round"]].merge(
            order.assign(place=order.index), on=["run", "launch", "round"]
        )["place"]
        for backend, own, colour, marker in style.by_backend(rows.assign(place=place.to_numpy())):
            counts = (own["void"] == "") & (own["invalid"] == "")
            slower = own["seconds_per_step"] / own.loc[counts, "seconds_per_step"].median()
            for chosen, fill in ((counts, colour), (~counts, "none")):
                axes.plot(
                    own["place"][chosen],
                    slower[chosen],
                    marker,
                    color=colour,
                    markerfacecolor=fill,
                    markersize=3.5,
                    label=backend if fill == colour else None,
                    rasterized=len(rows) > MANY_POINTS,
                )
        begins = order.drop_duplicates(["run", "launch"]).index
        for begin in begins[1:]:
            axes.axvline(begin - 0.5, color=MUTED, linewidth=0.8, linestyle=":")
        axes.set(xlabel="round, in the order of measuring", ylabel="time of a step over its median")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower left", ncols=3)
        times = rows.groupby("backend", sort=False)["seconds_per_step"]
        spread = times.quantile(0.9) / times.quantile(0.1)
        told = ", ".join(f"{backend} {ratio:.2f}" for backend, ratio in spread.items())
        yield Panel(
            figure,
            f"{model}: {len(order)} rounds in {len(begins)} launches; the ninth decile of the "
            f"times of a step over the first: {told}",
        )


def _places(rows: pd.DataFrame) -> list[float]:
    """Where bars stand: a gap between workloads."""
    starts = rows["workload"] != rows["workload"].shift()
    return list(np.arange(len(rows)) + 0.6 * (starts.cumsum().to_numpy() - 1))


def _latency(table: pd.DataFrame) -> "pd.Series[bool]":
    return (table["phase"] == "predict") & (table["batch_size"] == 1)
