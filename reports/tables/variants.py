"""The variant table: what settings bring and what Keras costs, within one backend.

Each ratio is of two variants of one model in one lane: the same process, slots of the same rounds.
"""

from collections.abc import Iterator
from dataclasses import asdict

import pandas as pd

from bench.contract.schema import Lane, SpeedPlan, Workload
from reports.read.shards import Shards
from reports.statistics import intervals, launch_values
from reports.tables import speed, wording
from reports.tables.samples import LANE, WORKLOAD, Samples, only

COLUMNS = {
    "model": "str",
    "variant": "str",
    "over": "str",
    "phase": "str",
    "backend": "str",
    "device": "str",
    "batch_size": "Int64",
    "ratio": "float64",
    "low": "float64",
    "high": "float64",
    "minimum_detectable_percent": "float64",
    "launches": "Int64",
    "rounds": "Int64",
    "verdict": "str",
    "error": "str",
}

STOCK, TUNED, NATIVE = "stock", "tuned", "native"
THREE = (STOCK, TUNED, NATIVE)
"""What a run must have wherever it planned it; that a setting on its own fails is a result."""

Pair = tuple[Workload, Workload]


def table(shards: Shards, samples: Samples) -> pd.DataFrame:
    """One row per lane that is no twin, and per pair of variants in the same phase.

    Every variant stands over `stock`, and what Keras computes over `native`.

    Args:
        shards: What was read, comparable by `reports.tables.comparable.check`.
        samples: `reports.tables.samples.collect` of them.

    Returns:
        `COLUMNS`. `ratio` above 1 means that `variant` is faster than `over`, `low` to `high` is
        its 95 % interval; see `intervals.compare`. The verdicts of one model, phase and
        lane are adjusted for their number. `verdict` is `missing`, or `failed` with the `error` of
        the variant that could not be prepared, without figures, where one of the two has none.
    """
    rows = [
        row
        for run, plan in speed.planned(shards)
        for lane in plan.lanes
        if not lane.twin
        for row in _rows(shards, samples, run, plan, lane)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def readable(variant_table: pd.DataFrame) -> pd.DataFrame:
    """`table` with `certified`, one string per cell."""
    return pd.DataFrame(
        {
            "model": variant_table["model"],
            "phase": variant_table["phase"],
            "batch": wording.numbers(variant_table["batch_size"], 0),
            "backend": wording.backends(variant_table),
            "variant": variant_table["variant"] + " / " + variant_table["over"],
            "ratio": wording.numbers(variant_table["ratio"], 3),
            "95 % interval": wording.interval(variant_table, 3),
            "verdict": variant_table["verdict"],
            "certified": variant_table["certified"],
            "launches": wording.numbers(variant_table["launches"], 0),
            "rounds": wording.numbers(variant_table["rounds"], 0),
            "error": variant_table["error"].replace("", "-"),
        }
    )


def lines(main_variants: pd.DataFrame) -> list[str]:
    """What tuning brings and what Keras costs, a line per model and comparison.

    Args:
        main_variants: Rows of `table` of training, of runs that are trusted. A ratio that has no
            interval is not told.
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


def failures(variant_table: pd.DataFrame) -> list[str]:
    """What could not be prepared, a line each."""
    failed = variant_table[variant_table["verdict"] == speed.FAILED]
    found = failed.drop_duplicates(["model", "variant", "backend", "device"])
    return [
        f"{row['model']} {row['variant']} cannot be prepared under {row['backend']}: {row['error']}"
        for row in found[found["over"] == STOCK].to_dict("records")
    ]


def _rows(
    shards: Shards, samples: Samples, run: str, plan: SpeedPlan, lane: Lane
) -> Iterator[dict[str, object]]:
    families: dict[Workload, list[Workload]] = {}
    for workload in plan.workloads:
        # Whatever they are called, variants of the same.
        family = Workload(workload.model, "", workload.phase, workload.batch_size)
        families.setdefault(family, []).append(workload)
    for workloads in families.values():
        errors = {w: speed.variant_error(shards, run, w, lane) for w in workloads}
        ok = {w: speed.lane_status(shards, samples, run, w, lane) == "ok" for w in workloads}
        pairs = list(_pairs(workloads))
        values = {
            pair: launch_values.launch_values(
                *(_samples(samples, run, each, lane) for each in pair)
            )
            for pair in pairs
            if ok[pair[0]] and ok[pair[1]]
        }
        compared = intervals.compare({str(pair): found for pair, (found, _) in values.items()})
        for pair in pairs:
            row = _identity(pair, lane)
            if error := errors[pair[0]] or errors[pair[1]]:
                row |= {"verdict": speed.FAILED, "error": error}
            elif pair in values and values[pair][1]:
                row |= asdict(compared[str(pair)]) | {"rounds": values[pair][1]}
            yield row


def _pairs(workloads: list[Workload]) -> Iterator[Pair]:
    named = {workload.variant: workload for workload in workloads}
    for over in (STOCK, NATIVE):
        for variant, workload in named.items():
            # What a single setting brings is seen over stock alone.
            wanted = over == STOCK or variant in {STOCK, TUNED}
            if over in named and variant != over and wanted:
                yield workload, named[over]


def _samples(samples: Samples, run: str, workload: Workload, lane: Lane) -> pd.DataFrame:
    columns = ["run", *WORKLOAD, *LANE]
    values = [
        run,
        *(getattr(workload, name) for name in WORKLOAD),
        *(getattr(lane, name) for name in LANE),
    ]
    return only(samples.usable, columns, values)


def _identity(pair: Pair, lane: Lane) -> dict[str, object]:
    workload, over = pair
    return {
        "model": workload.model,
        "variant": workload.variant,
        "over": over.variant,
        "phase": workload.phase,
        "backend": lane.backend,
        "device": lane.device,
        "batch_size": workload.batch_size,
        "launches": 0,
        "rounds": 0,
        "verdict": "missing",
        "error": "",
    }
