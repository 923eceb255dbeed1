"""The comparison that a person reads: shards in, tables and lines out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.judging import context, elsewhere, lane_lines, notes
from reports.parity import divergence
from reports.parity import table as parity
from reports.read.pending import PARTS, without
from reports.read.shards import Shards
from reports.statistics.validity import Trust
from reports.tables import (
    accuracy,
    cells,
    comparable,
    costs,
    curves,
    pairs,
    predictions,
    published,
    samples,
    seeds,
    speed,
    time_to_error,
)
from reports.tables.cells import KEYS
from reports.tables.wording import Note


@dataclass(frozen=True)
class Comparison:
    """All that the written reports are made of.

    Attributes:
        accuracy: `reports.tables.accuracy.table`.
        speed: `reports.tables.speed.table`.
        ratios: `reports.tables.pairs.ratios_table`, with `certified`.
        variants: `reports.tables.pairs.variants_table`, with `certified`.
        machines: Rows of `reports.judging.elsewhere.table` of training at the protocol's batch
            size.
        time_to_error: `reports.tables.time_to_error.table`.
        costs: `reports.tables.costs.table`.
        break_even: `reports.tables.costs.break_even_table`.
        lane_costs: `reports.tables.costs.lanes_table`.
        parity: `reports.parity.table`.
        errors: `reports.tables.seeds.errors_table`.
        agreement: `reports.tables.seeds.pairs_table`.
        conclusions: `reports.tables.seeds.models_table`.
        ladder: `reports.parity.table.summary`.
        horizons: `reports.parity.divergence.horizons`.
        saturated: `reports.parity.table.saturated_losses`.
        summary: One row per model and backend; see `summarise`.
        main_speed: Rows of `speed` of training at the protocol's batch size, measured in turn.
        main_ratios: The same of `ratios`.
        main_variants: The same of `variants`.
        untrusted: Why the speeds are not to be trusted, lines; empty for good runs.
        headings: What was run, as lines.
        conditions: What the speeds were measured under, as lines.
        notes: What a reader must know before believing a figure, gravest first.
        lanes: How lanes that are no backends as pinned do in the main variant; `notes` have the
            rest.
        incomplete: Launches and lanes that are not there, as lines; they stand in `notes` too.
        ledger: One row per backend: versions and machine.
        curves: `reports.tables.curves.table`.
        confusion: `reports.tables.predictions.confusion`.
        disagreements: `reports.tables.predictions.disagreements`.
        divergence: `reports.parity.divergence.table`.
        samples: Every slot; `Samples.samples`, without the latencies of calls.
        published: Published error in percent by model, where it may be compared.
        batch_sizes: Those of the protocols.
        images: `reports.read.shards.Shards.images`.
        noise: How noisy each run's machine was, as lines; they stand in `conditions` too.
        grades: The same in few words.
        voided: How many rounds of each run did not count; nothing where all did.
        left_out: The command of a longer run, and what that would tell.
        protocol: What was trained or timed, in a few words.
        commands: What repeats the runs; nothing of those from before it was kept.
        pending: What is still to come, of a run that goes on.
        launch_seconds: What a launch of the main workloads took, on average; 0 without any.
        checks: What trust stands on: condition, value, limit, passed.
        runs: Ids of the runs.
    """

    accuracy: pd.DataFrame
    speed: pd.DataFrame
    ratios: pd.DataFrame
    variants: pd.DataFrame
    machines: pd.DataFrame
    time_to_error: pd.DataFrame
    costs: pd.DataFrame
    break_even: pd.DataFrame
    lane_costs: pd.DataFrame
    parity: pd.DataFrame
    errors: pd.DataFrame
    agreement: pd.DataFrame
    conclusions: pd.DataFrame
    ladder: pd.DataFrame
    horizons: pd.DataFrame
    saturated: pd.DataFrame
    summary: pd.DataFrame
    main_speed: pd.DataFrame
    main_ratios: pd.DataFrame
    main_variants: pd.DataFrame
    untrusted: tuple[str, ...]
    headings: tuple[str, ...]
    conditions: tuple[str, ...]
    notes: tuple[Note, ...]
    incomplete: tuple[str, ...]
    lanes: tuple[Note, ...]
    ledger: pd.DataFrame
    curves: pd.DataFrame
    confusion: pd.DataFrame
    disagreements: pd.DataFrame
    divergence: pd.DataFrame
    samples: pd.DataFrame
    published: Mapping[str, float]
    batch_sizes: frozenset[int]
    images: Mapping[str, NDArray[np.uint8]]
    noise: tuple[str, ...]
    grades: tuple[str, ...]
    voided: tuple[str, ...]
    left_out: tuple[str, ...]
    protocol: str
    commands: tuple[str, ...]
    pending: tuple[str, ...]
    launch_seconds: float
    checks: pd.DataFrame
    runs: tuple[str, ...]

    def tables(self) -> dict[str, pd.DataFrame]:
        """What is written to `tables/`, by name."""
        return {name: getattr(self, name) for name in TABLES}


TABLES = (
    "accuracy",
    "speed",
    "ratios",
    "variants",
    "machines",
    "time_to_error",
    "costs",
    "break_even",
    "lane_costs",
    "parity",
    "errors",
    "agreement",
    "conclusions",
    "curves",
    "confusion",
    "disagreements",
    "divergence",
    "samples",
)


def compare(
    shards: Shards, required_backends: Sequence[str] = (), pending: Sequence[str] = ()
) -> Comparison:
    """Bring the shards of some runs into one comparison.

    Args:
        shards: What was read.
        required_backends: Those that must be in one of the runs.
        pending: Parts of `reports.read.pending` that are still to come.

    Raises:
        NotComparableError: The backends did not have the same inputs, or the launches of one run
            are not of one thing.
    """
    comparable.check(shards)
    whole, shards = shards, without(shards, pending)
    measured, trained = samples.collect(shards), cells.collect(shards)
    accuracy_table = accuracy.table(shards, required_backends)
    speed_table = speed.table(shards, accuracy_table, measured, trained)
    agreement = seeds.pairs_table(shards)
    parity_table = parity.table(shards, agreement)
    ratio_table = pairs.ratios_table(shards, measured)
    ratio_table = _certified(ratio_table, parity_table, "lane", "baseline")
    variant_table = pairs.variants_table(shards, measured)
    variant_table = _certified(variant_table, parity_table, "variant", "over")
    curve_table, known = curves.table(shards), _published(shards, accuracy_table)
    cost_table = costs.table(trained, measured)
    trusts = notes.judge(shards, measured)
    owed = notes.incomplete(shards, required_backends)
    doubts = any(trust.reasons for trust in trusts.values())
    trusted = ratio_table.iloc[:0] if doubts else main_rows(ratio_table, shards)
    met = [worker for worker, _ in context.workers(shards)]
    beside = tuple(lane_lines.lines(shards, met, trusted, parity_table, agreement))
    return Comparison(
        accuracy=accuracy_table,
        speed=speed_table,
        ratios=ratio_table,
        variants=variant_table,
        machines=main_rows(elsewhere.table(shards), shards),
        time_to_error=time_to_error.table(curve_table, known),
        costs=cost_table,
        break_even=costs.break_even_table(trained),
        lane_costs=costs.lanes_table(shards, measured),
        parity=parity_table,
        errors=seeds.errors_table(shards, _is_reference(shards)),
        agreement=agreement,
        conclusions=seeds.models_table(shards),
        ladder=parity.summary(parity_table),
        horizons=divergence.horizons(shards),
        saturated=parity.saturated_losses(shards),
        summary=summarise(accuracy_table, main_rows(speed_table, shards)),
        main_speed=main_rows(speed_table, shards) if trusts else speed_table.iloc[:0],
        main_ratios=main_rows(ratio_table, shards),
        main_variants=main_rows(variant_table, shards),
        untrusted=tuple(
            f"UNTRUSTED: {_of(run, shards)}{reason}"
            for run, trust in trusts.items()
            for reason in trust.reasons
        ),
        headings=context.headings(shards),
        conditions=(
            *_noise(trusts, shards),
            *context.steal_lines(measured.usable),
            *context.quota_lines(shards),
            *context.machine_states(shards),
            *(f"not alike in all backends: {line}" for line in context.differences(shards)),
        ),
        notes=(
            *(Note(line, grave=True) for line in context.troubles_met(shards)),
            *(note for note, is_main in beside if not is_main),
            *map(Note, context.others_lines(measured.rounds)),
            *notes.notes(shards, accuracy_table, ratio_table, cost_table, trusts, owed),
        ),
        incomplete=owed,
        lanes=tuple(note for note, is_main in beside if is_main),
        ledger=context.ledger(shards),
        curves=curve_table,
        confusion=predictions.confusion(shards),
        disagreements=predictions.disagreements(shards),
        divergence=divergence.table(shards),
        samples=measured.samples.drop(columns="latencies"),
        published=known,
        batch_sizes=frozenset(plan.protocol.batch_size for plan in shards.plans.values()),
        images=shards.images,
        noise=tuple(_noise(trusts, shards)),
        grades=tuple(
            f"a {trust.grade} machine ({trust.spread_percent:.1f} %)"
            for trust in trusts.values()
            if trust.grade is not None
        ),
        voided=tuple(trust.voided for trust in trusts.values() if trust.voided),
        left_out=context.left_out(whole),
        protocol=context.protocol(whole),
        commands=tuple(plan.command for plan in shards.plans.values() if plan.command),
        pending=tuple(PARTS[part] for part in pending),
        launch_seconds=context.launch_seconds(shards),
        checks=notes.checks(trusts, ratio_table),
        runs=tuple(shards.plans),
    )


def summarise(accuracy_table: pd.DataFrame, main_speed: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, beside the speed of training at the protocol's batch size.

    Returns:
        model, variant, backend, device, error_percent, accuracy_percent, images_per_second,
        train_seconds, peak_rss_mib, status (`ok` only if every seed is).
    """
    means = accuracy_table.groupby(KEYS, as_index=False).agg(
        error_percent=("error_percent", "mean"),
        accuracy_percent=("test_accuracy", lambda share: 100 * share.mean()),
        train_seconds=("train_seconds", "mean"),
        status=("status", speed.worst),
    )
    speeds = main_speed.drop_duplicates(KEYS)[[*KEYS, "images_per_second", "peak_rss_mib"]]
    summary = means.merge(speeds, on=KEYS, how="left")
    return summary[
        [
            *KEYS,
            "error_percent",
            "accuracy_percent",
            "images_per_second",
            "train_seconds",
            "peak_rss_mib",
            "status",
        ]
    ]


