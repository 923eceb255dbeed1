"""What is asked of workers: cells, lanes, workloads and requests, as frozen dataclasses.

And what they say of a model, before there is a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict, TypeVar

from bench.contract.backends import backend_of
from bench.contract.variants import STOCK

PHASES = ("train", "evaluate", "predict")


class _Work(Protocol):
    @property
    def variant(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def batch_size(self) -> int: ...


W = TypeVar("W", bound=_Work)


@dataclass(frozen=True)
class Cell:
    """One model trained by one backend from one seed: a row of the accuracy table."""

    model: str
    variant: str
    lane: str
    device: str
    seed: int

    @property
    def id(self) -> str:
        """Name of the cell in shard files and test ids."""
        return f"{self.model}-{self.variant}-{self.lane}-{self.device}-seed{self.seed}"


@dataclass(frozen=True)
class ModelRequest:
    """Everything a worker needs to build a model, to feed it and to give it its first weights.

    Attributes:
        name: What tables call it.
        source: What `models.build` takes.
        data: Path of the prepared dataset (npz); empty where there is none yet.
        data_sha256: What `bench.inputs.datasets.content_sha256` gives for it.
        scale: What pixels, which are stored as bytes, are divided by.
        part: What the model's arrays in the dataset begin with, where each model has its own.
        kept: Numbers of the weights that stay as they were built: NumPy does not draw them.
        shared: Path of an npz with weights that would differ between backends, `<seed>.<number>`;
            empty where there are none.
        variant: See `bench.contract.variants`.
    """

    name: str
    source: str
    data: str
    data_sha256: str
    scale: int = 1
    part: str = ""
    kept: Sequence[int] = ()
    shared: str = ""
    variant: str = STOCK


@dataclass(frozen=True)
class TrainingRequest:
    """Everything a worker needs for training one cell; sent over the wire as it is.

    Attributes:
        model: What to train.
        seed: Seed of the initial weights and of every epoch's batch order.
        epochs: How many epochs to train.
        batch_size: Examples in a step; the last step of an epoch may be smaller.
        train_examples: Train on the first so many examples only; None takes all.
        predictions: Path of the npz that the worker writes: of a classifier `probabilities`,
            float32, shape (test examples, classes), of others nothing.
    """

    model: ModelRequest
    seed: int
    epochs: int
    batch_size: int
    train_examples: int | None
    predictions: str


@dataclass(frozen=True)
class Workload:
    """What one slot does: a phase of a model at a batch size.

    A prediction of batch size 1 stands for latency: its calls are timed one by one.
    """

    model: str
    variant: str
    phase: str
    batch_size: int

    @property
    def id(self) -> str:
        """Name of the workload in test ids."""
        return f"{self.model}-{self.variant}-{self.phase}-batch{self.batch_size}"

    @property
    def is_latency(self) -> bool:
        """Whether single calls are timed."""
        return self.phase == "predict" and self.batch_size == 1


MAIN, BESIDE = "main", "beside"
"""Names of what is measured together: the main workloads, and all others beside them."""


def main_workloads(workloads: Sequence[W]) -> list[W]:
    """Those that the first answer is about: like the first, of every model.

    Twins take part in these alone, and whatever else is measured is measured beside them.

    Args:
        workloads: Of a plan, in its order; here's, or those of the schema.
    """
    kinds = [(one.variant, one.phase, one.batch_size) for one in workloads]
    return [one for one, kind in zip(workloads, kinds, strict=True) if kind == kinds[0]]


@dataclass(frozen=True)
class Lane:
    """What is measured: a backend on a device in an environment, with settings.

    A twin is a second worker of a lane: what differs between the two is noise, unless its
    slots are stretched by a slowdown, which `bench.selfcheck` injects to see that it is found.

    Attributes:
        name: The backend's, and behind it what is otherwise than pinned.
        device: `cpu` or `gpu`.
        python: The interpreter that has it.
        environment: Variables beyond those of every worker of the backend.
        precision: Keras's dtype policy; empty for float32.
        twin: Whether it is a second one.
        slowdown: Factor by which its slots are stretched.
        compiled: Folder for what its launches need not compile again, where it has one.
    """

    name: str
    device: str
    python: str
    environment: tuple[tuple[str, str], ...] = ()
    precision: str = ""
    twin: bool = False
    slowdown: float = 1.0
    compiled: str = ""

    @property
    def id(self) -> str:
        """What a person calls it."""
        return f"{self.name}-twin" if self.twin else self.name

    @property
    def backend(self) -> str:
        """Value of `KERAS_BACKEND`."""
        return backend_of(self.name)


@dataclass(frozen=True)
class Series:
    """All samples of one lane in one workload: a row of the speed table."""

    workload: Workload
    lane: Lane

    @property
    def id(self) -> str:
        """Name of the series in test ids."""
        return f"{self.workload.id}-{self.lane.id}"


@dataclass(frozen=True)
class SlotsRequest:
    """Everything a worker needs before its first slot; sent over the wire as it is.

    Attributes:
        models: What will be timed.
        phases: In which phases each of them.
        seed: Seed of their initial weights.
        batch_size: Examples in the first steps, which are timed.
        slowdown: Factor by which this lane works longer than it needs.
    """

    models: Sequence[ModelRequest]
    phases: Sequence[Sequence[str]]
    seed: int
    batch_size: int
    slowdown: float


@dataclass(frozen=True)
class Subject:
    """One model under one backend, whose answers are checked."""

    model: str
    variant: str
    lane: str
    device: str

    @property
    def id(self) -> str:
        """Name of the subject in shard files and test ids."""
        return f"{self.model}-{self.variant}-{self.lane}-{self.device}"


@dataclass(frozen=True)
class ProbesRequest:
    """Everything a worker needs before the first probe; sent over the wire as it is.

    Attributes:
        model: What is probed.
        seed: Seed of the weights that are probed.
        batch_size: Examples in a step.
        trained: Path of an npz with the trained weights, `arr_0` and so on; there if predictions
            are asked for.
        restarts: Path of an npz with the oracle's `restarts`; there if a trajectory is asked for by
            the oracle's.
    """

    model: ModelRequest
    seed: int
    batch_size: int
    trained: str
    restarts: str


class Port(TypedDict):
    """An input or output of a model: the shape of one example, None where any size will do."""

    name: str
    shape: list[int | None]
    dtype: str


class Input(Port):
    """With the number of different integers that may be fed, or None."""

    values: int | None


class Output(Port):
    """With the name of its loss."""

    loss: str


class Weight(TypedDict):
    """As built, whether that is random, and whether NumPy knows its distribution."""

    path: str
    sha256: str
    random: bool
    drawn: bool


class Description(TypedDict):
    """What `bench.worker.model.description.describe` says of one model."""

    inputs: list[Input]
    outputs: list[Output]
    chosen: str
    classes: int | None
    batch: int | None
    rows: list[str]
    weights: list[Weight]
