"""The options of a run, checked and with their defaults, as a plan.

Standard library only; `bench.planning.estimate` tells the plan to a person.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import models
from bench.contract.backends import BACKENDS, DEVICES, place
from bench.contract.errors import UsageError
from bench.contract.limits import (
    BYTES_A_NUMBER,
    MAX_PREDICTIONS_BYTES,
    MOST_CELLS,
    MOST_EPOCHS,
    MOST_EPOCHS_IN_ALL,
    MOST_LANES,
    MOST_SUBJECTS,
    MOST_WORKLOADS,
)
from bench.contract.units import Cell, Lane
from bench.contract.variants import NATIVE
from bench.planning.lanes import Setup, setups
from bench.planning.options import (
    DATASETS,
    choice,
    count,
    duration,
    engine,
    interpreters,
    names,
    percent,
    variants,
)
from bench.planning.plan import ROOT, Plan
from bench.planning.suites import SUITES
from models.files import ModelFile, ModelFileError

EVERY = ",".join(BACKENDS)
# Where only one of the two is given.
PRECISION_PERCENT = 3.0
BUDGET_SECONDS = 3600.0


def resolve(
    options: Mapping[str, str | None],
    workers: Sequence[str],
    environ: Mapping[str, str],
    files: Sequence[str] = (),
    against: Sequence[str] = (),
    others: Sequence[Setup] | None = None,
) -> Plan:
    """Check the options and fill in the defaults.

    Args:
        options: Texts by option name without dashes (`batch_size`); None is "not given".
        workers: Texts of `--worker`.
        environ: `BENCH_BACKENDS`, `BENCH_DEVICE` and `BENCH_MNIST` are read from it.
        files: Texts of `--model`.
        against: Texts of `--against`.
        others: Lanes beside the backends, where they are known; None reads the options.

    Raises:
        UsageError: An option cannot be obeyed.
    """
    own = user_models(files)
    suite = SUITES[choice("--suite", options["suite"] or "default", SUITES)]
    device = choice("BENCH_DEVICE", environ.get("BENCH_DEVICE") or "cpu", DEVICES)
    found = interpreters(workers)
    backends = names(
        "BENCH_BACKENDS",
        environ.get("BENCH_BACKENDS") or ",".join(filter(BACKENDS.get, found)) or EVERY,
        tuple(BACKENDS),
    )
    if others is None:
        others = setups(against, options["lanes"], options["python"], backends)
    precision = percent("--precision", options["precision"], suite.precision_percent)
    budget = duration("--budget", options["budget"], suite.budget_seconds)
    if options["budget"] and not options["precision"]:
        precision = PRECISION_PERCENT
    if options["precision"] and budget is None:
        budget = BUDGET_SECONDS
    mnist = options["mnist"] or environ.get("BENCH_MNIST")
    dataset = _dataset(options, own=bool(own))
    default = "" if own else ",".join(models.names())
    shipped = options["models"] or default
    chosen = names("--models", shipped, models.names()) if shipped else ()
    wanted = variants(options["variants"]) if options["variants"] else suite.variants
    if options["variants"] and set(wanted) == {NATIVE} and not chosen:
        raise UsageError("--variants: a model of your own has no native twin; leave native out")
    if chosen and dataset == "drawn":
        raise UsageError(
            "--models and --model together want data that both take: --data FILE or --dataset mnist"
        )
    decided: dict[str, Any] = {
        "variants": wanted,
        "seeds": count("--seeds", options["seeds"], suite.seeds, MOST_CELLS),
        "epochs": count("--epochs", options["epochs"], suite.epochs, MOST_EPOCHS),
        "all_alike": suite.all_alike or options["variants"] is not None,
        "precision_percent": precision,
        "budget_seconds": budget,
    }
    plan = Plan(
        **vars(suite) | decided,
        models=(*chosen, *(file.name for file in own)),
        lanes=tuple(
            Lane(
                one.name,
                device,
                found.get(one.name, interpreter(one.folder(device))),
                one.environment,
                one.precision,
            )
            for one in sorted([*map(Setup, backends), *others], key=lambda one: place(one.name))
        ),
        setups=tuple(others),
        device=device,
        user_models=own,
        dataset=dataset,
        mnist=Path(mnist) if mnist else None,
        data=Path(options["data"]) if options["data"] else None,
        batch_size=count("--batch-size", options["batch_size"], 200),
        results=Path(options["results"] or "results"),
        timeout_seconds=count("--worker-timeout", options["worker_timeout"], 900),
        farm=engine(options["farm"]) if options["farm"] else "",
    )
    _check_size(plan)
    return plan


def _check_size(plan: Plan) -> None:
    """Refuse a plan that is too large.

    Raises:
        UsageError: With what is too many.
    """
    for number, most, what in (
        (len(plan.cells), MOST_CELLS, "trainings"),
        (len(plan.cells) * plan.epochs, MOST_EPOCHS_IN_ALL, "epochs of training"),
        (len(plan.workloads), MOST_WORKLOADS, "workloads"),
        (len(plan.subjects), MOST_SUBJECTS, "subjects of the parity ladder"),
    ):
        if number > most:
            raise UsageError(
                f"{number:,} {what}, and a run has at most {most:,}; take fewer seeds, epochs, "
                "models or variants"
            )
    if len(plan.timed) > MOST_LANES:
        raise UsageError(
            f"{len(plan.timed)} lanes with twins, and {MOST_LANES} are measured at most"
        )


def check_predictions(
    cells: Sequence[Cell], test_examples: int, classes: Mapping[str, int]
) -> None:
    """Refuse trainings whose predictions no report could hold, before anything is trained.

    Args:
        cells: What is trained.
        test_examples: Whose classes each of them predicts.
        classes: Of each model; 0 of one that is not a classifier.

    Raises:
        UsageError: They are too many.
    """
    numbers = test_examples * sum(1 + classes[cell.model] for cell in cells)
    if numbers * BYTES_A_NUMBER > MAX_PREDICTIONS_BYTES:
        raise UsageError(
            f"the predictions of {len(cells):,} trainings on {test_examples:,} test examples take "
            f"more than {MAX_PREDICTIONS_BYTES >> 30} GiB, and no report reads that; take fewer "
            "seeds, models or variants"
        )


def user_models(files: Sequence[str]) -> tuple[ModelFile, ...]:
    """The user's models, each under a name of its own.

    Raises:
        UsageError: A file cannot be used, or two models would have one name.
    """
    found: list[ModelFile] = []
    for text in files:
        try:
            file = ModelFile.read(text)
        except ModelFileError as error:
            raise UsageError(f"--model: {error}") from error
        if file.name in {*models.names(), *(other.name for other in found)}:
            raise UsageError(
                f"--model: {text}: there is another model {file.name!r}; rename the file or "
                "the function"
            )
        found.append(file)
    return tuple(found)


def _dataset(options: Mapping[str, str | None], *, own: bool) -> str:
    """Which dataset is meant; without a word, the user's models get drawn data."""
    named = options["dataset"]
    if named == "digits" and options["mnist"]:
        raise UsageError("--mnist PATH and --dataset digits contradict each other")
    if options["data"]:
        for other in ("dataset", "mnist"):
            if options[other]:
                raise UsageError(f"--data FILE and --{other} contradict each other")
        return "data"
    if own and not named and not options["mnist"]:
        return "drawn"
    return choice("--dataset", named or "auto", DATASETS)


def interpreter(folder: str) -> str:
    """Where nox puts the interpreter of an environment."""
    return str(ROOT / ".nox" / folder / "bin" / "python")
