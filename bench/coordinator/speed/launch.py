"""Speed in the coordinator: launches of all lanes, measured in turn; a shard for each launch."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import psutil

from bench.contract.errors import WorkerError
from bench.contract.units import Lane, SlotsRequest, Workload
from bench.coordinator.speed import evidence, turn_order
from bench.coordinator.speed.matmul_anchor import Anchor
from bench.inputs.datasets import Dataset
from bench.planning.plan import Plan
from bench.process.worker_environment import machine
from bench.process.worker_process import Worker, failure

# A slot should last at least so long beyond one step: long enough that its one host read does not
# matter, short enough that the machine is the same for all lanes of a round.
SLOT_SECONDS = {"train": 0.18, "evaluate": 0.1, "predict": 0.1}
# Threads of the lane before, which spin a little after their work, come to rest. Those of the
# matrix product spin for 60 ms, in which a torch step took 110 ms instead of 45.
SETTLE_SECONDS = 0.01
ANCHOR_SETTLE_SECONDS = 0.15

# By backend and device: a twin has the slots of its original.
Steps = dict[tuple[str, str, Workload], int]
Tell = Callable[[str], None]


@dataclass
class _Member:
    """A lane while its launch lives."""

    index: int
    lane: Lane
    worker: Worker
    process: psutil.Process
    record: dict[str, Any]

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """Have the worker do something; None if the lane is dead or dies of it."""
        if not self.alive:
            return None
        try:
            return self.worker.call(name, arguments)
        except WorkerError as error:
            self.record |= failure(error)
            self.worker.kill()
            return None

    def slot(self, workload: Workload) -> tuple[str, str, Workload]:
        """Key of the steps of its slots."""
        return self.lane.backend, self.lane.device, workload

    def can(self, workload: Workload) -> bool:
        """Whether its model could be prepared in this variant."""
        return not any(
            (each["model"], each["variant"]) == (workload.model, workload.variant)
            for each in self.record["preparations"]
            if each["error"] is not None
        )

    @property
    def alive(self) -> bool:
        return bool(self.record["status"] == "ok")


def run_launch(
    number: int,
    plan: Plan,
    lanes: Sequence[Lane],
    workloads: Sequence[Workload],
    dataset: Dataset,
    steps: Steps,
    tell: Tell,
) -> dict[str, Any]:
    """Start fresh workers of all lanes and measure every workload in turn.

    A lane that fails is out of this launch; the others go on.

    Args:
        number: Number of the launch, from 1.
        plan: Seeds, rounds and time-outs.
        lanes: Who takes part.
        workloads: What is measured.
        dataset: What on.
        steps: Steps of a slot by lane and workload; what is missing is calibrated and added.
        tell: Takes a few words on how far it is.

    Returns:
        The payload of a shard; see `bench.contract.speed_schema.Speed`.
    """
    begun = time.monotonic()
    payload: dict[str, Any] = {
        "launch": number,
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "machine": machine(),
        "state": evidence.state(sorted(os.sched_getaffinity(0))),
        "workloads": [asdict(workload) for workload in workloads],
        "rounds": [],
        "anchor": [],
    }
    with ExitStack() as stack:
        tell("starting all lanes")
        members, records = _start(lanes, plan, dataset, workloads, stack)
        prepared = time.monotonic()
        for index, workload in enumerate(workloads):
            tell(f"warming up {workload.id}")
            for member in members:
                if member.can(workload):
                    _warm_up(member, index, workload, steps)
        warm = time.monotonic()
        _measure(number, plan, members, workloads, steps, payload, tell)
        measured = time.monotonic()
        for member in members:
            usage = member.call("usage", {})
            member.record["peak_rss_mib"] = usage["peak_rss_mib"] if usage else None
    return payload | {
        "lanes": records,
        "start_seconds": prepared - begun,
        "warm_up_seconds": warm - prepared,
        "measuring_seconds": measured - warm,
    }


def lane_names(payload: Mapping[str, Any]) -> list[str]:
    """Names of the lanes that took part in a launch."""
    return [_lane_name(record["lane"]) for record in payload["lanes"]]


def failed_lanes(payload: Mapping[str, Any]) -> dict[str, str]:
    """Status of the lanes that did not live to the end of a launch, by name."""
    return {
        _lane_name(record["lane"]): record["status"]
        for record in payload["lanes"]
        if record["status"] != "ok"
    }


def known_steps(payloads: Sequence[Mapping[str, Any]]) -> Steps:
    """Steps of each slot as earlier launches of the run fixed them."""
    steps: Steps = {}
    for payload in payloads:
        lanes = [record["lane"] for record in payload["lanes"]]
        for one in payload["rounds"]:
            workload = Workload(**payload["workloads"][one["workload"]])
            for sample in one["samples"]:
                lane = lanes[sample["lane"]]
                steps.setdefault((lane["backend"], lane["device"], workload), sample["steps"])
    return steps


def _lane_name(lane: Mapping[str, Any]) -> str:
    return Lane(lane["backend"], lane["device"], "", lane["twin"]).name


def _start(
    lanes: Sequence[Lane],
    plan: Plan,
    dataset: Dataset,
    workloads: Sequence[Workload],
    stack: ExitStack,
) -> tuple[list[_Member], list[dict[str, Any]]]:
    """Start all lanes side by side; give those that began, and the records of all."""
    records: list[dict[str, Any]] = []
    members = []
    for index, lane in enumerate(lanes):
        record: dict[str, Any] = {
            "lane": {"backend": lane.backend, "device": lane.device, "twin": lane.twin},
            "status": "ok",
            "error": None,
            "log": None,
            "worker": None,
            "preparations": [],
            "warm_ups": [],
            "peak_rss_mib": None,
        }
        records.append(record)
        try:
            worker = stack.enter_context(Worker(lane, plan.timeout_seconds))
        except WorkerError as error:
            record |= failure(error)
            continue
        members.append(_Member(index, lane, worker, psutil.Process(worker.pid), record))
    wanted = dict.fromkeys((workload.model, workload.variant) for workload in workloads)
    request = SlotsRequest(
        models=[dataset.request(model, variant) for model, variant in wanted],
        seed=0,
        batch_size=plan.batch_size,
        slowdown=1.0,
    )
    with ThreadPoolExecutor(max(1, len(members))) as pool:
        try:
            list(pool.map(lambda member: _prepare(member, request), members))
        except BaseException:  # Ctrl-C: nothing may keep the pool waiting
            for member in members:
                member.worker.kill()
            raise
    return members, records


def _prepare(member: _Member, request: SlotsRequest) -> None:
    slowdown = member.lane.slowdown
    try:
        member.record["worker"] = hello = member.worker.greet()
    except WorkerError as error:
        member.record |= failure(error)
        member.worker.kill()
        return
    if slowdown != 1:
        hello["settings"]["injected_slowdown"] = slowdown
        request = replace(request, slowdown=slowdown)
    prepared = member.call("prepare", asdict(request))
    member.record["preparations"] = prepared["preparations"] if prepared else []


def _warm_up(member: _Member, index: int, workload: Workload, steps: Steps) -> None:
    """Bring one workload of a lane to its steady state, and fix its slot if that is still open."""
    slot, arguments = member.slot(workload), {"workload": asdict(workload)}
    result = member.call("warm_up", {**arguments, "steps": steps.get(slot, 0)})
    if result is not None:
        member.record["warm_ups"].append({"workload": index, **result})
    if slot not in steps:
        seconds = SLOT_SECONDS[workload.phase]
        result = member.call("calibrate", {**arguments, "seconds": seconds})
        if result is not None:
            steps[slot] = result["steps"]


def _measure(
    launch: int,
    plan: Plan,
    members: Sequence[_Member],
    workloads: Sequence[Workload],
    steps: Steps,
    payload: dict[str, Any],
    tell: Tell,
) -> None:
    """All rounds of a launch, into `payload`."""
    if not members:
        return
    anchor = Anchor()
    orders = [
        _orders(launch, plan, len(members), index, each) for index, each in enumerate(workloads)
    ]
    for number in range(1, plan.rounds + 1):
        tell(f"round {number}/{plan.rounds}")
        payload["anchor"].append({"round": number, **anchor.measure()})
        time.sleep(ANCHOR_SETTLE_SECONDS)
        # Back and forth: what comes of a workload's place in the round is the same for all.
        for index, workload in list(enumerate(workloads))[:: 1 if number % 2 else -1]:
            if number % plan.every(workload) == 0:
                order = [members[place] for place in next(orders[index])]
                slot_first = number // plan.every(workload) % 2 == 0
                samples, counted = _round(slot_first, order, members, workload, steps)
                payload["rounds"].append(
                    {"number": number, "workload": index, "samples": samples, "evidence": counted}
                )


def _orders(
    launch: int, plan: Plan, lanes: int, index: int, workload: Workload
) -> Iterator[list[int]]:
    """Orders of a workload's rounds in one launch; over launches they go on in whole blocks."""
    count = plan.rounds // plan.every(workload)
    return iter(turn_order.rounds(lanes, launch * count, seed=index)[-count:])


def _round(
    slot_first: bool,
    order: Sequence[_Member],
    members: Sequence[_Member],
    workload: Workload,
    steps: Steps,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every living lane does the workload once."""
    samples = []
    own = dict.fromkeys((member.lane for member in members), 0.0)
    processes = [member.process for member in members]
    before = evidence.read(processes)
    for member in order:
        if not member.can(workload):
            continue
        time.sleep(SETTLE_SECONDS)
        asked = time.perf_counter()
        planned = steps.get(member.slot(workload), 0)
        arguments = {
            "workload": asdict(workload),
            "steps": planned,
            "slot_first": slot_first,
        }
        result = member.call("turn", arguments)
        if result is None:
            continue
        if result["steps"] != planned:
            error = WorkerError(
                "invalid",
                f"{member.lane.name}: {result['steps']} steps were done, not {planned}",
            )
            member.record |= failure(error)
            member.worker.kill()
            continue
        call_seconds = time.perf_counter() - asked
        own[member.lane] += result.pop("turn_cpu_seconds")
        samples.append({"lane": member.index, **result, "call_seconds": call_seconds})
    after = evidence.read(processes)
    return samples, evidence.between(before, after, [own[member.lane] for member in members])
