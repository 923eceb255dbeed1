"""What a run will do: the options, checked, as one frozen plan.

`python -m bench.plan OPTION...` prints the plan (or the one line that says what is wrong with
the options) before any environment is built. Standard library only.
"""

import argparse
import difflib
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
from bench.backends import BACKENDS, DEVICES
from bench.errors import BenchError, DataError, UsageError
from bench.suites import SUITES
from bench.workload import Cell

ROOT = Path(__file__).resolve().parent.parent
DATASETS = ("auto", "mnist", "digits")
MNIST_EXAMPLES = 60_000
DIGITS_EXAMPLES = 1_500
CELL_START_SECONDS = 12  # import, compile and predict, roughly, on two cores

# Name of the option, placeholder, help. All arrive as text, so that `resolve` words each error.
OPTIONS = (
    ("--suite", "NAME", f"{', '.join(SUITES)} (default: default)"),
    ("--dataset", "NAME", "auto (mnist, else digits; the default), mnist, digits"),
    ("--mnist", "PATH", "mnist.npz, or a folder with the idx files (or set BENCH_MNIST)"),
    ("--models", "NAMES", f"comma-separated (default: {','.join(models.names())})"),
    ("--seeds", "N", "train every cell from seeds 0 ... N-1"),
    ("--epochs", "N", "epochs of training"),
    ("--batch-size", "N", "examples in a training step (default: 200)"),
    ("--results", "DIR", "folder of all runs (default: results)"),
    ("--resume", "RUN", "go on with this run of the results folder"),
    ("--worker-timeout", "SECONDS", "give a silent worker up after this (default: 900)"),
)
WORKER_OPTION = ("--worker", "BACKEND=PYTHON", "interpreter of a backend; may be repeated")


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        suite: Name of the suite that the sizes come from.
        models: Models to train.
        backends: Backends that must all be there.
        device: `cpu` or `gpu`.
        dataset: `auto`, `mnist` or `digits`.
        mnist: Where the user says MNIST lies.
        seeds: How many seeds.
        epochs: How many epochs.
        batch_size: Examples in a step.
        train_examples: Train on the first so many only; None takes all.
        workers: Interpreter of each backend.
        results: Folder of all runs.
        timeout_seconds: Longest silence of a worker.
    """

    suite: str
    models: tuple[str, ...]
    backends: tuple[str, ...]
    device: str
    dataset: str
    mnist: Path | None
    seeds: int
    epochs: int
    batch_size: int
    train_examples: int | None
    workers: Mapping[str, str]
    results: Path
    timeout_seconds: float

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, the backends of one model and seed beside each other."""
        return tuple(
            Cell(model, "stock", backend, self.device, seed)
            for seed in range(self.seeds)
            for model in self.models
            for backend in self.backends
        )


def resolve(
    options: Mapping[str, str | None], workers: Sequence[str], environ: Mapping[str, str]
) -> Plan:
    """Check the options and fill in the defaults.

    Args:
        options: Texts by option name without dashes (`batch_size`); None is "not given".
        workers: Texts of `--worker`.
        environ: `BENCH_BACKENDS`, `BENCH_DEVICE` and `BENCH_MNIST` are read from it.

    Raises:
        UsageError: An option cannot be obeyed.
    """
    suite = SUITES[_choice("--suite", options["suite"] or "default", SUITES)]
    device = _choice("BENCH_DEVICE", environ.get("BENCH_DEVICE") or "cpu", DEVICES)
    interpreters = _interpreters(workers)
    backends = _names(
        "BENCH_BACKENDS",
        environ.get("BENCH_BACKENDS") or ",".join(interpreters or BACKENDS),
        tuple(BACKENDS),
    )
    mnist = options["mnist"] or environ.get("BENCH_MNIST")
    dataset = _choice("--dataset", options["dataset"] or "auto", DATASETS)
    if options["mnist"] and dataset == "digits":
        raise UsageError("--mnist PATH and --dataset digits contradict each other")
    return Plan(
        suite=suite.name,
        models=_names("--models", options["models"] or ",".join(models.names()), models.names()),
        backends=backends,
        device=device,
        dataset=dataset,
        mnist=Path(mnist) if mnist else None,
        seeds=_count("--seeds", options["seeds"], suite.seeds),
        epochs=_count("--epochs", options["epochs"], suite.epochs),
        batch_size=_count("--batch-size", options["batch_size"], 200),
        train_examples=suite.train_examples,
        workers={
            backend: interpreters.get(backend, default_interpreter(backend, device))
            for backend in backends
        },
        results=Path(options["results"] or "results"),
        timeout_seconds=_count("--worker-timeout", options["worker_timeout"], 900),
    )


# What `--resume` takes from the run itself.
STORED_OPTIONS = ("suite", "dataset", "models", "seeds", "epochs", "batch_size")


def plan_payload(plan: Plan) -> dict[str, Any]:
    """What the run's own plan shard keeps of the plan."""
    return {
        "suite": plan.suite,
        "models": list(plan.models),
        "backends": list(plan.backends),
        "device": plan.device,
        "seeds": plan.seeds,
    }


