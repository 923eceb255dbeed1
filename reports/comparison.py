"""The comparison that a person reads: tables in, one row per model and backend out."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from reports import accuracy, published, speed
from reports.schema import Protocol
from reports.shards import Shards


@dataclass(frozen=True)
class Comparison:
    """All that the written reports are made of.

    Attributes:
        accuracy: `reports.accuracy.table`.
        speed: `reports.speed.table`.
        summary: One row per model and backend; see `summarise`.
        headings: What was run, as lines.
        notes: What a reader must know before believing a figure, gravest first.
        ledger: One row per backend: versions and machine.
    """

    accuracy: pd.DataFrame
    speed: pd.DataFrame
    summary: pd.DataFrame
    headings: tuple[str, ...]
    notes: tuple[str, ...]
    ledger: pd.DataFrame


def compare(shards: Shards, required_backends: Sequence[str] = ()) -> Comparison:
    """Bring the shards of some runs into one comparison.

    Raises:
        reports.accuracy.NotComparableError: The backends did not have the same inputs.
    """
    accuracy.check_comparable(shards)
    accuracy_table = accuracy.table(shards, required_backends)
    speed_table = speed.table(shards, accuracy_table)
    return Comparison(
        accuracy=accuracy_table,
        speed=speed_table,
        summary=summarise(accuracy_table, speed_table),
        headings=_headings(shards),
        notes=_notes(shards, accuracy_table),
        ledger=_ledger(shards),
    )


def summarise(accuracy_table: pd.DataFrame, speed_table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, beside the speed.

    Returns:
        model, variant, backend, device, error_percent, accuracy_percent, images_per_second,
        train_seconds, peak_rss_mib, status (`ok` only if every seed is).
    """
    means = accuracy_table.groupby(speed.KEYS, as_index=False).agg(
        error_percent=("error_percent", "mean"),
        accuracy_percent=("test_accuracy", lambda share: 100 * share.mean()),
        train_seconds=("train_seconds", "mean"),
    )
    speeds = speed_table[[*speed.KEYS, "images_per_second", "peak_rss_mib", "status"]]
    summary = means.merge(speeds, on=speed.KEYS, validate="one_to_one")
    return summary[
        [
            *speed.KEYS,
            "error_percent",
            "accuracy_percent",
            "images_per_second",
            "train_seconds",
            "peak_rss_mib",
            "status",
        ]
    ]


def published_error(shards: Shards, model: str) -> float | None:
    """The published error of `model` in percent, where these runs followed its protocol."""
    protocols = [plan.protocol for plan in shards.plans.values()]
    if protocols and all(_is_reference(protocol) for protocol in protocols):
        return published.ERROR_PERCENT.get(model)
    return None


def _is_reference(protocol: Protocol) -> bool:
    return all(getattr(protocol, name) == value for name, value in published.PROTOCOL.items())


def _headings(shards: Shards) -> tuple[str, ...]:
    lines = []
    for run_id, plan in shards.plans.items():
        protocol = plan.protocol
        lines.append(
            f"run {run_id}: dataset {protocol.dataset} ({protocol.train_examples:,} training and "
            f"{protocol.test_examples:,} test examples), {protocol.epochs} "
            f"{'epoch' if protocol.epochs == 1 else 'epochs'}, batch size {protocol.batch_size}, "
            f"{plan.seeds} {'seed' if plan.seeds == 1 else 'seeds'}, suite {plan.suite}"
        )
    return tuple(lines)


def _notes(shards: Shards, accuracy_table: pd.DataFrame) -> tuple[str, ...]:
    plans = shards.plans.values()
    absent = accuracy_table[accuracy_table["status"].isin(["missing", "diverged"])]
    machines = {shard.payload.machine.id for shard in shards.accuracy}
    notes = [
        *(f"REJECTED {problem}" for problem in shards.problems),
        *(
            f"FAILED {shard.payload.cell.model}, seed {shard.payload.cell.seed}: "
            f"{shard.payload.status}: {shard.payload.error}"
            for shard in shards.accuracy
            if shard.payload.status != "ok"
        ),
        *(
            f"{row['status'].upper()} {row['model']} {row['backend']}, seed {row['seed']}"
            for row in absent.to_dict("records")
        ),
        *(f"NOT MNIST: {plan.dataset_note}." for plan in plans if plan.dataset_note),
    ]
    if len(machines) > 1:
        notes.append(
            f"These cells ran on {len(machines)} machines: compare their errors, not their speeds."
        )
    if not all(_is_reference(plan.protocol) for plan in plans):
        notes.append("Not the reference's protocol, so its published errors are left out.")
    if any(plan.seeds == 1 for plan in plans):
        notes.append(
            "One seed is one draw: over seeds the reference's errors vary by 0.1 to 0.2 points."
        )
    notes.append("Speeds are of a few epochs of one backend after another: no ratio is claimed.")
    return tuple(dict.fromkeys(notes))


def _ledger(shards: Shards) -> pd.DataFrame:
    rows = {}
    for shard in shards.accuracy:
        worker, machine = shard.payload.worker, shard.payload.machine
        if worker is not None:
            versions = worker.versions
            rows[worker.backend, worker.device, machine.id] = {
                "backend": worker.backend,
                "version": versions[worker.backend],
                "keras": versions["keras"],
                "numpy": versions["numpy"],
                "python": versions["python"],
                "device": worker.device,
                "machine": f"{machine.cpu_model}, {machine.cores} cores, {machine.system}",
            }
    return pd.DataFrame(rows.values())
