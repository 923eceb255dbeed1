"""A run before its first training: dataset, backends and folder, found and checked in turn."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial

from rich.console import Console

from bench.contract.errors import DataError, ExitCode, UsageError, WorkerError
from bench.contract.schema import Images, Machine, WorkerInfo
from bench.contract.units import Series
from bench.coordinator.accuracy import protocol, stored_training, train_examples
from bench.coordinator.parity.ladder import stored_answers
from bench.coordinator.preflight import Greeting, greet_lanes, share_weights
from bench.coordinator.records import this_machine
from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed.launches import stored as launched
from bench.inputs import datasets, user_models
from bench.planning.estimate import (
    describe,
    measuring_seconds,
    probing_seconds,
    training_seconds,
)
from bench.planning.plan import Plan
from bench.planning.resolving import check_predictions
from bench.planning.selection import Selection
from bench.process.machine_lock import acquire_machine_lock
from bench.process.temp_folders import sweep
from bench.session.progress import Estimates, Progress
from bench.session.stored_plan import plan_record


@dataclass
class Run:
    """What the tests of one session share.

    Attributes:
        plan: What was asked for.
        selection: What of it is done.
        dataset: What to train on.
        folder: Where results go.
        progress: What the person at the terminal sees.
        speeds: Examples per second in training by model, variant and backend, once measured.
        infos: Who each lane is, by its name.
        given_up: Of a run that was farmed out: why a piece was not done, by its title; None before.
        exit_code: What the session leaves with, as far as the tests know.
    """

    plan: Plan
    selection: Selection
    dataset: datasets.Dataset
    folder: RunFolder
    progress: Progress
    speeds: dict[tuple[str, str, str], float]
    infos: Mapping[str, WorkerInfo] = field(default_factory=dict)
    given_up: Mapping[str, str] | None = None
    exit_code: ExitCode = ExitCode.OK


def prepare(plan: Plan, selection: Selection, resumed: RunFolder | None, console: Console) -> Run:
    """Find the dataset, greet the backends that are wanted and open the run's folder.

    Args:
        plan: What was asked for.
        selection: What of it is to be done.
        resumed: The run to go on with; None starts a new one.
        console: Where a person looks.

    Raises:
        BenchError: Something is missing; then no new run was begun.
    """
    names = selection.lane_names
    plan = replace(plan, lanes=tuple(lane for lane in plan.lanes if lane.name in names))
    if resumed is not None:
        resumed.lock()
    lock = acquire_machine_lock(partial(say, console), shared=bool(plan.farm))
    sweep()
    if resumed is None:
        say(console, describe(plan, selection))
    else:
        done = sum(stored_training(resumed, cell) is not None for cell in selection.cells)
        answered = len(stored_answers(resumed, selection.subjects))
        launches = len(launched(resumed))
        say(
            console,
            f"Keras Backend Bench: {done} of {len(selection.cells)} trainings, {answered} of "
            f"{len(selection.subjects)} subjects of the parity ladder and {launches} launches are "
            "done.",
        )
    if sys.platform != "linux":
        say(console, f"On {sys.platform} a worker that hangs outlives a run that is killed.")
    given = _dataset(plan, resumed)
    if given and given.note:
        say(console, _banner(given))
    say(
        console,
        f"Starting {', '.join(lane.name for lane in plan.lanes)} once, to see that they are there.",
    )
    chosen = [name for name in plan.models if name in selection.models]
    greetings = greet_lanes(plan, [user_models.request(plan, given, model) for model in chosen])
    infos = {name: each.info for name, each in greetings.items() if each.info}
    for name, info in infos.items():
        say(console, f"{name} {info.versions[info.backend]} on {info.device}: ready")
    one_size = _of_one_size(plan, greetings)
    notes = [
        *_notes(greetings, chosen, {file.name for file in plan.user_models}),
        *(f"{name} takes batches of {plan.batch_size} alone, and is timed so" for name in one_size),
    ]
    for note in notes:
        say(console, note)
    selection = replace(
        selection,
        series=tuple(each for each in selection.series if _is_taken(each, one_size, plan)),
    )
    dataset = _fed(plan, given, chosen, greetings)
    for cell in selection.cells:
        if cell.model in one_size:
            _check_whole_batches(plan, dataset, cell.model)
    classes = {n: m["classes"] or 0 for each in greetings.values() for n, m in each.models.items()}
    check_predictions(selection.cells, dataset.test_examples, classes)
    if resumed is not None:
        if not plan.farm:
            _check_same_place(resumed, selection, infos)
        if dataset.sha256 != resumed.plan().protocol.dataset_sha256:
            raise DataError(f"{resumed.path} was begun with other data")
    folder = resumed or _begin(plan, dataset, selection, notes)
    folder.point_latest()
    if selection.cells:
        _keep_images(folder, dataset)
    say(console, f"results: {folder.path}\n")
    speeds: dict[tuple[str, str, str], float] = {}
    estimates = Estimates(
        parity=probing_seconds(plan, selection),
        speed=measuring_seconds(plan, selection),
        training=partial(training_seconds, plan, examples=dataset.train_examples, speeds=speeds),
    )
    if plan.farm:  # its pieces hold it, one by one
        os.close(lock)
    progress = Progress(console, selection.cells, estimates)
    return Run(plan, selection, dataset, folder, progress, speeds, infos)


def say(console: Console, text: str) -> None:
    """Print plain text, whatever characters it holds."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


