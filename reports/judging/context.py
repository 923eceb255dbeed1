"""What the figures stand on: what was run, on what, and what differs besides the backend."""

import json
from collections.abc import Iterator

import pandas as pd

from bench.contract import troubles
from bench.contract.rungs import PROBES
from bench.contract.schema import Machine, WorkerInfo
from bench.contract.variants import STOCK, THREE
from reports.read.shards import Shards
from reports.statistics.intervals import MIN_LAUNCHES
from reports.tables import wording

_OWN_WORDS = {"devices"}
"""Settings that every framework answers in words of its own: nothing to compare."""

LEAST_STEAL_PERCENT = 0.1
LEAST_OTHERS_PERCENT, BUSY_PERCENT = 2.0, 10.0
"""Less than this is not worth a line."""


Lane = tuple[str, str]


FARMED = "; in pieces, perhaps on several machines: what trainings took is left out"


def headings(shards: Shards) -> tuple[str, ...]:
    """One line per run, and one per model of the user's in it."""
    lines = []
    for run_id, plan in shards.plans.items():
        protocol = plan.protocol
        trained = (
            f"{protocol.epochs} {'epoch' if protocol.epochs == 1 else 'epochs'}, "
            f"{plan.seeds} {'seed' if plan.seeds == 1 else 'seeds'}, "
        )
        lines.append(
            f"run {run_id}: dataset {protocol.dataset} ({protocol.train_examples:,} training and "
            f"{protocol.test_examples:,} test examples), {trained if plan.cells else ''}"
            f"batch size {protocol.batch_size}, suite {plan.suite}"
            f"{FARMED if plan.farmed else ''}"
        )
        lines += [
            f"{own.name}: {own.path}:{own.function}, SHA-256 {own.sha256[:12]}"
            for own in plan.own_models
        ]
        lines += [f"made by: {plan.command}"] if plan.command else []
    return tuple(lines)


def protocol(shards: Shards) -> str:
    """What was trained or timed: dataset, epochs and batch size."""
    told = []
    for plan in shards.plans.values():
        epochs = f", {plan.protocol.epochs} {'epoch' if plan.protocol.epochs == 1 else 'epochs'}"
        told.append(
            f"{plan.protocol.dataset}{epochs if plan.cells else ''}, batch "
            f"{plan.protocol.batch_size}"
        )
    return "; ".join(dict.fromkeys(told))


def left_out(shards: Shards) -> tuple[str, ...]:
    """The command of a longer run, and what that would tell; nothing where all was asked."""
    plans = shards.plans.values()
    trained = {cell.variant for plan in plans for cell in plan.cells}
    known = [name for name in THREE if any(name in plan.variants for plan in plans)]
    untrained = [name for name in known if trained and name not in trained]
    asked = {probe for plan in plans if plan.parity for probe in plan.parity.probes}
    rungs = [
        rung for name, one in PROBES.items() if asked and name not in asked for rung in one.rungs
    ]
    lines = []
    if untrained:
        lines.append(f"{wording.listed(untrained)} trained")
    if rungs:
        lines.append(f"rung {wording.listed(rungs)}")
    if trained and all(plan.seeds == 1 for plan in plans):
        lines.append("ten seeds")
    return (f"nox -s bench -- --suite full adds: {', '.join(lines)}.",) if lines else ()


def launch_seconds(shards: Shards) -> float:
    """What a launch of the main workloads took, on average; 0 without any."""
    made = [shard.payload for shard in shards.speed]
    fewest = min((len(launch.workloads) for launch in made), default=0)
    seconds = [
        launch.start_seconds + launch.warm_up_seconds + launch.measuring_seconds
        for launch in made
        if len(launch.workloads) == fewest
    ]
    return sum(seconds) / len(seconds) if seconds else 0.0


def ledger(shards: Shards) -> pd.DataFrame:
    """One row per backend, device and machine: versions and machine."""
    rows = {}
    for worker, machine in workers(shards):
        versions = worker.versions
        rows[worker.lane, worker.device, machine.id] = {
            "lane": worker.lane,
            "version": versions[worker.backend],
            "keras": versions["keras"],
            "numpy": versions["numpy"],
            "python": versions["python"],
            "device": worker.device,
            "machine": f"{machine.kind}, {machine.system}",
        }
    names = ["lane", "version", "keras", "numpy", "python", "device", "machine"]
    return pd.DataFrame(rows.values(), columns=names)


def troubles_met(shards: Shards) -> tuple[str, ...]:
    """What is known to go wrong with the versions of the runs, a line each."""
    precisions = {
        shard.payload.facts.identity.precision or "float32"
        for shard in shards.parity
        if shard.payload.facts.identity
    }
    return tuple(
        dict.fromkeys(
            trouble.told(worker.versions)
            for worker, _ in workers(shards)
            for precision in precisions | {"float32"}
            for trouble in troubles.of_versions(worker.versions, worker.device, precision)
        )
    )


