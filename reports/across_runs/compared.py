"""What has changed between two runs, as every writer tells it: sentences and tables."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from reports.across_runs.changes import cost_changes, error_changes, ratio_changes, speed_changes
from reports.across_runs.two_runs import ComparedRun, changed_models, headings, machines_differ
from reports.judging import sections
from reports.tables import wording
from reports.tables.cells import KEYS
from reports.tables.columns import shown
from reports.tables.wording import Note

NOT_COMPARED = "Speeds are not compared, only the ratios of backends within each run are: {}."


@dataclass(frozen=True)
class Compared:
    """The changes from one run to another.

    Attributes:
        title: Which runs.
        notes: What changed, in sentences; what got worse is grave.
        remarks: What differs between the two runs besides.
        tables: The changes as text, by name; those that are empty are left out.
    """

    title: str
    notes: tuple[Note, ...]
    remarks: tuple[str, ...]
    tables: dict[str, pd.DataFrame]


def compared(old: ComparedRun, new: ComparedRun) -> Compared:
    """All that changed, in the order of the questions of a reader."""
    why = machines_differ(old, new)
    same = not why and None not in {old.machine, new.machine}
    speeds, ratios = speed_changes(old, new), ratio_changes(old, new)
    speeds = speeds if same else speeds.iloc[:0]
    costs = cost_changes(old, new) if same else cost_changes(old, new).iloc[:0]
    errors = error_changes(old, new)
    tables = {
        "speed_changes": shown("speed_changes", _by_workload(speeds)),
        "ratio_changes": shown(
            "ratio_changes", _by_workload(ratios).assign(pair=sections.pair_names(ratios))
        ),
        "cost_changes": shown("cost_changes", costs),
        "error_changes": shown("error_changes", errors),
    }
    other = [Note(NOT_COMPARED.format(why), grave=True)] if why else []
    runs = " to ".join("/".join(side.found.plans) for side in (old, new))
    return Compared(
        title=f"From {runs}",
        notes=(*other, *_notes(old, new, speeds, errors)),
        remarks=(*headings(old.comparison, new.comparison), *changed_models(old, new)),
        tables={name: table for name, table in tables.items() if not table.empty},
    )


def _notes(
    old: ComparedRun, new: ComparedRun, speeds: pd.DataFrame, errors: pd.DataFrame
) -> Iterator[Note]:
    found = False
    for note in (*_parity(old, new), *_speeds(speeds), *_errors(errors)):
        found = True
        yield note
    if not found:
        yield Note("Nothing has surely changed.")


def _parity(old: ComparedRun, new: ComparedRun) -> Iterator[Note]:
    """The first quantity of the ladder that is judged otherwise, of each model and backend."""
    key = [*KEYS, "rung", "quantity"]
    was, now = (side.comparison.parity[[*key, "status", "value"]] for side in (old, new))
    both = was.merge(now, on=key, suffixes=("_old", "_new"))
    changed = wording.titled(both[both["status_old"] != both["status_new"]])
    for row in changed.drop_duplicates(KEYS).to_dict("records"):
        yield Note(
            f"{wording.named(row['model'], row['variant'])} under {row['title']}: {row['rung']} "
            f"{row['quantity']} was {row['status_old']} ({row['value_old']:.2g}) and is "
            f"{row['status_new']} ({row['value_new']:.2g}).",
            grave=row["status_new"] == "fail",
        )


def _speeds(speeds: pd.DataFrame) -> Iterator[Note]:
    surely = wording.titled(speeds[speeds["verdict"].isin(["faster", "slower"])])
    for row in surely[surely["phase"] == "train"].to_dict("records"):
        yield Note(
            f"{wording.named(row['model'], row['variant'])} under {row['title']} trains "
            f"{row['change']:.2f} times as fast as before ({row['low']:.2f} to {row['high']:.2f}).",
            grave=row["verdict"] == "slower",
        )


def _errors(errors: pd.DataFrame) -> Iterator[Note]:
    surely = wording.titled(errors[errors["verdict"].isin(["better", "worse"])])
    for row in surely.to_dict("records"):
        yield Note(
            f"{wording.named(row['model'], row['variant'])} under {row['title']}: error "
            f"{row['old']:.2f} % before, {row['new']:.2f} % now.",
            grave=row["verdict"] == "worse",
        )


def _by_workload(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(workload=table["phase"] + " " + table["batch_size"].astype("str"))
