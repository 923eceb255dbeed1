"""What a reader must know before believing a figure, in lines, gravest first."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from bench.contract.schema import Cell, Lane, Plan, Protocol, SpeedPlan, Subject
from bench.contract.speed_schema import LaneRecord, Speed
from bench.contract.variants import STOCK
from reports.read.shards import Shards, SpeedShard
from reports.statistics import intervals, validity
from reports.statistics.validity import Trust
from reports.tables import pairs, published, speed, wording
from reports.tables.samples import Samples, lane_name, workload_name
from reports.tables.wording import Note

DRAWN = "drawn"
"""Name of a dataset that is made up."""

NAMED = 3
"""So many missing trainings are named, for a run that was ended early lacks most of them."""

DISAGREEMENT_PERCENT = 10
"""Slots and epochs that differ by more are spoken of."""


def judge(shards: Shards, samples: Samples) -> dict[str, Trust]:
    """Whether the speeds of each run that measured slots may be trusted, by run id."""
    judged = {}
    for run, plan in speed.planned(shards):
        size = shards.plans[run].protocol.batch_size
        differing = [
            f"{name} ({_told(values)})"
            for name, values in pairs.differing_twins(samples, run, plan, size).items()
        ]
        unsteady = dict.fromkeys(
            f"{lane_name(record.lane)} in "
            f"{workload_name(shard.payload.workloads[warm_up.workload])}"
            for shard in shards.speed
            if shard.run_id == run
            for record in shard.payload.lanes
            for warm_up in record.warm_ups
            if not warm_up.steady
        )
        judged[run] = validity.judge(
            samples.rounds[samples.rounds["run"] == run],
            samples.samples[samples.samples["run"] == run],
            samples.anchors.loc[samples.anchors["run"] == run, "gflops"],
            differing,
            list(unsteady),
        )
    return judged


def checks(trusts: Mapping[str, Trust], ratios: pd.DataFrame) -> pd.DataFrame:
    """What trust stands on, passed or not: what, value, limit, passed.

    Args:
        trusts: `judge`.
        ratios: `reports.tables.pairs.ratios_table`, with `certified`.
    """
    rows = [asdict(check) for trust in trusts.values() for check in trust.checks]
    for row in ratios[ratios["low"].notna()].to_dict("records"):
        if row["lane"] == row["baseline"]:
            apart = row["verdict"] in {"faster", "slower"}
            what = f"a second {wording.title(row['lane'])}, {row['model']} {row['phase']}"
            value = f"{row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
            rows.append({"what": what, "value": value, "limit": "1", "passed": not apart})
    certified = ratios.loc[ratios["lane"] != ratios["baseline"], "certified"]
    if len(certified) and (certified != "unchecked").any():
        good = int((certified == "yes").sum() + (certified == "partly").sum())
        value = f"{good} of {len(certified)}"
        what = "ratios of backends that give the same answers"
        rows.append(
            {"what": what, "value": value, "limit": "all", "passed": good == len(certified)}
        )
    return pd.DataFrame(rows, columns=["what", "value", "limit", "passed"])


def incomplete(shards: Shards, required_backends: Sequence[str] = ()) -> tuple[str, ...]:
    """What runs owe: launches, unless they may stop early, and lanes that failed for good.

    Of the required backends, those that no run set out to measure.
    """
    selected = {one.lane for plan in shards.plans.values() for one in _planned(plan)}
    lines = [
        f"INCOMPLETE: {backend} is in none of the runs"
        for backend in required_backends
        if backend not in selected
    ]
    lines += _never_asked(shards, set(required_backends) & selected)
    for run, plan in speed.planned(shards):
        size = shards.plans[run].protocol.batch_size
        made = [shard.payload for shard in shards.speed if shard.run_id == run]
        wanted = 1 if plan.budget_seconds is not None else plan.launches
        present = min(
            sum(workload in launch.workloads for launch in made) for workload in plan.workloads
        )
        if present < wanted:
            lines.append(f"INCOMPLETE run {run}: {present} of {wanted} launches are there")
        lines += [
            f"INCOMPLETE run {run}: launch {shard.payload.launch} lacks rounds of training"
            for shard in shards.speed
            if shard.run_id == run and _lacks_rounds(shard.payload, plan, size)
        ]
        ends = {lane_name(lane): speed.lane_end(shards, run, lane) for lane in plan.lanes}
        lines += [
            f"INCOMPLETE run {run}: the last launch of {lane} ended as {end}"
            if end != "missing"
            else f"INCOMPLETE run {run}: {lane} took part in no launch"
            for lane, end in ends.items()
            if end != "ok"
        ]
    return tuple(lines + [line for run in shards.plans for line in _unanswered(shards, run)])


def _planned(plan: Plan) -> list[Cell | Lane | Subject]:
    """Whatever a backend was to do: one that a plan only names is not there."""
    lanes = plan.speed.lanes if plan.speed else []
    return [*plan.cells, *lanes, *(plan.parity.subjects if plan.parity else [])]


def _lacks_rounds(launch: Speed, plan: SpeedPlan, batch_size: int) -> bool:
    """Whether training at the protocol's batch size is not there in each round of the plan."""
    told = {(one.workload, one.number) for one in launch.rounds}
    return any(record.status == "ok" for record in launch.lanes) and any(
        (index, number) not in told
        for index, workload in enumerate(launch.workloads)
        if (workload.phase, workload.batch_size) == ("train", batch_size)
        for number in range(1, (launch.planned_rounds or plan.rounds) + 1)
    )


