"""Launches as tables: one row per round, per sample, per anchor and per lane's start."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from msgspec.structs import asdict

from bench.contract.schema import Lane, Workload
from bench.contract.speed_schema import LaneRecord, Round, Sample
from reports.read.shards import Shards, SpeedShard
from reports.statistics import launch_values, validity
from reports.tables.columns import frame, picked

WORKLOAD = ["model", "variant", "phase", "batch_size"]
LANE = ["lane", "device", "twin"]

_ROUND = ["run", "launch", "round", *WORKLOAD, "workload", "void"]
_TOLD_OTHERWISE = {"lane", "steal_seconds", "latencies"}
_IN_LAUNCH = ["run", "launch", *WORKLOAD, *LANE]
_SERIES = ["run", *WORKLOAD, *LANE]

TICK_SECONDS = 0.01
"""In which Linux counts steal (USER_HZ), for each core on its own."""


@dataclass(frozen=True)
class Samples:
    """All launches of some runs.

    Attributes:
        rounds: One row per round: run, launch, round, `WORKLOAD`, workload (its name), void (the
            reason, or empty), again (whether it makes up for a void one), others_percent (of the
            CPU, that other processes used).
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
    rounds = [(shard, *judged) for shard in shards.speed for judged in _judged(shard)]
    text = {"run": "str", "void": "str"}
    round_table = pd.DataFrame(
        [
            {
                **_round(shard, item, void),
                "again": 0 < shard.payload.planned_rounds < item.number,
                "others_percent": item.evidence.others_percent,
            }
            for shard, item, void in rounds
        ],
        columns=[*_ROUND, "again", "others_percent"],
    ).astype({**text, "again": "bool", "others_percent": "float64"})
    samples = frame("samples", (row for judged in rounds for row in _samples(*judged)))
    latencies = [np.array(sample.latencies) for _, item, _ in rounds for sample in item.samples]
    samples = samples.assign(latencies=pd.Series(latencies, dtype=object))
    seconds = ["import_seconds", "first_step_seconds"]
    starts = pd.DataFrame(
        [row for shard in shards.speed for row in _starts(shard)],
        columns=["run", "launch", *LANE, "model", "variant", *seconds],
    ).astype({"run": "str", **dict.fromkeys(seconds, "float64")})
    return Samples(round_table, _derived(samples, anchors), anchors, starts)


def workload_name(workload: Workload) -> str:
    """For people."""
    if workload.is_latency:
        return f"{workload.model} {workload.variant} latency"
    return f"{workload.model} {workload.variant} {workload.phase} batch {workload.batch_size}"


def lane_name(lane: Lane) -> str:
    """For people."""
    device = "" if lane.device == "cpu" else f" {lane.device}"
    return f"{lane.lane}{device}{' (twin)' if lane.twin else ''}"


def _samples(shard: SpeedShard, item: Round, void: str) -> Iterator[dict[str, object]]:
    launch = shard.payload
    workload = launch.workloads[item.workload]
    for sample in item.samples:
        record = launch.lanes[sample.lane]
        measured = asdict(sample)
        yield {
            **_round(shard, item, void),
            **asdict(record.lane),
            "name": lane_name(record.lane),
            "slot_seconds": measured.pop("seconds"),
            **{name: value for name, value in measured.items() if name not in _TOLD_OTHERWISE},
            **_steal(sample, len(launch.state.affinity)),
            "flops_per_image": _flops([record, *launch.lanes], workload),
        }


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
        yield item, item.evidence.void or missing


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


def _round(shard: SpeedShard, item: Round, void: str) -> dict[str, object]:
    workload = shard.payload.workloads[item.workload]
    where = {"run": shard.run_id, "launch": shard.payload.launch, "round": item.number}
    return {**where, **asdict(workload), "workload": workload_name(workload), "void": void}


def _steal(sample: Sample, cores: int) -> dict[str, float]:
    """What the hypervisor took while the two calls ran, and what a tick of each core is of that.

    Both in percent of all our cores' time.
    """
    inside = sample.seconds + (sample.one_step_seconds or 0)
    seconds = inside + sample.outside_seconds + sample.one_step_outside_seconds
    percent = 100 / (seconds * cores)
    return {
        "steal_percent": sample.steal_seconds * percent,
        "tick_percent": TICK_SECONDS * cores**0.5 * percent,
    }


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


def _starts(shard: SpeedShard) -> Iterator[dict[str, object]]:
    for record in shard.payload.lanes:
        for preparation in record.preparations:
            if preparation.costs is not None:
                yield {
                    "run": shard.run_id,
                    "launch": shard.payload.launch,
                    **asdict(record.lane),
                    **picked(preparation, "model", "variant"),
                    "import_seconds": record.worker.import_seconds if record.worker else None,
                    "first_step_seconds": preparation.costs.first_step_seconds,
                }


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
