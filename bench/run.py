"""A run before its first training: dataset, backends and journal, found and checked in turn."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rich.console import Console

from bench import data
from bench.accuracy import finished, protocol
from bench.environment import machine
from bench.errors import DataError, ExitCode, UsageError
from bench.estimate import describe, estimated_seconds
from bench.journal import Journal
from bench.launches import stored as launched
from bench.parity import finished as asked
from bench.plan import Plan, Selection, plan_payload
from bench.preflight import greet_backends
from bench.progress import Progress


@dataclass
class Run:
    """What the tests of one session share.

    Attributes:
        plan: What was asked for.
        selection: What of it is done.
        dataset: What to train on.
        journal: Where results go.
        progress: What the person at the terminal sees.
        exit_code: What the session leaves with, as far as the tests know.
    """

    plan: Plan
    selection: Selection
    dataset: data.Dataset
    journal: Journal
    progress: Progress
    exit_code: ExitCode = ExitCode.OK


def prepare(plan: Plan, selection: Selection, resumed: Journal | None, console: Console) -> Run:
    """Find the dataset, greet the backends that are wanted and open the journal.

    Args:
        plan: What was asked for.
        selection: What of it is to be done.
        resumed: The run to go on with; None starts a new one.
        console: Where a person looks.

    Raises:
        BenchError: Something is missing; then no new run was begun.
    """
    chosen = selection.backends
    plan = replace(plan, backends=tuple(name for name in plan.backends if name in chosen))
    if resumed is None:
        say(console, describe(plan, selection))
    else:
        done = sum(finished(resumed, cell) is not None for cell in selection.cells)
        answered = len(asked(resumed, selection.subjects))
        launches = len(launched(resumed))
        say(
            console,
            f"Keras Backend Bench: {done} of {len(selection.cells)} trainings, {answered} of "
            f"{len(selection.subjects)} subjects of the parity ladder and {launches} launches are "
            "done.",
        )
    dataset = _dataset(plan, resumed)
    if dataset.note:
        say(console, _banner(dataset))
    say(console, f"Starting {', '.join(plan.backends)} once, to see that they are there.")
    hellos = greet_backends(plan)
    for backend, hello in hellos.items():
        say(console, f"{backend} {hello['versions'][backend]} on {hello['device']}: ready")
    if resumed is not None:
        _check_same_place(resumed, hellos)
    journal = resumed or _begin(plan, dataset, selection)
    journal.lock()
    journal.point_latest()
    if selection.cells:
        _keep_images(journal, dataset)
    say(console, f"results: {journal.folder}\n")
    estimate = partial(estimated_seconds, plan, examples=dataset.train_examples)
    progress = Progress(console, selection.cells, estimate)
    return Run(plan, selection, dataset, journal, progress)


def say(console: Console, text: str) -> None:
    """Print plain text, whatever characters it holds."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _check_same_place(resumed: Journal, hellos: Mapping[str, dict[str, Any]]) -> None:
    """Refuse to go on with launches of another machine, or of other versions or settings.

    The report would refuse them later, and what was measured meanwhile would be lost.
    """
    for payload in launched(resumed):
        same = payload["machine"]["id"] == machine()["id"]
        for record in payload["lanes"]:
            worker, hello = record["worker"], hellos.get(record["lane"]["backend"])
            same = same and (not worker or not hello or _identity(worker) == _identity(hello))
        if not same:
            raise UsageError(
                f"--resume: {resumed.run_id} was measured on another machine, or on other cores, "
                "with other versions or settings; go on as it was begun, or start a new run"
            )


def _identity(worker: Mapping[str, Any]) -> dict[str, Any]:
    """What must not change; a slowdown is injected into single lanes."""
    settings = {name: v for name, v in worker["settings"].items() if name != "injected_slowdown"}
    return {"versions": worker["versions"], "settings": settings}


def _begin(plan: Plan, dataset: data.Dataset, selection: Selection) -> Journal:
    journal = Journal.create(plan.results)
    payload = plan_payload(plan, selection) | {
        "protocol": protocol(plan, dataset),
        "dataset_note": dataset.note,
    }
    journal.write("plan", "plan", payload)
    return journal


def _keep_images(journal: Journal, dataset: data.Dataset) -> None:
    """Store the test set once, so that a report can show what backends disagree on."""
    if not journal.has("images"):
        images = {"images": data.read_npz(dataset.path)["x_test"]}
        origin = {"dataset": dataset.name, "dataset_sha256": dataset.sha256}
        journal.write("images", "images", origin, images)


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
