"""What the parity ladder says in sentences, and what trainings over seeds do."""

from collections.abc import Sequence

import pandas as pd

from bench.contract.rungs import CERTIFYING, FILES, OUTCOME, RUNGS
from reports.parity import references
from reports.parity.table import HALF, SUBJECT
from reports.tables import wording
from reports.tables.seeds import MARGIN_POINTS
from reports.tables.wording import Note


def verdicts(comparison_ladder: pd.DataFrame, parity_table: pd.DataFrame) -> list[Note]:
    """The answer for each model in a sentence or two, and what is not fine about each backend.

    Args:
        comparison_ladder: `reports.parity.table.summary`.
        parity_table: `reports.parity.table`.
    """
    lines = []
    asked = [name for name in RUNGS if name in comparison_ladder]
    named = wording.models(parity_table)
    for model, group in comparison_ladder.groupby(wording.models(comparison_ladder), sort=False):
        here = [rung for rung in asked if (group[rung] != "").any()]
        own = parity_table[named == model]
        if rungs := [rung for rung in here if rung in CERTIFYING]:
            lines += _answers(str(model), group, own, rungs)
        if OUTCOME in here:
            lines.append(
                Note(f"{model}: {_outcome(group)}.", bool((group[OUTCOME] == "fail").any()))
            )
        if FILES in here:
            lines += _files(str(model), group)
    return lines


def _answers(
    model: str, group: pd.DataFrame, own: pd.DataFrame, rungs: Sequence[str]
) -> list[Note]:
    """What the reference says of all subjects of one model."""
    infinite = own[own["quantity"] == references.NOT_FINITE].drop_duplicates(SUBJECT)
    if len(infinite) == len(group):
        told = f"{model}: its {references.NOT_FINITE}: nothing can be compared."
        return [Note(told, grave=True)]
    silent = group["silent"]
    failed = (group[list(rungs)] == "fail").any(axis=1) & ~silent
    wrong = failed & (group["blamed"] | (group["undecided"] == ""))
    warned = (group[list(rungs)] == "warn").any(axis=1)
    lines = []
    for those, words in ((silent, "NO answer of"), (wrong, "NOT the same answers under")):
        if those.any():
            told = ", ".join(wording.backends(group[those]))
            lines.append(Note(f"{model}: {words} {told}.", grave=True))
    differing = group.loc[group["undecided"] != "", "undecided"].drop_duplicates()
    lines += [Note(f"{model}: {words}.", grave=True) for words in differing]
    lines += [
        Note(f"{model}, {row['lane']}: {row['first']}.", grave=True)
        for row in group[wrong].to_dict("records")
    ]
    good = group[~failed & ~silent]
    if not good.empty:
        others = ", ".join(sorted(set(CERTIFYING) - set(rungs)))
        asked = f"not asked: {others}" if others else "all were asked"
        those = wording.backends(own).isin(wording.backends(good))
        errors = own[those & own["rung"].isin(rungs)]
        floors = f"{errors['floors'].max():.0f}"
        half = own.loc[own["quantity"].str.startswith(HALF), "quantity"]
        precision = half.iloc[0].removeprefix(HALF).partition(":")[0] if len(half) else "float32"
        same = (
            f"{model}: {', '.join(wording.backends(good))} {'gives' if len(good) == 1 else 'give'} "
            f"the same answers as a reference in float64, to {floors} "
            f"{'rounding' if floors == '1' else 'roundings'} of {precision} at most "
            f"({' '.join(rungs)} of the parity ladder; {asked})."
        )
        lines.append(Note(same))
    lines += [
        Note(f"{model}, {row['lane']}: {row['first']}.")
        for row in group[warned & ~failed & ~silent].to_dict("records")
    ]
    return lines


def _files(model: str, group: pd.DataFrame) -> list[Note]:
    """What became of the files of other backends, if anything did."""
    failed, warned = (group[group[FILES] == status] for status in ("fail", "warn"))
    lines = []
    if not failed.empty:
        backends = ", ".join(wording.backends(failed))
        changed = f"{model}: files of other backends are NOT read as they were under {backends}."
        lines.append(Note(changed, grave=True))
        of_files = failed[failed["first_rung"] == FILES].to_dict("records")
        lines += [Note(f"{model}, {row['lane']}: {row['first']}.") for row in of_files]
    if not warned.empty:
        backends = ", ".join(wording.backends(warned))
        warning = (
            f"{model}: .keras files of other backends are not quite what they were under "
            f"{backends} (P8 warns of known faults of Keras's)."
        )
        lines.append(Note(warning))
    return lines


def _outcome(group: pd.DataFrame) -> str:
    """What trainings over seeds say of one model."""
    for status, words in (("fail", "DIFFER under"), ("warn", "are not proven equal under")):
        those = group[group[OUTCOME] == status]
        if not those.empty:
            return f"mean errors over seeds {words} {', '.join(wording.backends(those))}"
    return (
        f"mean errors over seeds are proven equal, to {MARGIN_POINTS:.2f} points, under "
        f"{', '.join(wording.backends(group))}"
    )


def conclusion_lines(table: pd.DataFrame) -> list[str]:
    """`reports.tables.seeds.models_table`, a line each."""
    named = table.assign(
        model=wording.models(table),
        baseline=wording.models(table.assign(model=table["baseline"])),
        lane=wording.backends(table),
    )
    return [
        f"{row['model']} against {row['baseline']}, {row['lane']}: {row['difference']:+.3f} "
        f"points of error [{row['low']:+.3f}, {row['high']:+.3f}] over {row['seeds']} paired "
        f"seeds: {row['verdict']}."
        for row in named.to_dict("records")
    ]


def parity_lines(horizons: pd.DataFrame, saturated: pd.DataFrame) -> list[str]:
    """When trainings part, and what saturated outputs cost under each backend."""
    lines = []
    for row in horizons.to_dict("records"):
        when = (
            f"part at step {row['horizon']}"
            if pd.notna(row["horizon"])
            else f"do not part in {row['steps']} steps"
        )
        why = (
            f"; from step {row['clipped_since']} on an example is so wrong that only one of the "
            "two clips its probability"
            if pd.notna(row["clipped_since"])
            else ""
        )
        lines.append(
            f"{row['model']}: {row['lane']} and {row['other']} {when} "
            f"({row['distance']:.2g} envelopes apart{why})."
        )
    for model, group in saturated.groupby("model", sort=False):
        losses = wording.numbers(group["loss"], 4).replace("-", "no number")
        told = ", ".join(group["lane"] + " " + losses)
        first = group.iloc[0]
        lines.append(
            f"{model}, loss where probabilities are saturated: {told}; from logits it is "
            f"{first['from_logits']:.4f}, from probabilities that Keras has clipped "
            f"{first['from_clipped_probabilities']:.4f}. Either is right; docs/parity.md says why "
            "they differ."
        )
    return lines
