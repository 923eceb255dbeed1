"""Greets every backend once before anything is timed, so that a broken one costs seconds."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.errors import BenchError, ExitCode, WorkerError
from bench.plan import Plan
from bench.remote import Lane, Worker


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

    def greet(backend: str) -> dict[str, Any] | WorkerError:
        lane = Lane(backend, plan.device, plan.workers[backend])
        try:
            with Worker(lane, plan.timeout_seconds) as worker:
                return worker.hello
        except WorkerError as error:
            return error

    with ThreadPoolExecutor() as pool:
        answers = dict(zip(plan.backends, pool.map(greet, plan.backends), strict=True))
    faults = [
        f"{error} (interpreter {plan.workers[backend]})"
        for backend, error in answers.items()
        if isinstance(error, WorkerError)
    ]
    if faults:
        build = ", ".join(f"'worker({backend}-{plan.device})'" for backend in plan.backends)
        raise PreflightError(
            "\n".join(faults) + f"\nBuild the environments with nox -s {build.replace(',', '')}, "
            "or name an interpreter with --worker BACKEND=PYTHON."
        )
    return {name: hello for name, hello in answers.items() if not isinstance(hello, WorkerError)}
