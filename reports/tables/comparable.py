"""Whether results may stand side by side at all."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

from bench.contract.schema import Accuracy, Cell, Machine, WorkerInfo
from reports.read.shards import AccuracyShard, ParityShard, Shards, SpeedShard
from reports.tables.samples import workload_name
from reports.tables.wording import named


class NotComparableError(ValueError):
    """Results that may not stand side by side; the message says why."""


def check(shards: Shards) -> None:
    """See that what stands side by side had the same inputs.

    Raises:
        NotComparableError: Protocol, dataset, test labels, initial weights, batches or Keras
            differ; a model of the user's has changed from one run to another; a cell, a subject or
            a lane's workload stands in two runs; or parts of one run were made on another machine,
            by another version or with other settings.
    """
    _check_models(shards)
    _check_cells(shards)
    _check_subjects(shards)
    _check_one_run_each(shards)
    _check_launches(shards)
    _check_places(shards)


def _check_models(shards: Shards) -> None:
    """A name stands for one file and function; a shipped model has no file."""
    known: dict[str, tuple[str, tuple[str, str] | None]] = {}
    for run, plan in shards.plans.items():
        files = {own.name: (own.sha256, own.function) for own in plan.own_models}
        for model in plan.models:
            other, expected = known.setdefault(model, (run, files.get(model)))
            if files.get(model) != expected:
                raise NotComparableError(f"{model} is another model in run {run} than in {other}")


def _check_places(shards: Shards) -> None:
    """A run is of one machine, and what a backend did there is of the same versions."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for run, part, machine, backend, worker in _parts(shards):
        facts = {(f"run {run}", "machines"): f"{machine.id} ({machine.cpu_model})"}
        if worker is not None:
            versions = json.dumps(worker.versions, sort_keys=True)
            facts[f"run {run}, {backend}", "versions"] = versions
        for (name, what), value in facts.items():
            other, expected = known.setdefault((name, what), (part, value))
            if value != expected:
                raise NotComparableError(
                    f"{name}: {what} differ ({other}: {expected}, {part}: {value})"
                )


def _parts(shards: Shards) -> Iterator[tuple[str, str, Machine, str, WorkerInfo | None]]:
    """Run, part of it, and who made that where."""
    for launch in shards.speed:
        told, part = launch.payload, f"launch {launch.payload.launch}"
        for record in told.lanes:
            lane = f"{record.lane.backend} on {record.lane.device}"
            yield launch.run_id, part, told.machine, lane, record.worker
    attempts: list[AccuracyShard | ParityShard] = [*shards.accuracy, *shards.parity]
    for shard in attempts:
        attempt = shard.payload
        who = attempt.cell if isinstance(attempt, Accuracy) else attempt.subject
        lane = f"{who.backend} on {who.device}"
        yield shard.run_id, shard.shard_id, attempt.machine, lane, attempt.worker


def _check_cells(shards: Shards) -> None:
    runs: dict[Cell, str] = {}
    for shard in shards.accuracy:
        cell = shard.payload.cell
        known = runs.setdefault(cell, shard.run_id)
        if known != shard.run_id:
            raise NotComparableError(
                f"{named(cell.model, cell.variant)} with {cell.backend} on {cell.device}, seed "
                f"{cell.seed}, stands in two runs: {known} and {shard.run_id}"
            )
    # What the seed does not change must be equal over all seeds; the rest for each seed.
    by_model: dict[str, list[AccuracyShard]] = {}
    by_seed: dict[str, list[AccuracyShard]] = {}
    for shard in shards.accuracy:
        cell = shard.payload.cell
        by_model.setdefault(f"{cell.model} {cell.variant}", []).append(shard)
        by_seed.setdefault(f"{cell.model} {cell.variant}, seed {cell.seed}", []).append(shard)
    for groups, inputs in ((by_model, _fixed_inputs), (by_seed, _seeded_inputs)):
        for name, group in groups.items():
            _check_equal(name, group, inputs)


