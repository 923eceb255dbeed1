"""The parity ladder in the coordinator: workers and a reference answer, and shards keep it.

The reference of a shipped model is the oracle; that of any other model is the model itself in
float64, under every backend. Nothing is timed here, so all backends work side by side.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import WorkerError
from bench.contract.units import Lane, ProbesRequest, Subject
from bench.contract.variants import STOCK
from bench.coordinator.parity.float64_references import ask_in_float64
from bench.coordinator.parity.oracle_answers import Reference
from bench.coordinator.parity.respondent import (
    SEED,
    Climber,
    Payload,
    answer,
    asked,
    reference_payload,
    rungs,
)
from bench.coordinator.run_folder import Journal
from bench.inputs.datasets import PIXEL_SCALE, Dataset, read_npz
from bench.planning.plan import Plan
from bench.planning.suites import PORTABILITY
from bench.process.temp_folders import scratch_folder
from bench.process.worker_environment import machine
from bench.process.worker_process import Worker, failure
from models.oracle import NETWORKS

TRAINED_FILE, RESTARTS_FILE = "trained.npz", "restarts.npz"

# The backend of the oracle's answers.
ORACLE = "numpy"


def finished(journal: Journal, subjects: Sequence[Subject]) -> dict[Subject, Payload]:
    """Payloads of those that have answered in an earlier part of the run.

    Portability asks for all backends at once, so one that is missing has all of its model asked
    again.
    """
    found: dict[Subject, Payload] = {}
    for subject in subjects:
        for shard_id in journal.attempts(f"parity-{subject.id}"):
            payload = journal.read("parity", shard_id)
            if payload is not None and payload["status"] == "ok":
                found[subject] = payload
    missing = {subject.model for subject in subjects if subject not in found}
    return {subject: found[subject] for subject in found if subject.model not in missing}


def climb(
    plan: Plan,
    subjects: Sequence[Subject],
    dataset: Dataset,
    journal: Journal,
    tell: Callable[[str], None],
) -> dict[Subject, Payload]:
    """Have the oracle and all subjects answer the plan's probes, and store what they say.

    Args:
        plan: Probes, interpreters and time-outs.
        subjects: Models under backends.
        dataset: What is fed.
        journal: Where the shards go.
        tell: Takes a line on how far it is.

    Returns:
        The payload of each subject, whether it went well or not.
    """
    payloads = finished(journal, subjects)
    subjects = [subject for subject in subjects if subject not in payloads]
    if not subjects:
        return payloads
    with ExitStack() as stack:
        shared = Path(stack.enter_context(scratch_folder()))
        tell("starting all backends")
        climbers = _start(plan, subjects, dataset, stack)
        with ThreadPoolExecutor() as pool:
            try:
                by_backend = {climber.backend: climber for climber in climbers}
                greetings = [pool.submit(_greet, each, climbers) for each in by_backend.values()]
                for model in dict.fromkeys(subject.model for subject in subjects):
                    folder = shared / model
                    folder.mkdir()
                    request = _request(model, plan, dataset, folder)
                    if model in NETWORKS and dataset.scale == PIXEL_SCALE:
                        tell(f"{model}: the oracle in float64")
                        _ask_oracle(request, plan, dataset, journal)
                    else:
                        tell(f"{model}: {', '.join(by_backend)} in float64")
                        request = replace(request, restarts="")
                        ask_in_float64(request, plan, list(by_backend), dataset, journal, pool)
                    for greeting in greetings:
                        greeting.result()
                    tell(f"{model}: {', '.join(by_backend)}")
                    those = [each for each in climbers if each.subject.model == model]
                    # The variants of a backend share its worker.
                    for variant in dict.fromkeys(each.subject.variant for each in those):
                        side_by_side = [each for each in those if each.subject.variant == variant]
                        asked_of = replace(request.model, variant=variant)
                        question = replace(request, model=asked_of)
                        _climb_one(plan, side_by_side, question, folder, pool)
                    for each in those:
                        shard_id = journal.next_attempt(f"parity-{each.subject.id}")
                        journal.write("parity", shard_id, each.payload, each.arrays)
                        payloads[each.subject] = each.payload
            except BaseException:  # Ctrl-C: nothing may keep the pool waiting
                for each in climbers:
                    if each.worker is not None:
                        each.worker.kill()
                raise
    return payloads


def _start(
    plan: Plan, subjects: Sequence[Subject], dataset: Dataset, stack: ExitStack
) -> list[Climber]:
    """Start one worker for each backend, which all of its models share."""
    workers: dict[str, Worker | WorkerError] = {}
    climbers = []
    for subject in subjects:
        backend = subject.backend
        if backend not in workers:
            lane = Lane(backend, plan.device, plan.workers[backend])
            try:
                workers[backend] = stack.enter_context(Worker(lane, plan.timeout_seconds))
            except WorkerError as error:
                workers[backend] = error
        payload = {
            "subject": asdict(subject),
            **asked(plan, dataset),
            "machine": machine(),
            "status": "ok",
            "error": None,
            "log": None,
            "worker": None,
            "facts": {},
            "portability": None,
        }
        worker = workers[backend]
        if isinstance(worker, WorkerError):
            climbers.append(Climber(backend, None, payload | failure(worker)))
        else:
            climbers.append(Climber(backend, worker, payload))
    return climbers


def _greet(one: Climber, climbers: Sequence[Climber]) -> None:
    """Hear who a worker is, for all subjects of its backend."""
    if one.worker is None:
        return
    same = [each for each in climbers if each.worker is one.worker]
    try:
        hello = one.worker.greet()
    except WorkerError as error:
        for each in same:
            each.fail(error)
    else:
        for each in same:
            each.payload["worker"] = hello


def _request(model: str, plan: Plan, dataset: Dataset, folder: Path) -> ProbesRequest:
    return ProbesRequest(
        model=dataset.request(model, STOCK),
        seed=SEED,
        batch_size=plan.batch_size,
        trained=str(folder / TRAINED_FILE),
        restarts=str(folder / RESTARTS_FILE),
    )


def _ask_oracle(request: ProbesRequest, plan: Plan, dataset: Dataset, journal: Journal) -> None:
    """Store the oracle's answers, and what backends begin with on some rungs."""
    model = request.model.name
    reference = Reference(model, SEED, plan.batch_size, read_npz(dataset.path))
    payload = reference_payload(model, ORACLE, plan, dataset)
    arrays: dict[str, NDArray[Any]] = {}
    for probe in rungs(plan):
        facts, found = reference.answer(probe)
        payload["facts"][probe] = facts
        arrays |= {f"{probe}.{name}": array for name, array in found.items()}
    journal.write("reference", journal.next_attempt(f"reference-{model}-{ORACLE}"), payload, arrays)
    if "predictions" in plan.probes:
        np.savez(request.trained, *reference.trained())
    if "trajectory" in plan.probes:
        np.savez(request.restarts, **reference.restarts())  # type: ignore[arg-type]