def main_rows(table: pd.DataFrame, shards: Shards) -> pd.DataFrame:
    """Rows of training at the batch size of the protocol."""
    sizes = {plan.protocol.batch_size for plan in shards.plans.values()}
    return table[(table["phase"] == "train") & table["batch_size"].isin(sizes)]


def _certified(
    table: pd.DataFrame, parity_table: pd.DataFrame, which: str, other: str
) -> pd.DataFrame:
    """Ratios of two subjects, that differ in what these two columns name, with `certified`."""
    known = parity.certificates(parity_table)
    subjects = (
        [(*({**row, which: row[name]}[key] for key in parity.SUBJECT),) for name in (which, other)]
        for row in table.to_dict("records")
    )
    found = [parity.certified(known, both) for both in subjects]
    return table.assign(certified=pd.Series(found, table.index, "str"))


def _published(shards: Shards, accuracy_table: pd.DataFrame) -> dict[str, float]:
    """Published errors in percent, where these runs followed their protocol."""
    trained = accuracy_table["model"].unique() if _is_reference(shards) else ()
    return {
        str(model): published.ERROR_PERCENT[model]
        for model in trained
        if model in published.ERROR_PERCENT
    }


def _is_reference(shards: Shards) -> bool:
    protocols = [plan.protocol for plan in shards.plans.values()]
    return bool(protocols) and all(notes.is_reference(protocol) for protocol in protocols)


def _of(run: str, shards: Shards) -> str:
    """Which run, where there are several."""
    return f"run {run}: " if len(shards.plans) > 1 else ""


def _noise(trusts: Mapping[str, Trust], shards: Shards) -> list[str]:
    return [
        f"{_of(run, shards)}the machine was {trust.grade} (its speed at a fixed product of "
        f"matrices spread by {trust.spread_percent:.1f} %)"
        for run, trust in trusts.items()
        if trust.grade is not None
    ]
