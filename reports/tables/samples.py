"""Launches as tables: one row per round, per sample, per anchor and per lane's start."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bench.contract.schema import Lane, Workload
from bench.contract.speed_schema import LaneRecord, Round, Sample
from reports.read.checks import is_latency
from reports.read.shards import Shards, SpeedShard
from reports.statistics import launch_values, validity

WORKLOAD = ["model", "variant", "phase", "batch_size"]
LANE = ["backend", "device", "twin"]

_ROUND = ["run", "launch", "round", *WORKLOAD, "workload"]
_MEASURED = {
    "steps": "int64",
    "slot_seconds": "float64",
    "one_step_seconds": "float64",
    "outside_seconds": "float64",
    "one_step_outside_seconds": "float64",
    "call_seconds": "float64",
    "cpu_seconds": "float64",
    "minor_faults": "int64",
    "compilations": "int64",
    "steal_percent": "float64",
    "tick_percent": "float64",
    "flops_per_image": "float64",
}
_IN_LAUNCH = ["run", "launch", *WORKLOAD, *LANE]
_SERIES = ["run", *WORKLOAD, *LANE]

TICK_SECONDS = 0.01
"""In which Linux counts steal (USER_HZ), for each core on its own."""


@dataclass(frozen=True)
class Samples:
    """All launches of some runs.

    Attributes:
        rounds: One row per round: run, launch, round, `WORKLOAD`, workload (its name), void (the
            reason, or empty), others_percent (of the CPU, that other processes used).
        samples: One row per turn of a lane: what its round has, `LANE`, lane (its name), what was
            measured, latencies (an array), and from it seconds_per_step (steady, without the
            price of the call), fixed_seconds (that price; NaN for latency), cpu_seconds_per_step
            and minor_faults_per_step (over all steps of both calls), gflops, and invalid (the
            reason, or empty).
        anchors: run, launch, round, gflops.
        starts: One row per lane, launch, model and variant: run, launch, `LANE`, model, variant,
            import_seconds, first_step_seconds.
    """

    rounds: pd.DataFrame
    samples: pd.DataFrame
    anchors: pd.DataFrame
    starts: pd.DataFrame

    @cached_property
    def usable(self) -> pd.DataFrame:
        """The samples that count."""
        return self.samples[(self.samples["void"] == "") & (self.samples["invalid"] == "")]

    def of(self, run: str, workload: Workload, lane: Lane) -> pd.DataFrame:
        """All samples of one lane in one workload of one run."""
        return self._all.get(_key(run, workload, lane), self.samples.iloc[:0])

    def usable_of(self, run: str, workload: Workload, lane: Lane) -> pd.DataFrame:
        """Those of them that count."""
        return self._usable.get(_key(run, workload, lane), self.usable.iloc[:0])

    @cached_property
    def _all(self) -> Mapping[Any, pd.DataFrame]:
        return dict(iter(self.samples.groupby(_SERIES, sort=False)))

    @cached_property
    def _usable(self) -> Mapping[Any, pd.DataFrame]:
        return dict(iter(self.usable.groupby(_SERIES, sort=False)))


def collect(shards: Shards) -> Samples:
    """Make the tables of all launches that could be read."""
    anchors = pd.DataFrame(
        [
            (shard.run_id, shard.payload.launch, item.round, item.flops / item.seconds / 1e9)
            for shard in shards.speed
            for item in shard.payload.anchor
        ],
        columns=["run", "launch", "round", "gflops"],
    ).astype({"run": "str", "gflops": "float64"})
    rounds = pd.DataFrame(
        [row for shard in shards.speed for row in _rounds(shard)],
        columns=[*_ROUND, "void", "others_percent"],
    ).astype({"run": "str", "void": "str", "others_percent": "float64"})
    samples = pd.DataFrame(
        [row for shard in shards.speed for row in _samples(shard)],
        columns=[*_ROUND, "void", *LANE, "lane", *_MEASURED, "latencies"],
    ).astype({"run": "str", "void": "str", "twin": "bool", **_MEASURED})
    seconds = ["import_seconds", "first_step_seconds"]
    starts = pd.DataFrame(
        [row for shard in shards.speed for row in _starts(shard)],
        columns=["run", "launch", *LANE, "model", "variant", *seconds],
    ).astype({"run": "str", **dict.fromkeys(seconds, "float64")})
    return Samples(rounds, _derived(samples, anchors), anchors, starts)


def workload_name(workload: Workload) -> str:
    """For people."""
    if is_latency(workload):
        return f"{workload.model} {workload.variant} latency"
    return f"{workload.model} {workload.variant} {workload.phase} batch {workload.batch_size}"


def lane_name(lane: Lane) -> str:
    """For people."""
    device = "" if lane.device == "cpu" else f" {lane.device}"
    return f"{lane.backend}{device}{' (twin)' if lane.twin else ''}"


def _rounds(shard: SpeedShard) -> Iterator[tuple[object, ...]]:
    for item, void in _judged(shard):
        yield (*_round(shard, item), void, item.evidence.others_percent)


def _samples(shard: SpeedShard) -> Iterator[tuple[object, ...]]:
    launch = shard.payload
    for item, void in _judged(shard):
        workload = launch.workloads[item.workload]
        for sample in item.samples:
            record = launch.lanes[sample.lane]
            yield (
                *_round(shard, item),
                void,
                record.lane.backend,
                record.lane.device,
                record.lane.twin,
                lane_name(record.lane),
                *_measured(sample),
                *_steal(sample, len(launch.state.affinity)),
                _flops([record, *launch.lanes], workload),
                np.array(sample.latencies),
            )


def _judged(shard: SpeedShard) -> Iterator[tuple[Round, str]]:
    """Each round with the reason for which it is void.

    Where a worker ended, the round in which that happened is void; later ones are whole without
    its lane.
    """
    rounds = shard.payload.rounds
    present = [{sample.lane for sample in item.samples} for item in rounds]
    expected_until = [
        _last_round(record, [index for index, lanes in enumerate(present) if lane in lanes])
        for lane, record in enumerate(shard.payload.lanes)
    ]
    for index, item in enumerate(rounds):
        workload = shard.payload.workloads[item.workload]
        expected = {
            lane
            for lane, last in enumerate(expected_until)
            if index <= last and not failure(shard.payload.lanes[lane], workload)
        }
        missing = "lane_missing" if expected - present[index] else ""
        yield item, validity.void_reason(item.evidence) or missing


def failure(record: LaneRecord, workload: Workload) -> str:
    """Why a lane could not prepare the variant of a workload; empty if it could."""
    errors = [
        prepared.error
        for prepared in record.preparations
        if (prepared.model, prepared.variant) == (workload.model, workload.variant)
    ]
    return next((error for error in errors if error), "")


def _last_round(record: LaneRecord, seen: Sequence[int]) -> float:
    """Index of the last round that a lane should stand in, from those in which it does."""
    if record.status == "ok":
        return np.inf
    if seen:
        return max(seen) + 1
    return 0 if record.warm_ups else -1


def _round(shard: SpeedShard, item: Round) -> tuple[object, ...]:
    workload = shard.payload.workloads[item.workload]
    return (
        shard.run_id,
        shard.payload.launch,
        item.number,
        workload.model,
        workload.variant,
        workload.phase,
        workload.batch_size,
        workload_name(workload),
    )


def _measured(sample: Sample) -> tuple[object, ...]:
    return (
        sample.steps,
        sample.seconds,
        sample.one_step_seconds,
        sample.outside_seconds,
        sample.one_step_outside_seconds,
        sample.call_seconds,
        sample.cpu_seconds,
        sample.minor_faults,
        sample.compilations,
    )


def _steal(sample: Sample, cores: int) -> tuple[float, float]:
    """What the hypervisor took while the two calls ran, and what a tick of each core is of that.

    Both in percent of all our cores' time.
    """
    inside = sample.seconds + (sample.one_step_seconds or 0)
    seconds = inside + sample.outside_seconds + sample.one_step_outside_seconds
    percent = 100 / (seconds * cores)
    return sample.steal_seconds * percent, TICK_SECONDS * cores**0.5 * percent


def _flops(records: Sequence[LaneRecord], workload: Workload) -> int | None:
    """What the first of these lanes that could count has counted: it is the model's, not theirs."""
    train = workload.phase == "train"
    counts = [
        preparation.costs.train_flops if train else preparation.costs.forward_flops
        for record in records
        for preparation in record.preparations
        if preparation.model == workload.model and preparation.costs is not None
    ]
    return next((count for count in counts if count), None)


