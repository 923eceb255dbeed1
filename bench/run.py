"""A run before its first training: dataset, backends and journal, found and checked in turn."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from rich.console import Console

from bench import data
from bench.accuracy import finished, protocol
from bench.errors import DataError, ExitCode
from bench.journal import Journal
from bench.plan import Plan, describe, estimated_seconds, plan_payload
from bench.preflight import greet_backends
from bench.progress import Progress
from bench.workload import Cell


@dataclass
class Run:
    """What the tests of one session share.

    Attributes:
        plan: What was asked for.
        dataset: What to train on.
        journal: Where results go.
        progress: What the person at the terminal sees.
        exit_code: What the session leaves with, as far as the tests know.
    """

    plan: Plan
    dataset: data.Dataset
    journal: Journal
    progress: Progress
    exit_code: ExitCode = ExitCode.OK


def prepare(plan: Plan, cells: Sequence[Cell], resumed: Journal | None, console: Console) -> Run:
    """Find the dataset, greet the backends of `cells` and open the journal.

    Args:
        plan: What was asked for.
        cells: The trainings that were selected of it.
        resumed: The run to go on with; None starts a new one.
        console: Where a person looks.

    Raises:
        BenchError: Something is missing; then no new run was begun.
    """
    chosen = {cell.backend for cell in cells}
    plan = replace(plan, backends=tuple(name for name in plan.backends if name in chosen))
    if resumed is None:
        say(console, describe(plan, cells))
    else:
        done = sum(finished(resumed, cell) is not None for cell in cells)
        say(console, f"Keras Backend Bench: {done} of {len(cells)} trainings are done.")
    dataset = _dataset(plan, resumed)
    if dataset.note:
        say(console, _banner(dataset))
    say(console, f"Starting {', '.join(plan.backends)} once, to see that they are there.")
    for backend, hello in greet_backends(plan).items():
        say(console, f"{backend} {hello['versions'][backend]} on {hello['device']}: ready")
    journal = resumed or _begin(plan, dataset, cells)
    journal.lock()
    journal.point_latest()
    say(console, f"results: {journal.folder}\n")
    estimate = partial(estimated_seconds, plan, examples=dataset.train_examples)
    return Run(plan, dataset, journal, Progress(console, cells, estimate))


def say(console: Console, text: str) -> None:
    """Print plain text, whatever characters it holds."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _begin(plan: Plan, dataset: data.Dataset, cells: Sequence[Cell]) -> Journal:
    journal = Journal.create(plan.results)
    payload = plan_payload(plan) | {
        "protocol": protocol(plan, dataset),
        "dataset_note": dataset.note,
        "cells": [asdict(cell) for cell in cells],
    }
    journal.write("plan", "plan", payload)
    return journal


def _dataset(plan: Plan, resumed: Journal | None) -> data.Dataset:
    folder = plan.results / "data"
    if resumed is None:
        return data.prepare(plan.dataset, plan.mnist, folder)
    begun = resumed.plan()["protocol"]
    stored = data.stored(begun["dataset"], begun["dataset_sha256"], folder)
    dataset = stored or data.prepare(plan.dataset, plan.mnist, folder)
    if dataset.sha256 != begun["dataset_sha256"]:
        raise DataError(f"{resumed.folder} was begun with another {dataset.name} dataset")
    return dataset


def _banner(dataset: data.Dataset) -> str:
    line = "!" * 79
    return (
        f"\n{line}\n!!! NOT MNIST: {dataset.note}.\n!!! This run uses the {dataset.name} dataset; "
        f"its figures say nothing about MNIST.\n{line}\n"
    )
