"""Speed in the coordinator: launches of all lanes, measured in turn; a shard for each launch."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

import msgspec

from bench.contract import schema
from bench.contract.errors import WorkerError
from bench.contract.speed_schema import Anchor as AnchorRecord
from bench.contract.speed_schema import (
    Calibrated,
    Evidence,
    LaneRecord,
    Preparation,
    Prepared,
    Round,
    Sample,
    Speed,
    Usage,
    WarmUp,
)
from bench.contract.units import Lane, SlotsRequest, Workload
from bench.coordinator.fleet import Fleet, Member
from bench.coordinator.records import checked, invalid, this_machine
from bench.coordinator.speed import evidence, turn_order
from bench.coordinator.speed.matmul_anchor import Anchor
from bench.inputs.datasets import Dataset
from bench.planning.plan import Plan
from bench.process.system import usable_cores

# A slot should last at least so long beyond one step: long enough that its one host read does not
# matter, short enough that the machine is the same for all lanes of a round.
SLOT_SECONDS = {"train": 0.18, "evaluate": 0.1, "predict": 0.1}
# Threads of the lane before, which spin a little after their work, come to rest. Those of the
# matrix product spin for 60 ms, in which a torch step took 110 ms instead of 45.
SETTLE_SECONDS = 0.01
ANCHOR_SETTLE_SECONDS = 0.15

# By lane and device: a twin has the slots of its original.
Steps = dict[tuple[str, str, Workload], int]
Tell = Callable[[str], None]


@dataclass
class _Timed(Member):
    """A lane while its launch lives."""

    index: int = 0
    preparations: list[Preparation] = field(default_factory=list)
    warm_ups: list[WarmUp] = field(default_factory=list)

    def prepare(self, request: SlotsRequest) -> None:
        """Greet it, and have it build all models."""
        self.greet()
        if self.lane.slowdown != 1 and self.info is not None:
            self.info.settings["injected_slowdown"] = self.lane.slowdown
            request = replace(request, slowdown=self.lane.slowdown)
        told = self.ask("prepare", asdict(request), Prepared)
        if told is None:
            return
        if {(p.model, p.variant) for p in told.preparations} != {
            (model.name, model.variant) for model in request.models
        }:
            self.fail(invalid(self.lane, "prepared other models than it was asked to"))
            return
        self.preparations = told.preparations

    def warm_up(self, index: int, workload: Workload, steps: Steps) -> None:
        """Bring one workload to its steady state, and fix its slot if that is still open."""
        slot, arguments = self.slot(workload), {"workload": asdict(workload)}
        known = {**arguments, "steps": steps.get(slot, 0)}
        if (done := self.ask("warm_up", known, WarmUp, workload=index)) is not None:
            self.warm_ups.append(done)
        if slot not in steps:
            seconds = SLOT_SECONDS[workload.phase]
            found = self.ask("calibrate", {**arguments, "seconds": seconds}, Calibrated)
            if found is not None:
                steps[slot] = found.steps

    def slot(self, workload: Workload) -> tuple[str, str, Workload]:
        """Key of the steps of its slots."""
        return self.lane.name, self.lane.device, workload

    def can(self, workload: Workload) -> bool:
        """Whether its model could be prepared in this variant."""
        wanted = (workload.model, workload.variant)
        failed = {(p.model, p.variant) for p in self.preparations if p.error is not None}
        return wanted not in failed

    def record(self) -> LaneRecord:
        """What became of it."""
        usage = self.ask("usage", {}, Usage)
        return LaneRecord(
            lane=lane_record(self.lane),
            worker=self.info,
            preparations=self.preparations,
            warm_ups=self.warm_ups,
            peak_rss_mib=usage.peak_rss_mib if usage else None,
            **self.ended,
        )


def run_launch(
    number: int,
    plan: Plan,
    lanes: Sequence[Lane],
    workloads: Sequence[Workload],
    dataset: Dataset,
    steps: Steps,
    tell: Tell,
) -> Speed:
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
        The launch's shard.
    """
    begun = time.monotonic()
    state = evidence.state(usable_cores())
    phases: dict[tuple[str, str], list[str]] = {}
    for workload in workloads:
        phases.setdefault((workload.model, workload.variant), []).append(workload.phase)
    request = SlotsRequest(
        [dataset.request(model, variant) for model, variant in phases],
        list(phases.values()),
        seed=0,
        batch_size=plan.batch_size,
        slowdown=1.0,
    )
    tell("starting all lanes")
    everyone = [_Timed(lane, index=index) for index, lane in enumerate(lanes)]
    with Fleet(everyone, plan.timeout_seconds) as fleet:
        members = [member for member in everyone if member.error is None]
        fleet.each(lambda member: member.prepare(request), members)
        prepared = time.monotonic()
        for index, workload in enumerate(workloads):
            tell(f"warming up {workload.id}")
            for member in members:
                if member.can(workload):
                    member.warm_up(index, workload, steps)
        warm = time.monotonic()
        rounds, anchors = _measure(number, plan, members, workloads, steps, tell)
        measured = time.monotonic()
        records = [member.record() for member in everyone]
    return Speed(
        launch=number,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        machine=this_machine(),
        state=state,
        workloads=[
            msgspec.convert(workload, schema.Workload, from_attributes=True)
            for workload in workloads
        ],
        lanes=records,
        rounds=rounds,
        anchor=anchors,
        start_seconds=prepared - begun,
        warm_up_seconds=warm - prepared,
        measuring_seconds=measured - warm,
        planned_rounds=plan.rounds,
    )