def _starts(shard: SpeedShard) -> Iterator[tuple[object, ...]]:
    for record in shard.payload.lanes:
        for preparation in record.preparations:
            if preparation.costs is None:
                continue
            yield (
                shard.run_id,
                shard.payload.launch,
                record.lane.backend,
                record.lane.device,
                record.lane.twin,
                preparation.model,
                preparation.variant,
                record.worker.import_seconds if record.worker else None,
                preparation.costs.first_step_seconds,
            )


def _derived(samples: pd.DataFrame, anchors: pd.DataFrame) -> pd.DataFrame:
    """Add what follows from the measured columns.

    What beginning a call takes of a slot (`launch_values`) is of all launches of a run. To it
    comes what a call takes outside of its steps, on average: TensorFlow sometimes waits there for
    as long as the slot lasted, and a median would not see it. Voided rounds do not enter.
    """
    slot, one = samples["slot_seconds"], samples["one_step_seconds"]
    counts = samples["void"] == ""
    begin = pd.Series(np.nan, index=samples.index)
    for _, turns in samples[counts].groupby([name for name in _IN_LAUNCH if name != "launch"]):
        columns = (turns[name] for name in ("steps", "slot_seconds", "one_step_seconds"))
        share = launch_values.share_of_price(*(column.to_numpy(np.float64) for column in columns))
        begin[turns.index] = share * turns["slot_seconds"]
    seconds_per_step = (slot - begin) / samples["steps"]
    launch = [samples[name] for name in _IN_LAUNCH]
    outside = samples["outside_seconds"].where(counts).groupby(launch).transform("mean")
    all_steps = samples["steps"] + one.notna()
    samples = samples.assign(
        fixed_seconds=(begin + outside).where(one.notna()),
        seconds_per_step=seconds_per_step.where(seconds_per_step > 0),
        cpu_seconds_per_step=samples["cpu_seconds"] / all_steps,
        minor_faults_per_step=samples["minor_faults"] / all_steps,
    )
    images = samples["batch_size"] / samples["seconds_per_step"]
    samples["gflops"] = samples["flops_per_image"] * images / 1e9
    # NumPy's product is a measure of the CPU alone.
    best = samples["run"].map(anchors.groupby("run")["gflops"].max()).astype("float64")
    best = best.where(samples["device"] == "cpu")
    return samples.assign(invalid=validity.invalid_reasons(samples, _IN_LAUNCH, best))


def _key(run: str, workload: Workload, lane: Lane) -> tuple[object, ...]:
    return (
        run,
        *(getattr(workload, name) for name in WORKLOAD),
        *(getattr(lane, name) for name in LANE),
    )


def only(frame: pd.DataFrame, columns: Sequence[str], values: Sequence[object]) -> pd.DataFrame:
    """The rows of `frame` that have these values in these columns."""
    chosen = pd.Series(data=True, index=frame.index)
    for column, value in zip(columns, values, strict=True):
        chosen &= frame[column] == value
    return frame[chosen]
