"""What the speeds say in sentences: who is fastest, what tuning brings, what a start costs."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.contract.variants import NATIVE, STOCK, TUNED
from reports.statistics.intervals import MARGIN
from reports.tables import speed, wording
from reports.tables.cells import KEYS

LEAST_DISTANCE = 0.01
"""Of a ratio from the margin's edge, in logs: nobody measures on for less."""


def fastest_lines(main_ratios: pd.DataFrame, main_speed: pd.DataFrame) -> list[str]:
    """Which backend trains each model fastest, and by how much; a line per model and device.

    Args:
        main_ratios: Rows of `pairs.ratios_table` of training, of runs that are trusted. A model of
            which a pair has no interval has no line.
        main_speed: The same of `speed.table`. Backends of which it knows more than of which there
            are ratios were timed elsewhere, and the line says of which it speaks.
    """
    lines = []
    pairs = main_ratios[main_ratios["backend"] != main_ratios["baseline"]]
    pairs = pairs.assign(
        **{name: pairs[name].map(wording.title).astype("str") for name in ("backend", "baseline")}
    )
    for (model, variant, device), group in pairs.groupby(
        ["model", "variant", "device"], sort=False
    ):
        if group["verdict"].isin(["indicative", "missing"]).any():
            continue
        told = [_against(row) for row in group.to_dict("records")]
        wins = [one for row in told for one in (row, row.mirrored()) if one.surely_faster]
        backends = {name for row in told for name in (row.backend, row.baseline)}
        where = _named(str(model), str(variant), str(device))
        timed = (main_speed[["model", "variant", "device"]] == [model, variant, device]).all(axis=1)
        if set(main_speed.loc[timed, "backend"].map(wording.title)) - backends:
            where += f", of {' and '.join(sorted(backends))}"
        for backend in sorted(backends):
            own = [one for one in wins if one.backend == backend]
            if len(own) == len(backends) - 1:
                by = " and ".join(
                    f"{one.ratio:.2f} times {one.baseline} ({one.low:.2f} to {one.high:.2f})"
                    for one in own
                )
                lines.append(f"Training {where}, {backend} is fastest: {by}.")
                break
        else:
            lines.append(f"Training {where}, no backend is surely the fastest.")
    return lines


def tuning_lines(main_variants: pd.DataFrame) -> list[str]:
    """What tuning brings and what Keras costs, a line per model and comparison.

    Args:
        main_variants: Rows of `pairs.variants_table` of training, of runs that are trusted. A ratio
            that has no interval is not told.
    """
    told = []
    known = main_variants[main_variants["low"].notna()]
    for variant, over, words in (
        (TUNED, STOCK, "tuned over stock"),
        (STOCK, NATIVE, "Keras as shipped over native"),
        (TUNED, NATIVE, "Keras tuned over native"),
    ):
        chosen = known[(known["variant"] == variant) & (known["over"] == over)]
        for model, rows in chosen.groupby("model", sort=False):
            ratios = ", ".join(
                f"{backend} {row['ratio']:.2f}x [{row['low']:.2f}, {row['high']:.2f}]"
                for backend, row in zip(
                    wording.backends(rows), rows.to_dict("records"), strict=True
                )
            )
            told.append(f"Training {model}, {words}: {ratios}.")
    return told


def failure_lines(variant_table: pd.DataFrame) -> list[str]:
    """What could not be prepared, a line each."""
    failed = variant_table[variant_table["verdict"] == speed.FAILED]
    found = failed.drop_duplicates(KEYS)
    return [
        f"{row['model']} {row['variant']} cannot be prepared under "
        f"{wording.title(row['backend'])}: {row['error']}"
        for row in found[found["over"] == STOCK].to_dict("records")
    ]


def tie_lines(main_ratios: pd.DataFrame, launch_seconds: float) -> list[str]:
    """Backends that cannot be told apart, and what would tell them apart.

    Args:
        main_ratios: Rows of `pairs.ratios_table` of training, of runs that are trusted.
        launch_seconds: What a launch took.
    """
    lines = []
    open_ones = main_ratios[(main_ratios["verdict"] == "unresolved")]
    for row in wording.titled(open_ones[open_ones["backend"] != open_ones["baseline"]]).to_dict(
        "records"
    ):
        half = np.log(row["high"] / row["low"]) / 2
        distance = abs(abs(np.log(row["ratio"])) - np.log1p(MARGIN))
        # The interval narrows with the root of the launches, and has to leave the margin's edge.
        needed = row["launches"] * ((half / max(distance, LEAST_DISTANCE)) ** 2 - 1)
        more = max(1, int(np.ceil(needed)))
        lines.append(
            f"Training {_named(row['model'], row['variant'], row['device'])}, {row['title']} and "
            f"{row['other']} cannot be told apart: {row['ratio']:.2f} times ({row['low']:.2f} to "
            f"{row['high']:.2f}); about {more} more launches would tell, in "
            f"{more * launch_seconds / 60:.0f} min."
        )
    return lines


@dataclass(frozen=True)
class _Against:
    """How one backend did against another."""

    backend: str
    baseline: str
    ratio: float
    low: float
    high: float
    verdict: str

    @property
    def surely_faster(self) -> bool:
        return self.verdict == "faster"

    def mirrored(self) -> "_Against":
        verdict = {"faster": "slower", "slower": "faster"}.get(self.verdict, self.verdict)
        return _Against(
            self.baseline, self.backend, 1 / self.ratio, 1 / self.high, 1 / self.low, verdict
        )


def _against(row: Mapping[Hashable, Any]) -> _Against:
    return _Against(**{name: row[name] for name in _Against.__dataclass_fields__})


def start_lines(table: pd.DataFrame) -> list[str]:
    """What a start costs and when it has paid, in one line per model.

    Args:
        table: `reports.tables.costs.break_even_table`.
    """
    lines = []
    table = table.assign(
        **{name: table[name].map(wording.title).astype("str") for name in ("backend", "baseline")}
    )
    for key, group in table.groupby(["model", "variant", "device"], sort=False):
        model = _named(*map(str, key))
        starts = group.drop_duplicates("backend")
        told = [
            f"{backend} {seconds:.1f} s"
            for backend, seconds in zip(starts["backend"], starts["start_seconds"], strict=True)
        ]
        ahead = [
            f"{row['backend']} is ahead of {row['baseline']} "
            + ("from the start" if row["verdict"] == "from_start" else _after(row))
            for row in group.to_dict("records")
            if row["verdict"] != "never"
            # Of two that are level, one is enough.
            and not (
                row["verdict"] == "from_start" and _level(row) and row["backend"] > row["baseline"]
            )
        ]
        lines.append(f"{model}, start and first step: {', '.join(told)}; {', '.join(ahead)}.")
    return lines


def _level(row: Mapping[Hashable, Any]) -> bool:
    names = ("start_seconds", "epoch_seconds")
    return all(row[name] == row[f"baseline_{name}"] for name in names)


def _named(model: str, variant: str, device: str) -> str:
    """A model, with what is not as usual."""
    words = model if variant == STOCK else f"{model} {variant}"
    return words if device == "cpu" else f"{words} on the {device}"


def _after(row: Mapping[Hashable, Any]) -> str:
    return f"after {row['epochs']:.1f} epochs ({row['steps']:,} steps)"
