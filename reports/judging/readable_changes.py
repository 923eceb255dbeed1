"""What changed between two runs, as a person reads it."""

import re

import pandas as pd

from reports.judging.comparison import Comparison
from reports.tables import wording


def speeds(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.across_runs.changes.speed_changes` or `ratio_changes`, one string per cell."""
    pair = table["backend"]
    if "baseline" in table:
        pair = pair + " / " + table["baseline"]
    digits = 2 if "baseline" in table else 0
    return pd.DataFrame(
        {
            "model": wording.models(table),
            "phase": table["phase"] + " " + table["batch_size"].astype("str"),
            "pair" if "baseline" in table else "backend": pair,
            "old": wording.numbers(table["old"], digits),
            "new": wording.numbers(table["new"], digits),
            "new/old": wording.numbers(table["change"], 3),
            "95 % interval": wording.interval(table, 3),
            "verdict": table["verdict"],
        }
    )


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.across_runs.changes.error_changes`, one string per cell."""
    return pd.DataFrame(
        {
            "model": wording.models(table),
            "backend": wording.backends(table),
            "seeds": wording.numbers(table["seeds"], 0),
            "old %": wording.numbers(table["old"], 2),
            "new %": wording.numbers(table["new"], 2),
            "points": wording.numbers(table["difference"], 3),
            "95 % interval": wording.span(table, "low", "high", 3),
            "verdict": table["verdict"],
        }
    )


def headings(old: Comparison, new: Comparison) -> list[str]:
    """What was run, what only one of the two has, and which rungs and versions differ."""
    lines = [
        f"{name} {line}" for name, side in (("old:", old), ("new:", new)) for line in side.headings
    ]
    for what, keys, tables in (
        (
            "speed of",
            ["model", "variant", "phase", "batch_size", "backend", "device"],
            (old.main_speed, new.main_speed),
        ),
        ("training of", ["model", "variant", "backend", "device"], (old.summary, new.summary)),
    ):
        both = [set(table[keys].itertuples(index=False, name=None)) for table in tables]
        for side, only in (("the old", both[0] - both[1]), ("the new", both[1] - both[0])):
            lines += [
                f"only in {side} run: {what} {' '.join(map(str, key))}" for key in sorted(only)
            ]
    keys = ["model", "variant", "backend", "device"]
    rungs = [
        name for name in old.ladder.columns if re.fullmatch(r"P\d", name) and name in new.ladder
    ]
    ladders = old.ladder.merge(new.ladder, on=keys, suffixes=("_old", "_new"))
    lines += [
        f"parity of {model} with {row['backend']}, {rung}: "
        f"{row[f'{rung}_old'] or 'not asked'} before, {row[f'{rung}_new'] or 'not asked'} now"
        for model, row in zip(wording.models(ladders), ladders.to_dict("records"), strict=True)
        for rung in rungs
        if row[f"{rung}_old"] != row[f"{rung}_new"]
    ]
    names = ["version", "keras", "numpy", "python"]
    before, after = (
        side.ledger.drop_duplicates("backend").set_index("backend") for side in (old, new)
    )
    for backend in before.index.intersection(after.index):
        lines += [
            f"{backend}: {name} {before.loc[backend, name]} before, {after.loc[backend, name]} now"
            for name in names
            if before.loc[backend, name] != after.loc[backend, name]
        ]
    return lines
