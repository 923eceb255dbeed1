"""Whether results may stand side by side at all."""

import hashlib
import json
from collections.abc import Iterator

from bench.contract.backends import backend_of
from bench.contract.schema import Accuracy, WorkerInfo
from reports.read.shards import AccuracyShard, ParityShard, Shards, SpeedShard
from reports.tables.samples import workload_name
from reports.tables.wording import named


class NotComparableError(ValueError):
    """Results that may not stand side by side; the message says why."""


Fact = tuple[str, str, str, str | None]
"""Of whom, what, who says it, and its value; None where a failed worker never said."""


def check(shards: Shards) -> None:
    """See that what stands side by side had the same inputs.

    Raises:
        NotComparableError: Protocol, dataset, test labels, initial weights, batches or Keras
            differ; a model of the user's has changed from one run to another; a cell, a subject or
            a lane's workload stands in two runs; or parts of one run were made on another machine,
            by another version or with other settings.
    """
    for facts in (_models, _cells, _inputs, _subjects, _series, _launches, _all_launches, _places):
        known: dict[tuple[str, str], tuple[str, str]] = {}
        for whose, what, who, value in facts(shards):
            if value is None:
                continue
            other, expected = known.setdefault((whose, what), (who, value))
            if value != expected:
                raise NotComparableError(_differs(whose, what, (other, expected), (who, value)))


def _differs(whose: str, what: str, one: tuple[str, str], other: tuple[str, str]) -> str:
    if what in {"stands", "was timed"}:  # the value is a run
        return f"{whose} {what} in two runs: {one[1]} and {other[1]}"
    if what == "model":
        return f"{whose} is another model in {other[0]} than in {one[0]}"
    told = f"{one[0]}: {one[1]}, {other[0]}: {other[1]}"
    return f"{f'{whose}: ' if whose else ''}{what} differ ({told})"


def _models(shards: Shards) -> Iterator[Fact]:
    """A name stands for one file and function; a shipped model has no file."""
    for run, plan in shards.plans.items():
        files = {own.name: f"{own.sha256} {own.function}" for own in plan.own_models}
        for model in plan.models:
            yield model, "model", f"run {run}", files.get(model, "")


def _cells(shards: Shards) -> Iterator[Fact]:
    for shard in shards.accuracy:
        cell = shard.payload.cell
        lane = f"{cell.lane} on {cell.device}"
        whose = f"{named(cell.model, cell.variant)} with {lane}, seed {cell.seed},"
        yield whose, "stands", "", shard.run_id


def _inputs(shards: Shards) -> Iterator[Fact]:
    """What the seed does not change must be equal over all seeds; the rest for each seed."""
    for shard in shards.accuracy:
        payload, cell = shard.payload, shard.payload.cell
        model, who = f"{cell.model} {cell.variant}", f"{cell.lane} in run {shard.run_id}"
        for what, value in _fixed_inputs(shard).items():
            yield model, what, who, value
        yield f"{model}{_otherwise(cell.lane)}", *_keras(who, payload.worker)
        training = payload.training
        if training is not None:
            yield f"{model}, seed {cell.seed}", "initial weights", who, training.weights_sha256
            yield f"{model}, seed {cell.seed}", "batches", who, training.batches_sha256


def _fixed_inputs(shard: AccuracyShard) -> dict[str, str | None]:
    protocol, labels = shard.payload.protocol, shard.labels
    return {
        "datasets": protocol.dataset,
        "dataset hashes": protocol.dataset_sha256,
        "protocols": (
            f"{protocol.epochs} epochs of {protocol.train_examples} by {protocol.batch_size}, "
            f"tested on {protocol.test_examples}"
        ),
        "test labels": None if labels is None else hashlib.sha256(labels.tobytes()).hexdigest(),
    }


def _otherwise(lane: str) -> str:
    """Of a lane that is no backend as pinned, its name: it may have another Keras on purpose."""
    return "" if lane == backend_of(lane) else f" with {lane}"


def _keras(who: str, worker: WorkerInfo | None) -> tuple[str, str, str | None]:
    return "Keras versions", who, worker.versions["keras"] if worker else None


