"""Greets every backend once before anything is timed, so that a broken one costs seconds."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from bench.errors import BenchError, ExitCode, WorkerError
from bench.plan import Plan
from bench.remote import Worker
from bench.workload import Lane

GREETING_SECONDS = 300  # importing a framework from a slow disk


class PreflightError(BenchError):
    """Some backends are not there, or are not what or where they were asked to be."""

    exit_code = ExitCode.ENVIRONMENT


def greet_backends(plan: Plan) -> dict[str, dict[str, Any]]:
    """Start a worker of every backend, side by side, and hear who it is.

    It also brings each framework's files into the page cache, so that no lane's import is
    measured cold and another's warm.

    Returns:
        The worker's `hello` by backend.

    Raises:
        PreflightError: One line for each backend that failed.
    """
    hellos: dict[str, dict[str, Any]] = {}
    faults: dict[str, WorkerError] = {}
    greetings = {}
    # On Ctrl-C the workers are killed first; then no greeting can keep the pool waiting.
    with ThreadPoolExecutor() as pool, ExitStack() as workers:
        for backend in plan.backends:
            lane = Lane(backend, plan.device, plan.workers[backend])
            try:
                worker = workers.enter_context(Worker(lane, GREETING_SECONDS))
                greetings[backend] = pool.submit(worker.greet)
            except WorkerError as error:
                faults[backend] = error
        for backend, greeting in greetings.items():
            try:
                hellos[backend] = greeting.result()
            except WorkerError as error:
                faults[backend] = error
    if faults:
        missing = [backend for backend in plan.backends if backend in faults]
        lines = [f"{faults[name]} (interpreter {plan.workers[name]})" for name in missing]
        if plan.device == "gpu":
            lines.append("Is there a GPU, and does this build of the framework support it?")
        build = " ".join(f"'worker({backend}-{plan.device})'" for backend in missing)
        raise PreflightError(
            "\n".join(lines) + f"\nBuild with nox -s {build}, or name an interpreter with "
            "--worker BACKEND=PYTHON."
        )
    return hellos
