"""One who answers the parity ladder's probes: a worker, and what it has said so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from bench.contract.errors import DataError, WorkerError
from bench.contract.units import Subject
from bench.inputs.datasets import Dataset, read_npz
from bench.planning.plan import Plan
from bench.planning.suites import PORTABILITY
from bench.process.worker_process import Worker, failure

# Of the weights that are probed; a run's other seeds are other draws of its trainings.
SEED = 0

Payload = dict[str, Any]


@dataclass
class Climber:
    """Who answers: a backend's worker (None if that did not start) and what it has said."""

    backend: str
    worker: Worker | None
    payload: Payload
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        """Whose answers they are, where they are no reference's."""
        return Subject(**self.payload["subject"])

    def call(self, name: str, arguments: Payload) -> Payload | None:
        """Have the worker do something; None if it has failed, now or before."""
        if self.worker is None or self.payload["status"] != "ok":
            return None
        try:
            return self.worker.call(name, arguments)
        except WorkerError as error:
            self.fail(error)
            return None

    def fail(self, error: WorkerError) -> None:
        """Keep how it ended; what it has said before stays."""
        self.payload |= failure(error)
        if self.worker is not None:
            self.worker.kill()


def asked(plan: Plan, dataset: Dataset) -> Payload:
    """What must be alike in two answers that are compared."""
    return {
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "batch_size": plan.batch_size,
        "seed": SEED,
        "probes": list(plan.probes),
    }


def reference_payload(model: str, backend: str, plan: Plan, dataset: Dataset) -> Payload:
    """What a reference's shard holds before it has answered."""
    return {
        "model": model,
        "backend": backend,
        **asked(plan, dataset),
        "status": "ok",
        "error": None,
        "log": None,
        "facts": {},
    }


def rungs(plan: Plan) -> list[str]:
    """Probes that a backend answers alone."""
    return [probe for probe in plan.probes if probe != PORTABILITY]


def answer(climber: Climber, probes: Sequence[str]) -> None:
    """Have it answer, until it fails."""
    for probe in probes:
        if climber.worker is None or climber.payload["status"] != "ok":
            return
        path = climber.worker.scratch / f"{probe}.npz"
        facts = climber.call("probe", {"probe": probe, "arrays": str(path)})
        if facts is None:
            return
        try:
            arrays = read_npz(path)
        except DataError as error:
            climber.fail(WorkerError("invalid", f"the worker stored no arrays: {error}"))
            return
        climber.payload["facts"][probe] = facts
        climber.arrays |= {f"{probe}.{name}": array for name, array in arrays.items()}