def again(
    stored: Mapping[str, Any], options: Mapping[str, str | None], environ: Mapping[str, str]
) -> tuple[dict[str, str | None], dict[str, str], tuple[Cell, ...]]:
    """Options, variables and cells with which a stored run goes on.

    Raises:
        UsageError: An option was given that the run has decided already.
    """
    for name in STORED_OPTIONS:
        if options[name] is not None:
            flag = name.replace("_", "-")
            raise UsageError(f"--resume takes the plan from the run; leave out --{flag}")
    protocol = stored["protocol"]
    decided = {
        "suite": stored["suite"],
        "models": ",".join(stored["models"]),
        "seeds": str(stored["seeds"]),
        "epochs": str(protocol["epochs"]),
        "batch_size": str(protocol["batch_size"]),
        "dataset": protocol["dataset"],
    }
    selected = {
        "BENCH_BACKENDS": ",".join(stored["backends"]),
        "BENCH_DEVICE": stored["device"],
    }
    cells = tuple(Cell(**cell) for cell in stored["cells"])
    return {**options, **decided}, {**environ, **selected}, cells


def default_interpreter(backend: str, device: str) -> str:
    """Where `nox -s 'worker(<backend>-<device>)'` puts the interpreter."""
    return str(ROOT / ".nox" / f"worker-{backend}-{device}" / "bin" / "python")


def estimated_seconds(plan: Plan, cells: Sequence[Cell], examples: int | None = None) -> float:
    """A rough guess, from rates seen on two cores, for before anything is measured.

    Args:
        plan: The plan.
        cells: Those that are to be trained.
        examples: Training examples of the dataset, where it is known already.
    """
    examples = examples or (DIGITS_EXAMPLES if plan.dataset == "digits" else MNIST_EXAMPLES)
    share = min(plan.train_examples or examples, examples) / MNIST_EXAMPLES
    return sum(
        CELL_START_SECONDS + plan.epochs * share * BACKENDS[cell.backend].epoch_seconds
        for cell in cells
    )


def describe(plan: Plan, cells: Sequence[Cell]) -> str:
    """What training `cells` by this plan means, in a few lines for a person."""
    minutes = math.ceil(estimated_seconds(plan, cells) / 60)
    device = "the CPU" if plan.device == "cpu" else "the GPU"
    dataset = "mnist" if plan.mnist and plan.dataset == "auto" else plan.dataset
    examples = f" of {plan.train_examples:,} images" if plan.train_examples else ""
    return (
        f"Keras Backend Bench, suite {plan.suite}: train and test {' and '.join(plan.models)}\n"
        f"under {', '.join(plan.backends)} on {device}, from the same weights,\n"
        f"with the same batches: {_number(len(cells), 'training')} of "
        f"{_number(plan.epochs, 'epoch')}{examples}, batch {plan.batch_size},\n"
        f"dataset {dataset}. About {minutes} min on two cores."
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _choice(option: str, value: str, choices: Sequence[str] | Mapping[str, object]) -> str:
    if value not in choices:
        raise UsageError(f"{option}: unknown {value!r}; choose from {', '.join(choices)}")
    return value


def _names(option: str, value: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """The chosen names in the order of `choices`, each once."""
    given = [name.strip() for name in value.split(",")]
    for name in given:
        _choice(option, name, choices)
    return tuple(name for name in choices if name in given)


def _count(option: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= 1_000_000):
        raise UsageError(f"{option}: a whole number from 1 to 1,000,000 is wanted, not {value!r}")
    return int(value)


def _interpreters(workers: Sequence[str]) -> dict[str, str]:
    interpreters = {}
    for text in workers:
        backend, separator, python = text.partition("=")
        if not separator or not python:
            raise UsageError(f"--worker: BACKEND=PYTHON is wanted, not {text!r}")
        interpreters[_choice("--worker", backend, BACKENDS)] = python
    return interpreters


def _check_spelling(others: Sequence[str]) -> None:
    """What is not ours is pytest's, unless it looks like a slip."""
    ours = [flag for flag, _, _ in OPTIONS]
    for other in others:
        near = difflib.get_close_matches(other.partition("=")[0], ours, n=1, cutoff=0.8)
        if near:
            raise UsageError(f"unknown option {other}; did you mean {near[0]}?")


def main(arguments: Sequence[str]) -> int:
    """Print the plan for these options, ignoring those that are pytest's."""
    parser = argparse.ArgumentParser(prog="bench", add_help=False, allow_abbrev=False)
    for flag, metavar, text in OPTIONS:
        parser.add_argument(flag, metavar=metavar, help=text)
    flag, metavar, text = WORKER_OPTION
    parser.add_argument(flag, metavar=metavar, help=text, action="append", default=[])
    known, others = parser.parse_known_args(arguments)
    options = vars(known)
    try:
        _check_spelling(others)
        results, resume = Path(options["results"] or "results"), options["resume"]
        if resume and not (results / resume / "shards" / "plan.json").exists():
            raise UsageError(f"--resume: no run {resume!r} in {results}")
        if resume:
            print(f"Keras Backend Bench: go on with {results / resume}.")
        else:
            plan = resolve(options, options["worker"], os.environ)
            if plan.mnist and not plan.mnist.exists():
                raise DataError(f"{plan.mnist}: no such file or folder; MNIST is wanted here")
            print(describe(plan, plan.cells))
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