def _climb_one(
    plan: Plan,
    climbers: Sequence[Climber],
    request: ProbesRequest,
    folder: Path,
    pool: ThreadPoolExecutor,
) -> None:
    """All probes of one model in one variant."""
    list(pool.map(lambda each: _ask(each, request, rungs(plan)), climbers))
    # What Keras writes into a file is the model as it is defined.
    if PORTABILITY in plan.probes and request.model.variant == STOCK:
        list(pool.map(lambda each: _save(each, folder), climbers))
        saved = [each.backend for each in climbers if each.payload["portability"]]
        list(pool.map(lambda each: _load(each, folder, saved), climbers))


def _ask(climber: Climber, request: ProbesRequest, probes: Sequence[str]) -> None:
    climber.call("open_probes", asdict(request))
    answer(climber, probes)


def _save(climber: Climber, folder: Path) -> None:
    own = folder / climber.backend
    own.mkdir()
    saved = climber.call("save", {"folder": str(own)})
    if saved is not None:
        climber.payload["portability"] = {"saved": saved, "loaded": {}}


def _load(climber: Climber, folder: Path, backends: Sequence[str]) -> None:
    """Load what every backend has saved, its own files included."""
    for backend in backends:
        loaded = climber.call("load", {"folder": str(folder / backend)})
        if loaded is not None:
            climber.payload["portability"]["loaded"][backend] = loaded