def _never_asked(shards: Shards, required: set[str]) -> list[str]:
    """Required backends that no run timed or asked, where others were."""
    plans = shards.plans.values()
    asked = {
        "timed in turn": {lane.lane for _, plan in speed.planned(shards) for lane in plan.lanes},
        "asked on the parity ladder": {
            subject.lane for plan in plans if plan.parity for subject in plan.parity.subjects
        },
    }
    return [
        f"INCOMPLETE: {backend} was not {what}"
        for what, backends in asked.items()
        for backend in sorted(required - backends)
        if backends
    ]


def _unanswered(shards: Shards, run: str) -> list[str]:
    """Subjects of the parity ladder that gave no whole answer."""
    plan = shards.plans[run].parity
    ends = {
        shard.payload.subject: f"{shard.payload.status}: {shard.payload.error}"
        for shard in shards.parity
        if shard.run_id == run and shard.payload.status != "ok"
    }
    present = {shard.payload.subject for shard in shards.parity if shard.run_id == run}
    return [
        f"INCOMPLETE run {run}: parity of {_named(subject)} with {subject.lane}: "
        f"{ends.get(subject, 'missing')}"
        for subject in (plan.subjects if plan else [])
        if subject in ends or subject not in present
    ]


def notes(
    shards: Shards,
    accuracy_table: pd.DataFrame,
    ratio_table: pd.DataFrame,
    cost_table: pd.DataFrame,
    trusts: Mapping[str, Trust],
    owed: Sequence[str],
) -> tuple[Note, ...]:
    """All of them, gravest first; among them what is `owed`, see `incomplete`."""
    plans = shards.plans.values()
    grave = [
        *(f"REJECTED {problem}" for problem in shards.problems),
        *(
            f"FAILED {_named(shard.payload.cell)}, seed {shard.payload.cell.seed}: "
            f"{shard.payload.status}: {shard.payload.error}"
            for shard in shards.accuracy
            if shard.payload.status != "ok"
        ),
        *_ended_lanes(shards, recovered=False),
        *(f"DIVERGED {name}" for name in _trainings(accuracy_table, "diverged")),
        *_missing(_trainings(accuracy_table, "missing")),
        *owed,
        *(f"NOT MNIST: {plan.dataset_note}." for plan in plans if plan.dataset_note),
    ]
    lines = [*_ended_lanes(shards, recovered=True), *_own(shards), *_machines(shards)]
    reference = set(published.ERROR_PERCENT)
    trained = {cell.model for plan in plans for cell in plan.cells}
    if trained & reference and not all(is_reference(p.protocol) for p in plans if p.cells):
        lines.append("Not the reference's protocol, so its published errors are left out.")
    if any(plan.seeds == 1 and plan.cells for plan in plans):
        more = ": over seeds the reference's errors vary by 0.1 to 0.2 points"
        lines.append(f"One seed is one draw{more if trained & reference else ''}.")
    lines += [note for trusted in trusts.values() for note in trusted.notes]
    lines += _disagreements(shards, cost_table, trusts)
    lines += _claims(shards, ratio_table)
    return tuple(
        dict.fromkeys(
            [*(Note(line, grave=True) for line in grave), *(Note(line) for line in lines)]
        )
    )


def _trainings(accuracy_table: pd.DataFrame, status: str) -> list[str]:
    """Those that ended so, in words."""
    found = accuracy_table[accuracy_table["status"] == status]
    return [
        f"{row['model']} {row['lane']}, seed {row['seed']}"
        for row in found.assign(model=wording.models(found)).to_dict("records")
    ]