def _subjects(shards: Shards) -> Iterator[Fact]:
    """Answers on one model are to the same questions, under one Keras, and each once."""
    for shard in shards.parity:
        asked, subject, worker = shard.payload, shard.payload.subject, shard.payload.worker
        whose, who = f"{subject.model}, parity", f"{subject.lane} in run {shard.run_id}"
        lane = f"{subject.lane} on {subject.device}"
        answers = f"{named(subject.model, subject.variant)} with {lane}, parity,"
        yield answers, "stands", "", shard.run_id
        yield whose, "datasets", who, f"{asked.dataset} {asked.dataset_sha256}"
        yield whose, "batch sizes", who, str(asked.batch_size)
        yield whose, "seeds", who, str(asked.seed)
        yield f"{whose}{_otherwise(subject.lane)}", *_keras(who, worker)


def _series(shards: Shards) -> Iterator[Fact]:
    """Launches of two runs, perhaps of two machines, are never one sample."""
    for shard in shards.speed:
        for record in shard.payload.lanes:
            for workload in shard.payload.workloads:
                lane = f"{record.lane.lane} on {record.lane.device}"
                yield f"{workload_name(workload)} with {lane}", "was timed", "", shard.run_id


def _launches(shards: Shards) -> Iterator[Fact]:
    """Those of a run are pooled, so of one thing."""
    for shard in shards.speed:
        run, launch = f"run {shard.run_id}", shard.payload
        protocol, who = shards.plans[shard.run_id].protocol, f"launch {launch.launch}"
        yield run, "datasets", "the plan", f"{protocol.dataset} {protocol.dataset_sha256}"
        yield run, "datasets", who, f"{launch.dataset} {launch.dataset_sha256}"
        for whose, what, value in _of_lanes(shard):
            yield f"{run}{whose}", what, who, value


def _of_lanes(shard: SpeedShard) -> Iterator[tuple[str, str, str]]:
    for record in shard.payload.lanes:
        lane = f", {record.lane.lane} on {record.lane.device}"
        # A twin may have a slowdown injected on purpose, which is a setting of its own.
        worker = f"{lane} (twin)" if record.lane.twin else lane
        if record.worker is not None:
            keras = record.worker.versions["keras"]
            yield _otherwise(record.lane.lane), "Keras versions", keras
            yield worker, "settings", json.dumps(record.worker.settings, sort_keys=True)
        for prepared in record.preparations:
            costs, model = prepared.costs, f", {prepared.model}"
            if costs is not None:
                yield model, "initial weights", costs.weights_sha256
                yield model, "parameters", str(costs.parameters)
                variant = f"{lane}{model} {prepared.variant}"
                yield variant, "jit_compile", str(costs.jit_compile)


def _all_launches(shards: Shards) -> Iterator[Fact]:
    """All launches are of one dataset and Keras."""
    for shard in shards.speed:
        who = f"run {shard.run_id}"
        yield "", "dataset hashes", who, shard.payload.dataset_sha256
        for record in shard.payload.lanes:
            if record.worker is not None:
                whose = _otherwise(record.lane.lane).strip()
                yield whose, "Keras versions", who, record.worker.versions["keras"]


def _places(shards: Shards) -> Iterator[Fact]:
    """A run is of one machine, and what a backend did there is of the same versions."""
    for launch in shards.speed:
        told, part = launch.payload, f"launch {launch.payload.launch}"
        run, machine = f"run {launch.run_id}", told.machine
        yield run, "machines", part, f"{machine.id} ({machine.kind})"
        for record in told.lanes:
            lane = f"{run}, {record.lane.lane} on {record.lane.device}"
            if record.worker is not None:
                versions = json.dumps(record.worker.versions, sort_keys=True)
                yield lane, "versions", part, versions
    attempts: list[AccuracyShard | ParityShard] = [*shards.accuracy, *shards.parity]
    for shard in attempts:
        attempt, run = shard.payload, f"run {shard.run_id}"
        who = attempt.cell if isinstance(attempt, Accuracy) else attempt.subject
        machine = attempt.machine
        if shard.run_id not in shards.farmed:  # whose errors and answers may be of several
            yield run, "machines", shard.shard_id, f"{machine.id} ({machine.kind})"
        if attempt.worker is not None:
            versions = json.dumps(attempt.worker.versions, sort_keys=True)
            lane = f"{run}, {who.lane} on {who.device}"
            yield lane, "versions", shard.shard_id, versions