def _check_subjects(shards: Shards) -> None:
    """Answers on one model are to the same questions, under one Keras, and each once."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for shard in shards.parity:
        asked, subject = shard.payload, shard.payload.subject
        facts = {
            f"answers of {named(subject.backend, subject.variant)} on {subject.device}": (
                shard.run_id
            ),
            "datasets": f"{asked.dataset} {asked.dataset_sha256}",
            "batch sizes": str(asked.batch_size),
            "seeds": str(asked.seed),
        }
        if asked.worker is not None:
            facts["Keras versions"] = asked.worker.versions["keras"]
        for what, value in facts.items():
            who = f"{subject.backend} in run {shard.run_id}"
            other, expected = known.setdefault((subject.model, what), (who, value))
            if value != expected:
                raise NotComparableError(
                    f"{subject.model}, parity: {what} differ ({other}: {expected}, {who}: {value})"
                )


def _check_equal(
    name: str,
    group: Sequence[AccuracyShard],
    inputs: Callable[[AccuracyShard], dict[str, str | None]],
) -> None:
    for what in inputs(group[0]):
        values: dict[str, str] = {}
        for shard in group:
            value = inputs(shard)[what]
            if value is not None:
                values[value] = f"{shard.payload.cell.backend} in run {shard.run_id}"
        if len(values) > 1:
            told = ", ".join(f"{lane}: {value}" for value, lane in values.items())
            raise NotComparableError(f"{name}: {what} differ ({told})")


def _fixed_inputs(shard: AccuracyShard) -> dict[str, str | None]:
    """What must be equal wherever the model is; None where a failed worker never said."""
    protocol, worker, labels = shard.payload.protocol, shard.payload.worker, shard.labels
    return {
        "datasets": protocol.dataset,
        "dataset hashes": protocol.dataset_sha256,
        "protocols": (
            f"{protocol.epochs} epochs of {protocol.train_examples} by {protocol.batch_size}, "
            f"tested on {protocol.test_examples}"
        ),
        "test labels": None if labels is None else hashlib.sha256(labels.tobytes()).hexdigest(),
        "Keras versions": worker.versions["keras"] if worker else None,
    }


def _seeded_inputs(shard: AccuracyShard) -> dict[str, str | None]:
    """What must be equal on all backends that trained from the same seed."""
    training = shard.payload.training
    return {
        "initial weights": training.weights_sha256 if training else None,
        "batches": training.batches_sha256 if training else None,
    }


def _check_one_run_each(shards: Shards) -> None:
    """Launches of two runs, perhaps of two machines, are never one sample."""
    runs: dict[tuple[str, str], str] = {}
    for shard in shards.speed:
        for record in shard.payload.lanes:
            for workload in shard.payload.workloads:
                name, lane = workload_name(workload), record.lane
                known = runs.setdefault((name, f"{lane.backend} on {lane.device}"), shard.run_id)
                if known != shard.run_id:
                    raise NotComparableError(
                        f"{name} with {lane.backend} on {lane.device} was timed in two runs: "
                        f"{known} and {shard.run_id}"
                    )


def _check_launches(shards: Shards) -> None:
    """All launches are of one dataset and Keras; those of a run are pooled, so of one thing."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for shard in shards.speed:
        protocol = shards.plans[shard.run_id].protocol
        known[shard.run_id, "datasets"] = (
            "the plan",
            f"{protocol.dataset} {protocol.dataset_sha256}",
        )
    for shard in shards.speed:
        for name, what, value in _launch_inputs(shard):
            who = f"launch {shard.payload.launch}"
            other, expected = known.setdefault((name, what), (who, value))
            if value != expected:
                raise NotComparableError(
                    f"run {name}: {what} differ ({other}: {expected}, {who}: {value})"
                )
    for shard in shards.speed:
        workers = [record.worker for record in shard.payload.lanes if record.worker is not None]
        in_all_runs = [("dataset hashes", shard.payload.dataset_sha256)]
        in_all_runs += [("Keras versions", worker.versions["keras"]) for worker in workers]
        for what, value in in_all_runs:
            other, expected = known.setdefault(("", what), (f"run {shard.run_id}", value))
            if value != expected:
                raise NotComparableError(
                    f"{what} differ ({other}: {expected}, run {shard.run_id}: {value})"
                )


def _launch_inputs(shard: SpeedShard) -> Iterator[tuple[str, str, str]]:
    """For whom, what, and its value: each must be the same in all launches."""
    run, launch = shard.run_id, shard.payload
    yield run, "datasets", f"{launch.dataset} {launch.dataset_sha256}"
    for record in launch.lanes:
        lane = f"{run}, {record.lane.backend} on {record.lane.device}"
        # A twin may have a slowdown injected on purpose, which is a setting of its own.
        worker = f"{lane} (twin)" if record.lane.twin else lane
        if record.worker is not None:
            yield run, "Keras versions", record.worker.versions["keras"]
            yield worker, "settings", json.dumps(record.worker.settings, sort_keys=True)
        for prepared in record.preparations:
            costs, variant = prepared.costs, f"{prepared.model} {prepared.variant}"
            if costs is not None:
                yield f"{run}, {prepared.model}", "initial weights", costs.weights_sha256
                yield f"{run}, {prepared.model}", "parameters", str(costs.parameters)
                yield f"{lane}, {variant}", "jit_compile", str(costs.jit_compile)