NAMELESS = "; what machine this is cannot be told after a restart: BENCH_MACHINE=NAME says so"


def _check_same_place(
    resumed: RunFolder, selection: Selection, infos: Mapping[str, WorkerInfo]
) -> None:
    """Refuse to go on with what was made on another machine, or by other versions or settings.

    The report would refuse it later, and what was measured meanwhile would be lost.
    """
    here = this_machine()
    for made_at, lane, worker in _made(resumed, selection):
        info = infos.get(lane)
        changed = worker and info and _identity(worker) != _identity(info)
        if not here.same_as(made_at) or changed:
            raise UsageError(
                f"--resume: {resumed.run_id} was measured on another machine, or on other cores, "
                "with other versions or settings; go on as it was begun, or start a new run"
                f"{NAMELESS if here.identity == 'boot' and here.kind == made_at.kind else ''}"
            )


def _made(
    resumed: RunFolder, selection: Selection
) -> Iterator[tuple[Machine, str, WorkerInfo | None]]:
    """Where, in which lane and by what worker each finished part of a run was made."""
    for launch in launched(resumed):
        for record in launch.lanes:
            yield launch.machine, record.lane.lane, record.worker
    for cell in selection.cells:
        if (trained := stored_training(resumed, cell)) is not None:
            yield trained.machine, cell.lane, trained.worker
    for subject, answered in stored_answers(resumed, selection.subjects).items():
        yield answered.machine, subject.lane, answered.worker


def _identity(worker: WorkerInfo) -> tuple[object, object]:
    """What must not change; a slowdown is injected into single lanes."""
    settings = {name: v for name, v in worker.settings.items() if name != "injected_slowdown"}
    return worker.versions, settings


def _notes(greetings: Mapping[str, Greeting], models: Sequence[str], own: Set[str]) -> list[str]:
    """What was chosen for models that do not say it, and which cannot be built everywhere."""
    failed = [each for each in greetings.values() if each.error is not None]
    lines = [f"{each.error}{_last_words(each.error)}; the other lanes go on" for each in failed]
    for model in models:
        told = [each.models[model] for each in greetings.values() if model in each.models]
        if told[0]["chosen"]:
            lines.append(f"{model} is not compiled; chosen: {told[0]['chosen']}")
        if told[0]["rows"] and model in own:
            outputs = ", ".join(told[0]["rows"])
            lines.append(
                f"{model}: classes of {outputs} are fed as one-hot rows, as the loss wants"
            )
        lines += [str(each.faults[model]) for each in greetings.values() if model in each.faults]
    return lines


