"""Train and test every cell by the reference protocol; a test fails where a cell has no result."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.benchmark_json import CLOCK, record
from bench.contract.errors import ExitCode, StorageError
from bench.contract.units import Cell
from bench.coordinator.accuracy import finished, run_cell, train_examples
from bench.session.progress import outcome_of
from bench.session.run import Run


@pytest.mark.benchmark(timer=CLOCK)
def test_accuracy(cell: Cell, run: Run, benchmark: BenchmarkFixture) -> None:
    """Train one cell in a worker of its own, unless a resumed run has it already."""
    plan, progress = run.plan, run.progress
    payload = finished(run.journal, cell)
    if payload is None:
        examples = train_examples(plan, run.dataset)
        try:
            with progress.cell(cell):
                payload = run_cell(
                    cell,
                    plan,
                    run.dataset,
                    run.journal,
                    lambda epoch: progress.epoch_ended(cell, epoch, plan.epochs, examples),
                )
        except StorageError as error:
            run.exit_code = error.exit_code
            pytest.exit(f"error: {error}", returncode=error.exit_code)
        progress.cell_ended(cell, _outcome(payload))
    if payload["status"] != "ok":
        run.exit_code = ExitCode.ENVIRONMENT
        pytest.fail(f"{payload['status']}: {payload['error']}", pytrace=False)
    protocol = payload["protocol"]
    record(
        benchmark,
        f"{cell.model} {cell.variant} epoch, batch {protocol['batch_size']}",
        [epoch["train_seconds"] for epoch in payload["training"]["epochs"]],
        {"cell": payload["cell"], "protocol": protocol, "worker": payload["worker"]},
    )


def _outcome(payload: dict[str, object]) -> str:
    if payload["status"] != "ok":
        return f"{payload['status']}: {payload['error']}"
    epochs = payload["training"]["epochs"]  # type: ignore[index]
    seconds = sum(epoch["train_seconds"] for epoch in epochs)
    return f"{outcome_of(epochs[-1])}  trained in {seconds:.1f} s"
