"""Greets every lane once before anything is timed, so that a broken one costs seconds.

Each also describes the models: a file that cannot be used, or data that does not fit, is told
before anything is measured.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import msgspec

from bench.contract.errors import BenchError, DataError, ExitCode, UsageError, WorkerError
from bench.contract.units import Description, Lane, ModelRequest
from bench.coordinator.fleet import Fleet, Member
from bench.coordinator.records import checked
from bench.planning.plan import Plan
from bench.process.worker_process import Worker

GREETING_SECONDS = 300  # importing a framework from a slow disk


class PreflightError(BenchError):
    """Some backends are not there, or are not what or where they were asked to be."""

    exit_code = ExitCode.ENVIRONMENT


@dataclass
class Greeting(Member):
    """What one backend said.

    Attributes:
        models: What it says of each model.
        faults: Why it could not, by model.
    """

    models: dict[str, Description] = field(default_factory=dict)
    faults: dict[str, WorkerError] = field(default_factory=dict)

    def describe(self, requests: Sequence[ModelRequest]) -> None:
        """Hear who it is, and what the models are."""
        self.greet()
        if self.error is not None:
            return
        for number, request in enumerate(requests):
            try:
                told = self.worker.call("describe", asdict(request))
                self.models[request.name] = checked(told, Description, self.lane)
            except WorkerError as error:
                self.faults[request.name] = error
                if not error.kind:  # the model took its process down
                    why = WorkerError(
                        error.status, f"{error} while it built {request.name}", error.log
                    )
                    self.faults |= dict.fromkeys((each.name for each in requests[number:]), why)
                    return


def greet_lanes(plan: Plan, requests: Sequence[ModelRequest]) -> dict[str, Greeting]:
    """Start a worker of every lane, side by side, hear who it is, and what the models are.

    It also brings each framework's files into the page cache, so that no lane's import is
    measured cold and another's warm.

    Args:
        plan: Which lanes.
        requests: Models to be described.

    Returns:
        What each lane said, by its name; a model that only some can build is a fault of those.
        Of a lane that was added to the backends as pinned, and fails, its error: others go on.

    Raises:
        PreflightError: One line for each backend as pinned that failed and for each lane that is
            not there; or two lanes are the same.
        UsageError: No backend can use a model's file.
        DataError: The data does not fit a model.
    """
    with Fleet([Greeting(lane) for lane in plan.lanes], GREETING_SECONDS) as fleet:
        fleet.each(lambda greeting: greeting.describe(requests), fleet.members)
    added = {setup.name for setup in plan.setups}
    missing = [
        each
        for each in fleet.members
        if each.error is not None
        and (each.lane.name not in added or each.error.status == "wrong_environment")
    ]
    if missing:
        lines = [f"{each.error} (interpreter {each.lane.python})" for each in missing]
        if plan.device == "gpu":
            lines.append("Is there a GPU, and does this build of the framework support it?")
        pinned = [each.lane for each in missing if each.lane.name not in added]
        build = " ".join(f"'worker({lane.backend}-{plan.device})'" for lane in pinned) or "bench"
        raise PreflightError(
            "\n".join(lines) + f"\nBuild with nox -s {build}, or name an interpreter with "
            "--worker LANE=PYTHON."
        )
    greetings = {greeting.lane.name: greeting for greeting in fleet.members}
    _check_different(fleet.members)
    for each in requests:
        _check(each.name, [greeting for greeting in fleet.members if greeting.error is None])
    return greetings


def share_weights(
    lane: Lane, seeds: int, request: ModelRequest, numbers: Sequence[int], path: str
) -> None:
    """Have one lane write the weights that the others would draw otherwise.

    Raises:
        PreflightError: It failed.
    """
    arguments = {"numbers": list(numbers), "seeds": seeds, "path": path}
    try:
        with Worker(lane, GREETING_SECONDS) as worker:
            worker.greet()
            worker.call("share", {"model": asdict(request), **arguments})
    except WorkerError as error:
        raise PreflightError(str(error)) from error


def _check_different(greetings: Sequence[Greeting]) -> None:
    """Refuse two lanes that are the same: noise would be told as a difference of what they claim.

    Raises:
        PreflightError: A swap did not take.
    """
    known: dict[str, str] = {}
    for each in greetings:
        if each.info is None or not each.info.distributions:
            continue
        told = msgspec.json.encode(
            [
                each.info.distributions,
                each.info.versions,
                each.lane.environment,
                each.lane.precision,
            ]
        )
        other = known.setdefault(hashlib.sha256(told).hexdigest(), each.lane.name)
        if other != each.lane.name:
            raise PreflightError(
                f"{each.lane.name} and {other} are the same: equal packages, variables and "
                "precision; look at what was to be different"
            )


def _check(model: str, greetings: Sequence[Greeting]) -> None:
    """Raise what is wrong with a model that no backend can use, in words of the first."""
    faults = [each.faults[model] for each in greetings if model in each.faults]
    if len(faults) < len(greetings):
        return
    match faults[0].kind:
        case "ModelError":
            raise UsageError(f"--model: {faults[0]}")
        case "DataError":
            raise DataError(f"{model}: {faults[0]}")
    raise PreflightError(str(faults[0]))
