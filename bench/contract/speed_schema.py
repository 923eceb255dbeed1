"""What stands in a speed shard, field by field: one launch of all lanes, measured in turn."""

from typing import Annotated

from msgspec import Meta

from bench.contract.schema import (
    Amount,
    Count,
    Id,
    Lane,
    Machine,
    Positive,
    Record,
    Seconds,
    Sha256,
    Text,
    WorkerInfo,
    Workload,
)

MOST_OTHERS_PERCENT = 5.0
"""Share of the CPU that other processes may take in a round. Of 48 rounds with nothing beside them
the worst had 1.4; at 6 a torch step took a quarter longer, JAX's and TensorFlow's no longer."""


ELSEWHERE = "elsewhere-"
"""How shards of launches begin that were not made on their run's own machine."""


class Costs(Record, frozen=True):
    """What a lane paid before its first slot of one model, and the model's arithmetic.

    Lanes prepare side by side, so these seconds are for information only. FLOPs are per image
    (a multiplication and an addition are two), None where a layer could not be counted.
    """

    parameters: Positive
    weights_sha256: Sha256
    jit_compile: bool
    build_seconds: Seconds
    first_step_seconds: Seconds
    second_step_seconds: Seconds
    forward_flops: Positive | None
    train_flops: Positive | None


class Preparation(Record, frozen=True):
    """A model in one of its variants before its first slot: what it cost, or why it failed."""

    model: Id
    variant: Id
    error: Text | None
    costs: Costs | None

    def __post_init__(self) -> None:
        """One of the two.

        Raises:
            ValueError: Both are there, or neither.
        """
        if (self.error is None) != (self.costs is not None):
            raise ValueError("a preparation went well and failed, or neither")


class Prepared(Record, frozen=True):
    """What a worker says of all of them; it stands in no shard, as the next two."""

    preparations: list[Preparation]


class Calibrated(Record, frozen=True):
    """How many steps a slot has."""

    steps: Positive


class Usage(Record, frozen=True):
    """What a worker has used in all."""

    peak_rss_mib: Seconds


class WarmUp(Record, frozen=True):
    """How a lane came to its steady state in one workload (an index into `workloads`)."""

    workload: Count
    steps: Positive
    seconds: Seconds
    steady: bool


class LaneRecord(Record, frozen=True):
    """One lane in one launch. Its status is `ok`, or how its worker ended."""

    lane: Lane
    status: Id
    error: Text | None
    log: Text | None
    worker: WorkerInfo | None
    preparations: list[Preparation]
    warm_ups: list[WarmUp]
    peak_rss_mib: Seconds | None


class Sample(Record, frozen=True):
    """One turn of a lane: a call of one step (None for latency) and a slot of `steps` steps.

    `seconds` and `one_step_seconds` are the worker's and of the steps alone; `outside_seconds` and
    `one_step_outside_seconds` are what the two calls took before their first step and after
    their last; `call_seconds` is what the coordinator waited for all of it. CPU seconds, page
    faults, compilations and `steal_seconds` (CPU time that the hypervisor took from all our cores
    together) are of both calls. `latencies` are the seconds of each call of a
    latency slot, else empty.
    """

    lane: Count
    steps: Positive
    seconds: Seconds
    one_step_seconds: Seconds | None
    outside_seconds: Amount
    one_step_outside_seconds: Amount
    call_seconds: Seconds
    cpu_seconds: Amount
    minor_faults: Count
    compilations: Count
    steal_seconds: Amount
    latencies: list[Seconds]

    def fault(self, latency: bool) -> str:
        """What cannot be, by whether calls were timed one by one; empty if all can."""
        if latency != (self.one_step_seconds is None):
            return "one_step_seconds must be there, except where latency is timed"
        if len(self.latencies) != (self.steps if latency else 0):
            return f"{len(self.latencies)} latencies of {self.steps} steps"
        return ""


class Evidence(Record, frozen=True):
    """What may void a round, whatever its times were: `void` says why, or is empty.

    Attributes:
        seconds: Wall time of the round.
        steal_percent: Share of the CPU time of all cores that the hypervisor took.
        throttled_seconds: How long the cgroup's quota stopped us.
        throttled_periods: In how many of its periods it did.
        periods: How many there were; none without a quota.
        suspended_seconds: How long the machine slept.
        others_percent: Share of the CPU time of all our cores that neither lanes nor coordinator
            used.
        idle_cpu_percent: The largest share of one core that a lane used outside its own turn.
    """

    seconds: Seconds
    steal_percent: Amount
    throttled_seconds: Amount
    suspended_seconds: Amount
    others_percent: Amount
    idle_cpu_percent: Amount
    throttled_periods: Count = 0
    periods: Count = 0

    @property
    def void(self) -> str:
        """Why the round does not count; empty if it does.

        Decided by what was seen beside it, fixed beforehand, and never by its times: leaving out
        what looks odd would make any two lanes as equal or as different as one likes.
        """
        reasons = {
            "suspended": self.suspended_seconds > 0.1,
            "throttled": self.throttled_seconds > 0.01 * self.seconds,
            # Counted in ticks of 10 ms: in a short round one or two of them mean nothing.
            "steal": self.steal_percent > max(20, 10 / self.seconds),
            # In less than half a second there are too few ticks for a percentage.
            "others_busy": self.others_percent > MOST_OTHERS_PERCENT and self.seconds >= 0.5,
            "idle_lane_busy": self.idle_cpu_percent > 5,
        }
        return next((reason for reason, is_so in reasons.items() if is_so), "")


class Round(Record, frozen=True):
    """Every lane did one workload once; the samples stand in the order of the turns.

    A round that a lane did not live to finish has fewer samples than there are lanes.
    """

    number: Positive
    workload: Count
    samples: list[Sample]
    evidence: Evidence


class Anchor(Record, frozen=True):
    """The anchor lane in one round: a float32 matrix product in NumPy."""

    round: Positive
    seconds: Seconds
    flops: Positive


class MachineState(Record, frozen=True):
    """How the machine was when a launch began, and what of it could not be seen."""

    load: Amount
    memory_available_mib: Count
    governor: Text | None
    affinity: Annotated[list[Count], Meta(min_length=1)]
    unseen: list[Text] = []  # noqa: RUF012 - msgspec makes a new one


class Speed(Record, frozen=True):
    """One launch: fresh workers of all lanes, measured in turn.

    Attributes:
        launch: Number of the launch, from 1.
        dataset: Name of the dataset.
        dataset_sha256: Its content.
        machine: Where.
        state: In what state the machine was.
        workloads: What was measured; rounds and warm-ups point into it.
        lanes: Who took part; samples point into it.
        rounds: In the order in which they were measured.
        planned_rounds: How many of them the launch was to have; those with higher numbers make up
            for void ones. 0 in runs from before there were such.
        anchor: One entry for each number of a round.
        start_seconds: Wall time until all lanes were prepared, side by side.
        warm_up_seconds: Wall time of the warm-ups, in turn.
        measuring_seconds: Wall time of all rounds, with the anchor and all pauses.
    """

    launch: Positive
    dataset: Id
    dataset_sha256: Sha256
    machine: Machine
    state: MachineState
    workloads: Annotated[list[Workload], Meta(min_length=1)]
    lanes: Annotated[list[LaneRecord], Meta(min_length=1)]
    rounds: list[Round]
    anchor: list[Anchor]
    start_seconds: Seconds
    warm_up_seconds: Amount
    measuring_seconds: Amount
    planned_rounds: Count = 0
