"""What stands in a shard, field by field; see docs/architecture.md.

Speed and parity shards have `bench/contract/speed_schema.py` and `bench/contract/parity_schema.py`.
"""

from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from bench.contract.limits import MOST_LANES

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.@+_-]{0,63}\Z")]
ShardId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.@+_-]{0,191}\Z")]
"""As `bench.coordinator.run_folder` writes them: names of several things in a row."""

Version = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

# Bounded, so that no sum or quotient of what a file claims leaves the range of a table's columns.
Count = Annotated[int, Meta(ge=0, le=2**53)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]
Amount = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=1e-9, le=1e9)]
Text = Annotated[str, Meta(max_length=20_000)]
Setting = bool | int | float | Text | list[Text | int] | None
LongText = Annotated[str, Meta(max_length=2_000_000)]
"""Of a deep model's configuration; escaped as JSON, a line of the pipe still takes it."""


MEMORY = 0.05
"""Share by which what a kernel leaves of a machine's memory may differ."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all that stands in a shard: nothing unknown, nothing missing."""


class Cell(Record, frozen=True):
    """Which model, variant, lane, device and seed."""

    model: Id
    variant: Id
    lane: Id
    device: Id
    seed: Count


class Protocol(Record, frozen=True):
    """What must be equal before two results may stand side by side."""

    dataset: Id
    dataset_sha256: Sha256
    train_examples: Positive
    test_examples: Positive
    epochs: Positive
    batch_size: Positive


class Workload(Record, frozen=True):
    """What one slot does. A prediction of batch size 1 is the latency of a single call."""

    model: Id
    variant: Id
    phase: Id
    batch_size: Positive

    @property
    def is_latency(self) -> bool:
        """Whether its calls are timed one by one."""
        return self.phase == "predict" and self.batch_size == 1


class Lane(Record, frozen=True):
    """A lane by its name; a twin is a second worker of it, for measuring A against A."""

    lane: Id
    device: Id
    twin: bool


class SpeedPlan(Record, frozen=True):
    """What is measured in turn; `launches` each workload has, or with a budget at most so many."""

    workloads: Annotated[list[Workload], Meta(max_length=1000)]
    lanes: Annotated[list[Lane], Meta(max_length=MOST_LANES)]
    launches: Positive
    rounds: Positive
    precision_percent: Seconds | None
    budget_seconds: Seconds | None


class Subject(Record, frozen=True):
    """One model in one lane, whose answers are checked."""

    model: Id
    variant: Id
    lane: Id
    device: Id


class ParityPlan(Record, frozen=True):
    """Who is asked what."""

    subjects: Annotated[list[Subject], Meta(max_length=500)]
    probes: Annotated[list[Id], Meta(max_length=20)]


class OwnModel(Record, frozen=True):
    """A model that is not a shipped one: its file and function, and the hash of the file."""

    name: Id
    path: Text
    function: Text
    sha256: Sha256


class LaneSetup(Record, frozen=True):
    """A lane, and what is otherwise in it than in its backend as pinned.

    Attributes:
        name: Of the lane.
        requirements: Laid over the pins, as pip takes them.
        python: Version or path of an interpreter of its own; empty for the one of all.
        environment: Variables that it has beyond all others.
        precision: Keras's dtype policy; empty for float32.
    """

    name: Id
    requirements: list[Text] = []
    python: Text = ""
    environment: dict[Id, Text] = {}
    precision: Text = ""


class Plan(Record, frozen=True):
    """What a run set out to do; each of its cells and series must be there in the end.

    `command` repeats it, and is empty in runs from before it was kept. Of one that was `farmed`
    out, trainings and answers may be of several machines, and what trainings took says nothing.
    `model_notes` say what was chosen for models that do not declare it, and where they could not
    be built.
    """

    suite: Id
    models: Annotated[list[Id], Meta(max_length=1000)]
    variants: Annotated[list[Id], Meta(max_length=100)]
    own_models: Annotated[list[OwnModel], Meta(max_length=1000)]
    model_notes: Annotated[list[Text], Meta(max_length=1000)]
    lanes: Annotated[list[LaneSetup], Meta(max_length=20)]
    device: Id
    seeds: Positive
    protocol: Protocol
    dataset_note: Text
    cells: Annotated[list[Cell], Meta(max_length=10000)]
    speed: SpeedPlan | None
    parity: ParityPlan | None
    command: Text = ""
    farmed: bool = False


