"""One who answers the parity ladder's probes: a worker, and what it has said of one model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from numpy.typing import NDArray

from bench.contract.errors import DataError, WorkerError
from bench.contract.parity_schema import Facts, Loaded, Reference, Saved
from bench.contract.rungs import PORTABILITY
from bench.coordinator.fleet import Member
from bench.coordinator.records import checked, ended, invalid
from bench.inputs.datasets import Dataset, read_npz
from bench.planning.plan import Plan

# Of the weights that are probed; a run's other seeds are other draws of its trainings.
SEED = 0

T = TypeVar("T")


@dataclass
class Respondent:
    """What one worker says of one model; workers are shared, and what was said before stays.

    Attributes:
        member: The worker.
        facts: By probe.
        arrays: By `<probe>.<name>`.
        saved: What it saved, in P8.
        loaded: What came of the files of each lane.
    """

    member: Member
    facts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    saved: Saved | None = None
    loaded: dict[str, Loaded] = field(default_factory=dict)
    error: WorkerError | None = None

    @property
    def lane(self) -> str:
        """Whose worker it is."""
        return self.member.lane.name

    def ask(self, name: str, arguments: dict[str, Any], struct: type[T]) -> T | None:
        """Have the worker do something; None if it has failed, now or before."""
        told = self.member.ask(name, arguments, struct)
        self.error = self.member.error
        return told

    def answer(self, probes: Sequence[str]) -> None:
        """Answer probes, until it fails."""
        self.error = self.member.error
        for probe in probes if self.error is None else ():
            path = self.member.scratch / f"{probe}.npz"
            arguments = {"probe": probe, "arrays": str(path)}
            facts = self.ask("probe", arguments, dict[str, Any])
            if facts is None:
                return
            try:
                checked({probe: facts}, Facts, self.member.lane)
                arrays = read_npz(path)
            except DataError as error:
                self.fail(invalid(self.member.lane, f"stored no arrays: {error}"))
                return
            except WorkerError as error:
                self.fail(error)
                return
            self.facts[probe] = facts
            self.arrays |= {f"{probe}.{name}": array for name, array in arrays.items()}

    def fail(self, error: WorkerError) -> None:
        """Keep how it ended."""
        self.error = error
        self.member.fail(error)

    def told(self) -> dict[str, Any]:
        """Facts and how it ended, as a shard has them."""
        return {"facts": msgspec.convert(self.facts, Facts), **ended(self.error)}


def question(plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """What must be alike in two answers that are compared."""
    return {
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "batch_size": plan.batch_size,
        "seed": SEED,
        "probes": list(plan.probes),
    }


def reference(
    model: str, lane: str, plan: Plan, dataset: Dataset, told: dict[str, Any]
) -> Reference:
    """A reference's shard.

    Args:
        model: Of which model.
        lane: Who answered.
        plan: What was asked.
        dataset: What was fed.
        told: `Respondent.told`.
    """
    return Reference(model=model, lane=lane, **question(plan, dataset), **told)


def own_probes(plan: Plan) -> list[str]:
    """Probes that a lane answers alone."""
    return [probe for probe in plan.probes if probe != PORTABILITY]