def _last_words(error: WorkerError | None) -> str:
    """What a worker's framework said last, which may be why."""
    said = [line.strip() for line in (error.log if error else "").splitlines() if line.strip()]
    return f" ({said[-1][:200]})" if said else ""


def _of_one_size(plan: Plan, greetings: Mapping[str, Greeting]) -> list[str]:
    """Models that take batches of the plan's size alone, because they remember, or say so.

    Raises:
        UsageError: One takes those of another size.
    """
    sizes = {name: m["batch"] for each in greetings.values() for name, m in each.models.items()}
    for name, size in sizes.items():
        if size not in (None, plan.batch_size):
            raise UsageError(f"{name} takes batches of {size} alone; give --batch-size {size}")
    return [name for name, size in sizes.items() if size is not None]


def _is_taken(series: Series, one_size: Sequence[str], plan: Plan) -> bool:
    workload = series.workload
    return workload.model not in one_size or workload.batch_size == plan.batch_size


def _check_whole_batches(plan: Plan, dataset: datasets.Dataset, model: str) -> None:
    """Refuse data of which an epoch's last batch would be a smaller one."""
    train = train_examples(plan, dataset)
    if train % plan.batch_size or dataset.test_examples % plan.batch_size:
        raise DataError(
            f"{model} takes batches of {plan.batch_size} alone, and there are {train:,} training "
            f"and {dataset.test_examples:,} test examples; leave out the last ones"
        )


def _fed(
    plan: Plan,
    given: datasets.Dataset | None,
    models: Sequence[str],
    greetings: Mapping[str, Greeting],
) -> datasets.Dataset:
    """The dataset, drawn where none was given, and how each model is fed and begun."""
    told = {
        model: {b: each.models[model] for b, each in greetings.items() if model in each.models}
        for model in models
    }
    folder = plan.results / "data"
    dataset = given or user_models.draw(
        {model: next(iter(each.values())) for model, each in told.items()}, plan.batch_size, folder
    )
    requests = []
    for model, by_lane in told.items():
        descriptions = list(by_lane.values())
        request = replace(
            user_models.request(plan, dataset, model), kept=user_models.kept(descriptions)
        )
        if numbers := user_models.shared(descriptions):
            path = folder.resolve() / f"weights-{dataset.sha256[:16]}-{model}.npz"
            share_weights(plan.lane(next(iter(by_lane))), plan.seeds, request, numbers, str(path))
            request = replace(request, shared=str(path))
        requests.append(request)
    return user_models.with_models(dataset, requests)


def _begin(
    plan: Plan, dataset: datasets.Dataset, selection: Selection, notes: Sequence[str]
) -> RunFolder:
    folder = RunFolder.create(plan.results)
    folder.lock()
    told = plan_record(plan, selection, protocol(plan, dataset), dataset.note, notes)
    folder.write("plan", told)
    return folder


def _keep_images(folder: RunFolder, dataset: datasets.Dataset) -> None:
    """Store the test set once, so that a report can show what backends disagree on."""
    if dataset.shows_images and not folder.has("images"):
        images = {"images": datasets.read_npz(dataset.path)["x_test"]}
        folder.write("images", Images(dataset.name, dataset.sha256), images)


def _dataset(plan: Plan, resumed: RunFolder | None) -> datasets.Dataset | None:
    """What is given or kept; None where it has yet to be drawn from what the models say."""
    folder = plan.results / "data"
    if resumed is not None:
        begun = resumed.plan().protocol
        stored = datasets.stored(begun.dataset, begun.dataset_sha256, folder)
        if stored is not None:
            return stored
    if plan.dataset == "drawn":
        return None
    if plan.data is not None:
        return user_models.load(plan.data, folder)
    return datasets.prepare(plan.dataset, plan.mnist, folder)


def _banner(dataset: datasets.Dataset) -> str:
    line = "!" * 79
    return (
        f"\n{line}\n!!! NOT MNIST: {dataset.note}.\n!!! This run uses the {dataset.name} dataset; "
        f"its figures say nothing about MNIST.\n{line}\n"
    )