class Machine(Record, frozen=True):
    """Where a cell ran.

    `id` is equal on one machine only: for ever where its `identity` is `named` or `hardware`, until
    it starts anew where that is `boot`; from before this was kept it is `unknown`. Of its `cores`
    a quota may allow fewer CPU seconds per second.
    """

    id: Id
    cpu_model: Text
    cores: Positive
    memory_mib: Positive
    system: Text
    identity: Literal["named", "hardware", "boot", "unknown"] = "unknown"
    quota_cpus: Seconds | None = None

    @property
    def kind(self) -> str:
        """What it has in common with machines that may be expected to be as fast."""
        cores = f"{self.cores} {'core' if self.cores == 1 else 'cores'}"
        limited = f", a quota of {self.quota_cpus:g} CPUs" if self.quota_cpus else ""
        return f"{self.cpu_model}, {cores}{limited}"

    def same_as(self, other: Self) -> bool:
        """Whether speeds of both may stand side by side: one machine, with as much of it usable."""
        alike = (self.id, self.kind) == (other.id, other.kind)
        return alike and abs(self.memory_mib - other.memory_mib) <= MEMORY * other.memory_mib


class WorkerInfo(Record, frozen=True):
    """What a worker said of itself, and in which lane it was started.

    `distributions` are all that are installed, with versions, and of what came from a folder or a
    file a hash of its files; `installed_mib` is their size on disk. Runs from before either
    was kept have none.
    """

    lane: Id
    backend: Id
    device: Id
    versions: dict[Id, Version]
    settings: dict[Id, Setting]
    prefix: Text
    floatx: Id
    epsilon: float
    image_data_format: Id
    import_seconds: Seconds
    distributions: dict[Text, Text] = {}
    installed_mib: Amount | None = None


def missing_versions(worker: WorkerInfo, backend: str) -> list[str]:
    """Of what every worker of a backend has to name the version, and this one does not."""
    return sorted({"keras", "numpy", "python", backend} - worker.versions.keys())


class Epoch(Record, frozen=True):
    """One epoch. A loss that was no finite number is None, and accuracy of no classifier.

    `feed_seconds` is for putting the epoch's batches in their order; `steal_seconds` is CPU time
    that the hypervisor took from all our cores during `train_seconds`.
    """

    epoch: Positive
    feed_seconds: Seconds
    train_seconds: Seconds
    steal_seconds: Amount
    test_seconds: Seconds
    train_loss: float | None
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: Share | None


class Training(Record, frozen=True):
    """What a worker said of one training; see `bench.worker.training.train`."""

    parameters: Positive
    weights_sha256: Sha256
    batches_sha256: Sha256
    steps: Positive
    load_seconds: Seconds
    build_seconds: Seconds
    first_step_seconds: Seconds
    second_step_seconds: Seconds
    peak_rss_mib: Seconds
    jit_compile: bool
    epochs: Annotated[list[Epoch], Meta(min_length=1)]


class Accuracy(Record, frozen=True):
    """One attempt at one cell.

    `wall_seconds` is the coordinator's, from the start of the process to its last answer, and
    `start_seconds` the part of it before the worker began to import Keras; None after a failure.
    """

    cell: Cell
    protocol: Protocol
    machine: Machine
    status: Id
    error: Text | None
    log: Text | None
    wall_seconds: Seconds | None
    start_seconds: Seconds | None
    worker: WorkerInfo | None
    training: Training | None
    arrays_sha256: Sha256 | None = None


class Images(Record, frozen=True):
    """The test set of a run that trains, for looking at what backends disagree on."""

    dataset: Id
    dataset_sha256: Sha256
    arrays_sha256: Sha256 = ""


class Envelope(Record, frozen=True):
    """What every shard is wrapped in."""

    schema: Positive
    kind: Id
    run_id: Id
    shard_id: ShardId
    sha256: Sha256
    payload: dict[str, Any]
