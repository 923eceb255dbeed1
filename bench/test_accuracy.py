"""Train and test every cell by the reference protocol; a test fails where a cell has no result."""

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.benchmark_json import CLOCK, record
from bench.contract.schema import Accuracy
from bench.contract.units import Cell
from bench.coordinator.accuracy import (
    last_training,
    run_cell,
    stored_training,
    train_examples,
)
from bench.outcome import ending_the_run, fail_undone, fail_unless_ok
from bench.session.progress import outcome_of
from bench.session.run import Run


@pytest.mark.benchmark(timer=CLOCK)
def test_accuracy(cell: Cell, run: Run, benchmark: BenchmarkFixture) -> None:
    """Train one cell in a worker of its own, unless a resumed run has it already."""
    plan, progress = run.plan, run.progress
    trained = (last_training if plan.farm else stored_training)(run.folder, cell)
    if trained is None and plan.farm:
        fail_undone(run, f"accuracy {cell.id}")
    if trained is None:
        examples = train_examples(plan, run.dataset)
        with ending_the_run(run), progress.cell(cell):
            trained = run_cell(
                cell,
                plan,
                run.dataset,
                run.folder,
                lambda epoch: progress.epoch_ended(cell, epoch, plan.epochs, examples),
            )
        progress.cell_ended(cell, _outcome(trained))
    fail_unless_ok(run, trained.status, trained.error)
    assert trained.training is not None
    record(
        benchmark,
        f"{cell.model} {cell.variant} epoch, batch {trained.protocol.batch_size}",
        [epoch.train_seconds for epoch in trained.training.epochs],
        {name: msgspec.to_builtins(getattr(trained, name)) for name in EXTRA},
    )


EXTRA = ("cell", "protocol", "worker")
"""What benchmark.json says of each training."""


def _outcome(trained: Accuracy) -> str:
    if trained.training is None:
        return f"{trained.status}: {trained.error}"
    epochs = trained.training.epochs
    seconds = sum(epoch.train_seconds for epoch in epochs)
    last = epochs[-1]
    return f"{outcome_of(last.test_accuracy, last.test_loss)}  trained in {seconds:.1f} s"
