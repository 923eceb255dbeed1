"""Tables as a person reads them, all of text: for Markdown and the terminal alike."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.tables import wording


def speed(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.tables.speed.table`, one string per cell."""
    return pd.DataFrame(
        {
            "model": wording.models(table),
            "phase": table["phase"],
            "batch": wording.numbers(table["batch_size"], 0),
            "backend": wording.backends(table),
            "examples/s": wording.numbers(table["images_per_second"], 0),
            "95 % interval": wording.interval(table, 0),
            "% of peak": wording.numbers(table["utilisation_percent"], 1),
            "ms/step": wording.numbers(table["ms_per_step"], 2),
            "ms/call": wording.numbers(1000 * table["fixed_seconds"], 1),
            "CPU ms/step": wording.numbers(1000 * table["cpu_seconds_per_step"], 2),
            "faults/step": wording.numbers(table["page_faults_per_step"], 0),
            "launches": wording.numbers(table["launches"], 0),
            "rounds": wording.numbers(table["rounds"], 0),
            "status": table["status"],
        }
    )


def latency(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `reports.tables.speed.table` that have latencies, in ms."""
    table = table[table["latency_p50_ms"].notna()]
    return pd.DataFrame(
        {
            "model": wording.models(table),
            "backend": wording.backends(table),
            **{
                f"{name} ms": wording.numbers(table[f"latency_{name}_ms"], 3)
                for name in ("p50", "p90", "p99")
            },
        }
    )


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.tables.ratios.table` with `certified`, one string per cell."""
    twin = (table["backend"] == table["baseline"]).map({True: " (twin)", False: ""})
    return pd.DataFrame(
        {
            "model": wording.models(table),
            "phase": table["phase"],
            "batch": wording.numbers(table["batch_size"], 0),
            "pair": table["backend"] + " / " + table["baseline"] + twin.astype("str"),
            "ratio": wording.numbers(table["ratio"], 3),
            "95 % interval": wording.interval(table, 3),
            "verdict": table["verdict"],
            "certified": table["certified"],
            "detectable %": wording.numbers(table["minimum_detectable_percent"], 1),
            "launches": wording.numbers(table["launches"], 0),
            "rounds": wording.numbers(table["rounds"], 0),
        }
    )


def costs(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.tables.costs.table` in seconds, one row per model and backend."""
    parts = {
        "start": "start_seconds",
        "import": "import_seconds",
        "load": "load_seconds",
        "build": "build_seconds",
        "1st step": "first_step_seconds",
        "2nd step": "second_step_seconds",
        "feed": "feed_seconds",
        "train": "train_seconds",
        "evaluate": "evaluation_seconds",
        "other": "other_seconds",
        "all": "wall_seconds",
    }
    return pd.DataFrame(
        {
            "model": wording.models(table),
            "backend": wording.backends(table),
            **{name: wording.numbers(table[column], 2) for name, column in parts.items()},
            "explained %": wording.numbers(table["explained_percent"], 1),
            "an epoch": wording.numbers(table["epoch_seconds_seen"], 2),
            "by slots": wording.numbers(table["epoch_seconds_predicted"], 2),
        }
    )


def fastest_lines(main_ratios: pd.DataFrame, main_speed: pd.DataFrame) -> list[str]:
    """Which backend trains each model fastest, and by how much; a line per model and device.

    Args:
        main_ratios: Rows of `ratios.table` of training, of runs that are trusted. A model of which
            a pair has no interval has no line.
        main_speed: The same of `speed.table`. Backends of which it knows more than of which there
            are ratios were timed elsewhere, and the line says of which it speaks.
    """
    lines = []
    pairs = main_ratios[main_ratios["backend"] != main_ratios["baseline"]]
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
        if set(main_speed.loc[timed, "backend"]) - backends:
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
    words = model if variant == "stock" else f"{model} {variant}"
    return words if device == "cpu" else f"{words} on the {device}"


def _after(row: Mapping[Hashable, Any]) -> str:
    return f"after {row['epochs']:.1f} epochs ({row['steps']:,} steps)"
