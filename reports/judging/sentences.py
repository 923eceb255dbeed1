"""What is wrong with a comparison, what must be known of it, and how much models err."""

from reports.judging import parity_lines
from reports.judging.comparison import Comparison
from reports.tables import wording


def alerts(comparison: Comparison) -> list[str]:
    """What is computed otherwise, UNTRUSTED, failed or missing, in whatever variant.

    To be read before everything else, and wrong answers before speeds that are none.
    """
    wrong = parity_lines.verdicts(wording.in_order(comparison.ladder), comparison.parity)
    return [
        *(note.text for note in wrong if note.grave),
        *comparison.untrusted,
        *(note.text for note in comparison.notes if note.grave),
    ]


def remarks(comparison: Comparison) -> list[str]:
    """The other notes."""
    return [note.text for note in comparison.notes if not note.grave]


def error_lines(comparison: Comparison) -> list[str]:
    """How much each backend's model errs, a line for each model."""
    lines, summary = [], comparison.summary
    trained = comparison.accuracy["model"].isin(summary["model"])
    epochs = comparison.accuracy.loc[trained, "epochs"].max()
    known = summary[summary["error_percent"].notna()]
    for model, rows in wording.by_model(known):
        told = [f"{row['lane']} {row['error_percent']:.2f} %" for row in rows.to_dict("records")]
        error = comparison.published.get(rows["model"].iloc[0])
        beside = "" if error is None else f"; the reference published {error:.2f} %"
        after = f"{epochs} {'epoch' if epochs == 1 else 'epochs'}"
        lines.append(f"{model}, error rate after {after}: {', '.join(told)}{beside}.")
    good = comparison.accuracy[trained & (comparison.accuracy["status"] == "ok")]
    for model, rows in wording.by_model(good[good["error_percent"].isna()]):
        losses = rows.groupby("lane", sort=False)["test_loss"].mean()
        told = [f"{backend} {loss:.4g}" for backend, loss in losses.items()]
        lines.append(f"{model} is not a classifier; its loss on the test set: {', '.join(told)}.")
    return lines