def lane_record(lane: Lane) -> schema.Lane:
    """A lane as shards name it."""
    return schema.Lane(lane.name, lane.device, lane.twin)


def lane_names(launch: Speed) -> list[str]:
    """Names of the lanes that took part in a launch."""
    return [_name(record) for record in launch.lanes]


def failed_lanes(launch: Speed) -> dict[str, str]:
    """Status of the lanes that did not live to the end of a launch, by name."""
    return {_name(record): record.status for record in launch.lanes if record.status != "ok"}


def known_steps(launches: Sequence[Speed]) -> Steps:
    """Steps of each slot as earlier launches of the run fixed them."""
    steps: Steps = {}
    for launch in launches:
        for each in launch.rounds:
            workload = Workload(**msgspec.structs.asdict(launch.workloads[each.workload]))
            for sample in each.samples:
                lane = launch.lanes[sample.lane].lane
                steps.setdefault((lane.lane, lane.device, workload), sample.steps)
    return steps


def _name(record: LaneRecord) -> str:
    return Lane(record.lane.lane, record.lane.device, "", twin=record.lane.twin).id


def _measure(
    launch: int,
    plan: Plan,
    members: Sequence[_Timed],
    workloads: Sequence[Workload],
    steps: Steps,
    tell: Tell,
) -> tuple[list[Round], list[AnchorRecord]]:
    """All rounds of a launch, and what the anchor took in each.

    Rounds that something else disturbed are measured again, with numbers beyond the plan's, until
    there are as many as were planned or twice as many have been tried.
    """
    rounds: list[Round] = []
    anchors: list[AnchorRecord] = []
    if not members:
        return rounds, anchors
    anchor = Anchor()
    owed = [plan.rounds // plan.round_interval(workload) for workload in workloads]
    orders = [_orders(launch, plan, len(members), *each) for each in enumerate(owed)]
    for number in range(1, 2 * plan.rounds + 1):
        due = [
            index
            for index, workload in enumerate(workloads)
            if owed[index] and (number > plan.rounds or number % plan.round_interval(workload) == 0)
        ]
        again = number > plan.rounds
        if again and not due:
            break
        tell(f"round {number}/{plan.rounds}" if not again else "again what was disturbed")
        anchors.append(anchor.measure(number))
        time.sleep(ANCHOR_SETTLE_SECONDS)
        # Back and forth: what comes of a workload's place in the round is the same for all.
        for index in due[:: 1 if number % 2 else -1]:
            workload = workloads[index]
            order = [members[place] for place in next(orders[index])]
            slot_first = number // plan.round_interval(workload) % 2 == 0
            samples, counted = _round(slot_first, order, members, workload, steps)
            rounds.append(Round(number, index, samples, counted))
            owed[index] -= not counted.void
    return rounds, anchors


def _orders(launch: int, plan: Plan, lanes: int, index: int, count: int) -> Iterator[list[int]]:
    """Orders of a workload's `count` rounds, over launches in whole blocks; then such for more."""
    yield from turn_order.rounds(lanes, launch * count, seed=index)[(launch - 1) * count :]
    yield from turn_order.rounds(lanes, plan.rounds, seed=launch)


def _round(
    slot_first: bool,
    order: Sequence[_Timed],
    members: Sequence[_Timed],
    workload: Workload,
    steps: Steps,
) -> tuple[list[Sample], Evidence]:
    """Every living lane does the workload once."""
    samples = []
    own = dict.fromkeys((member.lane for member in members), 0.0)
    processes = [member.worker.pid for member in members]
    before = evidence.read(processes)
    for member in order:
        if not member.can(workload):
            continue
        time.sleep(SETTLE_SECONDS)
        planned = steps.get(member.slot(workload), 0)
        arguments = {"workload": asdict(workload), "steps": planned, "slot_first": slot_first}
        asked = time.perf_counter()
        told = member.call("turn", arguments)
        call_seconds = time.perf_counter() - asked
        if told is None:
            continue
        try:
            own[member.lane] += checked(told.pop("turn_cpu_seconds", None), float, member.lane)
            told |= {"lane": member.index, "call_seconds": call_seconds}
            sample = checked(told, Sample, member.lane)
            if fault := sample.fault(workload.is_latency):
                raise invalid(member.lane, fault)
            if sample.steps != planned:
                raise invalid(member.lane, f"{sample.steps} steps were done, not {planned}")
        except WorkerError as error:
            member.fail(error)
        else:
            samples.append(sample)
    after = evidence.read(processes)
    return samples, evidence.between(before, after, [own[member.lane] for member in members])
