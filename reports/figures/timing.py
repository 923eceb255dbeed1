"""Figures of speed: ratios, throughput, costs, latency, and how the machine wandered."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.contract.variants import NATIVE, STOCK, THREE
from reports.figures import style
from reports.figures.style import GROUND, INK, MUTED, Panel, Parts
from reports.judging import sections
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

TIMES = "times as fast as the second"


def forest(comparison: Comparison) -> Parts:
    """Ratios of backends in training, with their intervals."""
    yield from _forests(comparison.main_ratios, named="{pair}")


def elsewhere(comparison: Comparison) -> Parts:
    """Ratios of backends in evaluation, prediction and latency."""
    table = comparison.ratios[comparison.ratios["phase"] != "train"]
    shown = table["batch_size"].isin(comparison.batch_sizes) | _latency(table)
    yield from _forests(table[shown], named="{phase} {batch_size}: {pair}")


def _forests(table: pd.DataFrame, named: str) -> Parts:
    # Settings on their own are compared within a backend.
    table = table[table["ratio"].notna() & table["variant"].isin(THREE)]
    for model, by_variant in wording.by_definition(table):
        rows = {
            variant: own.assign(pair=sections.pair_names(own)).sort_values(
                ["phase", "batch_size"], ascending=False, kind="stable"
            )
            for variant, own in by_variant.items()
        }
        labelled = {
            variant: own.assign(
                label=[named.format_map(row) for row in own.to_dict("records")],
                colour=np.where(own["lane"] == own["baseline"], MUTED, INK),
            )
            for variant, own in rows.items()
        }
        yield _ratios(model, labelled)


def variants(comparison: Comparison) -> Parts:
    """What settings bring and what Keras costs, in training."""
    table = comparison.main_variants[comparison.main_variants["ratio"].notna()]
    for model, rows in table.groupby("model", sort=False):
        # The inverse stands there too: stock over native.
        rows = rows[(rows["variant"] != NATIVE) | (rows["over"] != STOCK)]
        titles = wording.backends(rows)
        labels = titles + ": " + rows["variant"] + " / " + rows["over"]
        colours = [style.look(backend)[0] for backend in titles]
        yield _ratios(str(model), {STOCK: rows.assign(label=labels, colour=colours)})


def _ratios(model: str, by_variant: Mapping[str, pd.DataFrame]) -> Panel:
    """A column for each variant; rows have `label` and `colour`."""
    together = pd.concat(by_variant.values())
    labels = list(dict.fromkeys(together["label"]))
    figure, grid = style.columns(1.1 + 0.3 * len(labels), model, by_variant)
    for axes, rows in zip(grid, by_variant.values(), strict=True):
        margin = 1 + intervals.MARGIN
        axes.axvspan(1 / margin, margin, color=MUTED, alpha=0.18, linewidth=0)
        axes.axvline(1, color=INK, linewidth=1)
        for row in rows.to_dict("records"):
            _ratio(axes, labels.index(row["label"]), row)
        axes.set_xlabel(TIMES)
    style.rows(grid[0], range(len(labels)), labels, TIMES)
    for axes in grid:
        axes.grid(visible=False, axis="y")
    grid[0].set_xscale("log")
    for axes in grid:
        style.plain_numbers(axes.xaxis)
    told = "; ".join(
        style.words(
            rows.assign(of=wording.named("", variant).strip()),
            "{of} {label} {ratio:.2f} ({verdict})",
            "; ",
        )
        for variant, rows in by_variant.items()
    )
    data = together.drop(columns=["label", "colour"])
    return Panel(figure, f"{model}, ratios: {told}", model, data)


def _ratio(axes: Axes, place: int, row: Mapping[Hashable, Any]) -> None:
    colour = str(row["colour"])
    if pd.notna(row["low"]):
        axes.hlines(place, row["low"], row["high"], color=colour, linewidth=2)
    fill = colour if row["verdict"] in {"faster", "slower", "equivalent"} else GROUND
    axes.plot(row["ratio"], place, "D", color=colour, markerfacecolor=fill, markersize=5)


def throughput(comparison: Comparison) -> Parts:
    """Examples per second of each workload, with intervals."""
    table = comparison.speed[comparison.speed["images_per_second"].notna()]
    table = table[table["batch_size"].isin(comparison.batch_sizes) & table["variant"].isin(THREE)]
    for model, by_variant in wording.by_definition(table):
        known = {variant: _workloads(rows) for variant, rows in by_variant.items()}
        labels = list(dict.fromkeys(label for rows in known.values() for label in rows["label"]))
        figure, grid = style.columns(1.0 + 0.28 * len(labels), model, known)
        for axes, rows in zip(grid, known.values(), strict=True):
            for row in rows.to_dict("records"):
                place = labels.index(row["label"])
                axes.barh(
                    place, row["images_per_second"], color=style.look(row["lane"])[0], height=0.8
                )
                if pd.notna(row["low"]):
                    axes.hlines(place, row["low"], row["high"], color=INK, linewidth=2)
            axes.set_xlabel("examples per second")
            axes.grid(visible=False, axis="y")
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter("{x:,.0f}")
        style.rows(grid[0], range(len(labels)), labels, "examples per second")
        together = pd.concat(known.values())
        told = style.words(together, "{variant} {label} {images_per_second:,.0f}")
        data = together.drop(columns="label")
        yield Panel(figure, f"{model}, examples per second: {told}", model, data)


def _workloads(rows: pd.DataFrame) -> pd.DataFrame:
    workload = rows["phase"] + " " + rows["batch_size"].astype("str")
    return rows.assign(label=workload + ", " + rows["lane"])


def costs(comparison: Comparison) -> Parts:
    """What a whole training costs, part by part."""
    for model, rows in _definitions(comparison.costs):
        figure, (axes,) = style.panel(1.7 + 0.4 * len(rows), model)
        left = np.zeros(len(rows))
        for (name, parts), colour in zip(COSTS.items(), COST_COLOURS, strict=True):
            seconds = rows[parts].sum(axis=1).clip(lower=0).to_numpy()
            axes.barh(range(len(rows)), seconds, left=left, color=colour, label=name, height=0.7)
            left += seconds
        style.rows(axes, range(len(rows)), list(rows["name"]), "seconds")
        figure.legend(loc="outside lower left", ncols=3)
        form = "{name} {wall_seconds:.0f} s, of which {train_seconds:.0f} s are training"
        told = style.words(rows, form)
        yield Panel(figure, f"{model}, seconds of a whole training: {told}", model, rows)


def latency(comparison: Comparison) -> Parts:
    """Percentiles of a prediction of one example."""
    table = comparison.speed[comparison.speed["latency_p50_ms"].notna()]
    columns = [f"latency_{name}_ms" for name in ("p50", "p90", "p99")]
    for model, rows in _definitions(table):
        figure, (axes,) = style.panel(1.2 + 0.35 * len(rows), model)
        for place, row in enumerate(rows.to_dict("records")):
            colour, _ = style.look(row["lane"])
            values = [row[name] for name in columns]
            axes.plot(values, [place] * 3, color=colour, linewidth=2)
            for value, marker in zip(values, "o|x", strict=True):
                axes.plot(value, place, marker, color=colour, markersize=8)
        style.rows(axes, range(len(rows)), list(rows["name"]), "milliseconds")
        axes.margins(y=0.3)
        axes.set_xscale("log")
        style.plain_numbers(axes.xaxis)
        p50, p90, p99 = (f"{{{name}:.2f}}" for name in columns)
        told = style.words(rows, f"{{name}} {p50}, {p90} and {p99} ms")
        yield Panel(figure, f"{model}, median, 90th and 99th percentile: {told}", model, rows)


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
            best = rows.loc[rows.groupby("lane")["images_per_second"].idxmax()]
            told = style.words(best, "{lane} {images_per_second:,.0f} at {batch_size}")
            alt = f"{model}, {phase}: most examples per second: {told}"
            yield Panel(figure, alt, model, rows)


def wander(comparison: Comparison) -> Parts:
    """Every sample, in the order of measuring."""
    turns = comparison.samples
    main = (turns["phase"] == "train") & turns["batch_size"].isin(comparison.batch_sizes)
    turns = turns[main & ~turns["twin"] & turns["seconds_per_step"].notna()]
    for model, by_variant in wording.by_definition(turns[turns["variant"].isin(THREE)]):
        together = pd.concat(by_variant.values())
        key = ["run", "launch", "round"]
        order = together[key].drop_duplicates().sort_values(key).reset_index(drop=True)
        figure, grid = style.columns(3.0, model, by_variant)
        for axes, rows in zip(grid, by_variant.values(), strict=True):
            _wandered(axes, rows, rows[key].merge(order.assign(place=order.index), on=key)["place"])
            for begin in order.drop_duplicates(["run", "launch"]).index[1:]:
                axes.axvline(begin - 0.5, color=MUTED, linewidth=0.8, linestyle=":")
            axes.set_xlabel("round, in the order of measuring")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        grid[0].set_ylabel("time of a step over its median")
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
        times = together.groupby("lane", sort=False)["seconds_per_step"]
        spread = times.quantile(0.9) / times.quantile(0.1)
        told = ", ".join(f"{backend} {ratio:.2f}" for backend, ratio in spread.items())
        columns = [*key, "variant", "lane", "seconds_per_step", "void", "invalid"]
        yield Panel(
            figure,
            f"{model}: {len(order)} rounds in {order['launch'].nunique()} launches; the ninth "
            f"decile of the times of a step over the first: {told}",
            model,
            together[columns],
        )


def _wandered(axes: Axes, rows: pd.DataFrame, places: "pd.Series[int]") -> None:
    for backend, own, colour, marker in style.by_backend(rows.assign(place=places.to_numpy())):
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


def _definitions(table: pd.DataFrame) -> Sequence[tuple[str, pd.DataFrame]]:
    """Rows of each model, with the variant in `name` where it is not stock."""
    return [
        (
            model,
            pd.concat(
                own.assign(name=[wording.named(name, variant) for name in own["lane"]])
                for variant, own in by_variant.items()
            ),
        )
        for model, by_variant in wording.by_definition(table)
    ]


def _latency(table: pd.DataFrame) -> "pd.Series[bool]":
    return (table["phase"] == "predict") & (table["batch_size"] == 1)
