"""The first thing that every report says: what is wrong, and the answers in sentences."""

import pandas as pd

from bench.contract.variants import THREE
from reports.judging import parity_lines, speed_lines
from reports.judging.comparison import Comparison
from reports.tables import wording
from reports.tables.wording import Note


def alerts(comparison: Comparison) -> list[str]:
    """What is UNTRUSTED, failed or missing: to be read before everything else."""
    return [*comparison.untrusted, *(note.text for note in comparison.notes if note.grave)]


def remarks(comparison: Comparison) -> list[str]:
    """The other notes."""
    return [note.text for note in comparison.notes if not note.grave]


def answers(comparison: Comparison) -> list[Note]:
    """Which is fastest, whether they give the same answers, and how well they do."""
    tables = (comparison.main_ratios, comparison.ladder, comparison.summary)
    models = dict.fromkeys(str(model) for table in tables for model in table["model"])
    return [verdict for model in models for verdict in _of_model(comparison, model)]


def _of_model(comparison: Comparison, model: str) -> list[Note]:
    ratios, within, speeds, rungs, parity, summary = (
        table[table["model"] == model]
        for table in (
            comparison.main_ratios,
            comparison.main_variants,
            comparison.main_speed,
            comparison.ladder,
            comparison.parity,
            comparison.summary,
        )
    )
    usual = ratios[ratios["variant"].isin(THREE)]
    fastest = [] if comparison.untrusted else speed_lines.fastest_lines(usual, speeds)
    tuning = [] if comparison.untrusted else speed_lines.tuning_lines(within)
    return [
        *map(Note, (*fastest, *tuning)),
        *parity_lines.verdicts(wording.in_order(rungs), parity),
        *map(Note, _errors(comparison, summary)),
    ]


def _errors(comparison: Comparison, summary: pd.DataFrame) -> list[str]:
    """How much each backend's model errs, a line for each model."""
    lines = []
    trained = comparison.accuracy["model"].isin(summary["model"])
    epochs = comparison.accuracy.loc[trained, "epochs"].max()
    known = summary[summary["error_percent"].notna()]
    for model, rows in wording.by_model(known):
        told = [f"{row['backend']} {row['error_percent']:.2f} %" for row in rows.to_dict("records")]
        error = comparison.published.get(rows["model"].iloc[0])
        beside = "" if error is None else f"; the reference published {error:.2f} %"
        after = f"{epochs} {'epoch' if epochs == 1 else 'epochs'}"
        lines.append(f"{model}, error rate after {after}: {', '.join(told)}{beside}.")
    good = comparison.accuracy[trained & (comparison.accuracy["status"] == "ok")]
    for model, rows in wording.by_model(good[good["error_percent"].isna()]):
        losses = rows.groupby("backend", sort=False)["test_loss"].mean()
        told = [f"{backend} {loss:.4g}" for backend, loss in losses.items()]
        lines.append(f"{model} is not a classifier; its loss on the test set: {', '.join(told)}.")
    return lines
