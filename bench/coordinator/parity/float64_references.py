"""A model in float64 under every backend: the reference of one that has no oracle."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict

from bench.contract.errors import WorkerError
from bench.contract.units import Lane, ProbesRequest
from bench.coordinator.parity.respondent import Climber, answer, reference_payload, rungs
from bench.coordinator.run_folder import Journal
from bench.inputs.datasets import Dataset
from bench.planning.plan import Plan
from bench.process.worker_process import Worker, failure


def ask_in_float64(
    request: ProbesRequest,
    plan: Plan,
    backends: Sequence[str],
    dataset: Dataset,
    journal: Journal,
    pool: ThreadPoolExecutor,
) -> None:
    """Store what every backend answers in float64 on the CPU, and train the weights of P6."""
    model = request.model.name
    with ExitStack() as stack:
        references = []
        for backend in backends:
            payload = reference_payload(model, backend, plan, dataset)
            try:
                lane = Lane(backend, "cpu", plan.workers[backend])
                worker = stack.enter_context(Worker(lane, plan.timeout_seconds))
                references.append(Climber(backend, worker, payload))
            except WorkerError as error:
                references.append(Climber(backend, None, payload | failure(error)))
        try:
            list(pool.map(lambda each: _widen(each, request), references))
            trained = False
            for each in references:
                if "predictions" in plan.probes and not trained:
                    arguments = {"trained": request.trained}
                    trained = each.call("train_reference", arguments) is not None
            list(pool.map(lambda each: answer(each, rungs(plan)), references))
        except BaseException:  # Ctrl-C: nothing may keep the pool waiting
            for each in references:
                if each.worker is not None:
                    each.worker.kill()
            raise
    for each in references:
        shard_id = journal.next_attempt(f"reference-{model}-{each.backend}")
        journal.write("reference", shard_id, each.payload, each.arrays)


def _widen(reference: Climber, request: ProbesRequest) -> None:
    reference.call("hello", {})
    reference.call("widen", {})
    reference.call("open_probes", asdict(request))