def differences(shards: Shards) -> tuple[str, ...]:
    """What lanes do not have in common besides their backend, a line for each thing.

    Only what at least two lanes have a word for is compared.
    """
    facts: dict[str, dict[Lane, str]] = {}
    for worker, _ in workers(shards):
        versions = {name: worker.versions[name] for name in ("keras", "numpy", "python")}
        for name, value in {**versions, **worker.settings}.items():
            if name not in _OWN_WORDS:
                facts.setdefault(name, {})[worker.lane, worker.device] = _shown(value)
    facts["jit_compile"] = {
        lane: _shown(models if len(set(models.values())) > 1 else next(iter(models.values())))
        for lane, models in _jit_compile(shards).items()
    }
    return tuple(
        f"{name}: " + ", ".join(f"{backend} {value}" for (backend, _), value in lanes.items())
        for name, lanes in facts.items()
        if len(set(lanes.values())) > 1
    )


def machine_states(shards: Shards) -> tuple[str, ...]:
    """One line per run: how its machine was when its launches began."""
    lines = []
    for run in shards.plans:
        name = f"run {run}: " if len(shards.plans) > 1 else ""
        states = [shard.payload.state for shard in shards.speed if shard.run_id == run]
        if not states:
            continue
        loads = [state.load for state in states]
        free = min(state.memory_available_mib for state in states)
        governors = {state.governor or "unknown" for state in states}
        cores = {str(core) for state in states for core in state.affinity}
        lines.append(
            f"{name}as launches began: load {min(loads):.1f} to {max(loads):.1f}, "
            f"at least {free:,} MiB free, governor {'/'.join(sorted(governors))}, "
            f"{len(cores)} {'core' if len(cores) == 1 else 'cores'}"
        )
        if unseen := dict.fromkeys(what for state in states for what in state.unseen):
            lines.append(f"{name}not to be seen here: {wording.listed(list(unseen))}")
    return tuple(lines)


def quota_lines(shards: Shards) -> tuple[str, ...]:
    """One line per run whose machine was not ours alone by its control group's quota."""
    lines = []
    for run in shards.plans:
        launches = [shard.payload for shard in shards.speed if shard.run_id == run]
        if not launches or (quota := launches[0].machine.quota_cpus) is None:
            continue
        seen = [each.evidence for launch in launches for each in launch.rounds]
        stopped, periods = sum(e.throttled_periods for e in seen), sum(e.periods for e in seen)
        cores = launches[0].machine.cores
        remedy = ". With no more cores than the quota has (taskset -c 0 for one) they are not"
        lines.append(
            f"{f'run {run}: ' if len(shards.plans) > 1 else ''}a quota allows {quota:g} CPUs: "
            f"frameworks start as many threads as there are cores ({cores}), and all of them were "
            f"stopped in {stopped:,} of {periods:,} periods{remedy if stopped else ''}"
        )
    return tuple(lines)


def steal_lines(samples: pd.DataFrame) -> tuple[str, ...]:
    """One line per run from whose turns a hypervisor took anything.

    Args:
        samples: Usable ones, as `reports.tables.samples` makes them.
    """
    by_run = samples.groupby("run")
    lines = []
    for run, turns in by_run:
        taken = turns["steal_percent"]
        if taken.mean() >= LEAST_STEAL_PERCENT:
            off = "" if turns["launch"].nunique() >= MIN_LAUNCHES else "not "
            lines.append(
                f"{f'run {run}: ' if len(by_run) > 1 else ''}the hypervisor took "
                f"{taken.mean():.1f} % of the CPU on average, {taken.max():.0f} % of a turn at "
                f"most; what it cost each backend is {off}taken off"
            )
    return tuple(lines)


def others_lines(rounds: pd.DataFrame) -> tuple[str, ...]:
    """One line per run beside which other processes worked; it begins with BUSY if they did much.

    Args:
        rounds: As `reports.tables.samples` makes them; those that are void count too.
    """
    by_run = rounds.groupby("run")["others_percent"]
    lines = []
    for run, used in by_run:
        if used.mean() >= LEAST_OTHERS_PERCENT:
            busy = used.mean() >= BUSY_PERCENT
            lines.append(
                f"{'BUSY: ' if busy else ''}{f'run {run}: ' if len(by_run) > 1 else ''}other "
                f"processes used {used.mean():.0f} % of the CPU on average; backends suffer from "
                "that unequally, and nothing is taken off"
                f"{': measure again when they are done' if busy else ''}."
            )
    return tuple(lines)


def workers(shards: Shards) -> Iterator[tuple[WorkerInfo, Machine]]:
    """Every worker that said who it is, and where it ran."""
    for launch in shards.speed:
        for record in launch.payload.lanes:
            if record.worker is not None:
                yield record.worker, launch.payload.machine
    for shard in shards.accuracy:
        if shard.payload.worker is not None:
            yield shard.payload.worker, shard.payload.machine
    for answers in shards.parity:
        if answers.payload.worker is not None:
            yield answers.payload.worker, answers.payload.machine


def _jit_compile(shards: Shards) -> dict[Lane, dict[str, bool]]:
    found: dict[Lane, dict[str, bool]] = {}
    for shard in shards.accuracy:
        cell, training = shard.payload.cell, shard.payload.training
        if training is not None and cell.variant == STOCK:
            found.setdefault((cell.lane, cell.device), {})[cell.model] = training.jit_compile
    for launch in shards.speed:
        for record in launch.payload.lanes:
            for prepared in record.preparations:
                lane = record.lane.lane, record.lane.device
                if prepared.costs is not None and prepared.variant == STOCK:
                    found.setdefault(lane, {})[prepared.model] = prepared.costs.jit_compile
    return found


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