def _missing(names: Sequence[str]) -> Iterator[str]:
    if names:
        more = f"; and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"MISSING {'; '.join(names[:NAMED])}{more}"


def _ended_lanes(shards: Shards, *, recovered: bool) -> list[str]:
    """Lanes that failed in a launch: for good, or such as were well in their last."""
    return [
        f"{'Recovered after' if recovered else 'FAILED'} launch {shard.payload.launch}, "
        f"{lane_name(record.lane)}: {record.status}: {record.error}"
        for shard in shards.speed
        for record in shard.payload.lanes
        if record.status != "ok" and _recovered(shards, shard, record) == recovered
    ]


def _named(part: Cell | Subject) -> str:
    """The model, with its variant where that is not what Keras ships."""
    return part.model if part.variant == STOCK else f"{part.model} {part.variant}"


def _own(shards: Shards) -> Iterator[str]:
    """What must be known of models and data that are not shipped."""
    for plan in shards.plans.values():
        yield from plan.model_notes
        if plan.protocol.dataset == DRAWN:
            yield (
                "No data was given: inputs and targets were drawn by NumPy from what the models "
                "declare. Speed and parity are of these; there is nothing to learn, and no error."
            )


def is_reference(protocol: Protocol) -> bool:
    """Whether published results may stand beside it."""
    return all(getattr(protocol, name) == value for name, value in published.PROTOCOL.items())


def _recovered(shards: Shards, shard: SpeedShard, record: LaneRecord) -> bool:
    """Whether a lane that failed in this launch was well in its last."""
    return speed.lane_end(shards, shard.run_id, record.lane) == "ok"


def _machines(shards: Shards) -> list[str]:
    machines = {shard.payload.machine.id for shard in shards.accuracy}
    machines |= {shard.payload.machine.id for shard in shards.speed}
    if len(machines) < 2:
        return []
    return [f"These cells ran on {len(machines)} machines: compare their errors, not their speeds."]


def _disagreements(
    shards: Shards, cost_table: pd.DataFrame, trusts: Mapping[str, Trust]
) -> list[str]:
    far = cost_table[cost_table["difference_percent"].abs() > DISAGREEMENT_PERCENT]
    if far.empty:
        return []
    images = {
        shard.payload.cell.model: shard.payload.protocol.train_examples for shard in shards.accuracy
    }
    count = far["model"].map(images)
    far = far.assign(
        name=wording.models(far),
        predicted=count / far["epoch_seconds_predicted"],
        seen=count / far["epoch_seconds_seen"],
    )
    told = [
        f"{row['name']} {row['lane']} {row['predicted']:,.0f} and {row['seen']:,.0f} "
        f"({row['steal_percent']:.1f} %)"
        for row in far.to_dict("records")
    ]
    grades = sorted({trusted.grade for trusted in trusts.values() if trusted.grade})
    return [
        "Examples/s of an epoch, as slots predict them and as the accuracy part saw them (what a "
        f"hypervisor took of the CPU meanwhile): {', '.join(told)}. Its epochs ran alone and at "
        "another time, and the speed of the machine may have wandered meanwhile "
        f"(noise: {'/'.join(grades) or 'unknown'})."
    ]


def _claims(shards: Shards, ratio_table: pd.DataFrame) -> list[str]:
    alone = [run for run, plan in shards.plans.items() if plan.speed is None and plan.cells]
    of_runs = "" if len(alone) == len(shards.plans) else f" of run {', '.join(alone)}"
    lines = []
    if alone:
        lines.append(
            f"Speeds{of_runs} are of a few epochs of one backend after another: no ratio is "
            "claimed."
        )
    if (ratio_table["verdict"] == "indicative").any():
        lines.append(
            f"Ratios of fewer than {intervals.MIN_LAUNCHES} launches are indicative: processes "
            "differ from launch to launch, and nothing is claimed."
        )
    for run, plan in speed.planned(shards):
        present = sum(shard.run_id == run for shard in shards.speed)
        if plan.budget_seconds is not None and 0 < present < intervals.MIN_LAUNCHES:
            enough = math.ceil(intervals.MIN_LAUNCHES / present * plan.budget_seconds / 60)
            lines.append(
                f"The budget of run {run} was enough for {present} of the "
                f"{intervals.MIN_LAUNCHES} launches that an interval takes: --budget {enough}m "
                "is enough for all."
            )
    return lines


def _told(values: intervals.LaunchValues) -> str:
    low, high = intervals.interval(values)
    return f"{low:.3f} to {high:.3f} times as fast"
