"""The options of a run, and how their texts are read; each error names the option."""

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence

import models
from bench.contract.backends import BACKENDS, backend_of
from bench.contract.errors import UsageError
from bench.contract.variants import JOIN, SETTINGS, THREE, is_variant
from bench.planning.suites import SUITES

MOST_SECONDS = 1e9
"""As a shard may hold them."""

DATASETS = ("auto", "mnist", "digits")

ENGINE = re.compile(r"ray|plan|local:([1-9]\d?)")

# Name of the option, placeholder, help. All arrive as text, so that `resolve` words each error.
OPTIONS = (
    ("--suite", "NAME", f"{', '.join(SUITES)} (default: default)"),
    ("--dataset", "NAME", "auto (mnist, else digits; the default), mnist, digits"),
    ("--mnist", "PATH", "mnist.npz, or a folder with the idx files (or set BENCH_MNIST)"),
    ("--models", "NAMES", f"shipped ones, comma-separated (default: {','.join(models.names())})"),
    ("--variants", "NAMES", f"{', '.join(THREE)}, settings like late+loop, or all"),
    ("--data", "FILE", "npz with x_train, y_train, x_test, y_test, for models of your own"),
    ("--seeds", "N", "train every cell from seeds 0 ... N-1"),
    ("--epochs", "N", "epochs of training"),
    ("--batch-size", "N", "examples in a training step (default: 200)"),
    ("--precision", "PERCENT", "measure until training's intervals are this narrow (like 3%)"),
    ("--budget", "TIME", "measure speed for at most this long (like 10m)"),
    ("--lanes", "FILE", "lanes with other packages, variables or precision (docs/lanes.md)"),
    ("--python", "VERSION", "Python of the lanes of --against (like 3.12)"),
    ("--farm", "ENGINE", "have it done by ray, local:N, or commands (plan); docs/farm.md"),
    ("--results", "DIR", "folder of all runs (default: results)"),
    ("--resume", "RUN", "go on with this run of the results folder"),
    ("--worker-timeout", "SECONDS", "give a silent worker up after this (default: 900)"),
)
NOT_GIVEN: dict[str, str | None] = dict.fromkeys(
    flag.strip("-").replace("-", "_") for flag, _, _ in OPTIONS
)
DECIDED = (
    *("suite", "dataset", "data", "models", "variants", "seeds", "epochs", "batch_size"),
    *("precision", "budget", "lanes", "python"),
)
"""What `--resume` takes from the run itself."""

AGAINST_OPTION = ("--against", "REQUIREMENT", "measure these packages, too; may be repeated")
MODEL_OPTION = ("--model", "FILE[:FUNCTION]", "a model of your own; may be repeated")
WORKER_OPTION = ("--worker", "LANE=PYTHON", "interpreter of a backend or lane; may be repeated")
REPEATED = (AGAINST_OPTION, MODEL_OPTION, WORKER_OPTION)


MOST_COMMAND = 10_000
"""Characters that somebody might still copy."""

VARIABLES = ("BENCH_BACKENDS", "BENCH_DEVICE", "BENCH_MNIST", "BENCH_REQUIREMENTS")


def command(given: Mapping[str, object], environ: Mapping[str, str]) -> str:
    """What repeats a run wherever its results are to lie; empty where no shard could hold it.

    Args:
        given: Of each option of `OPTIONS` and `REPEATED` by its name, and of pytest's `keyword`,
            what was given.
        environ: Our variables are read from it.
    """
    flags = [flag for flag, *_ in (*OPTIONS, *REPEATED[:-1])]
    known = [(flag, given.get(flag.strip("-").replace("-", "_"))) for flag in flags]
    known.append(("-k", given.get("keyword")))
    words = [
        word
        for flag, values in known
        if flag not in {"--results", "--resume", "--worker-timeout", "--farm"}
        for value in (values if isinstance(values, list) else [values])
        if value
        for word in (flag, str(value))
    ]
    variables = [f"{name}={shlex.quote(environ[name])}" for name in VARIABLES if environ.get(name)]
    told = " ".join((*variables, "nox -s bench", *(("--", shlex.join(words)) if words else ())))
    return told if told.isprintable() and len(told) <= MOST_COMMAND else ""


def choice(option: str, value: str, choices: Sequence[str] | Mapping[str, object]) -> str:
    """`value`, which must be one of `choices`."""
    if value not in choices:
        raise UsageError(f"{option}: unknown {value!r}; choose from {', '.join(choices)}")
    return value


def names(option: str, value: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """The chosen names in the order of `choices`, each once."""
    given = [name.strip() for name in value.split(",")]
    for name in given:
        choice(option, name, choices)
    return tuple(name for name in choices if name in given)


def variants(value: str) -> tuple[str, ...]:
    """Names of variants, the three in their order, and after them settings as they were given."""
    if value == "all":
        return (*THREE, *SETTINGS)
    given = list(dict.fromkeys(name.strip() for name in value.split(",")))
    for name in given:
        if not is_variant(name):
            known = ", ".join((*THREE, *SETTINGS))
            raise UsageError(
                f"--variants: unknown {name!r}; choose from {known} (settings may be joined with "
                f"{JOIN}), or all"
            )
    return (*(name for name in THREE if name in given), *(n for n in given if n not in THREE))


MOST = 1_000_000


def count(option: str, value: str | None, default: int, most: int = MOST) -> int:
    """A whole number, or the default where nothing was given."""
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= most):
        raise UsageError(f"{option} must be an integer from 1 to {most:,} (got {value!r})")
    return int(value)


def duration(option: str, value: str | None, default: float | None) -> float | None:
    """Seconds of a text like `90s`, `10m` or `1h`."""
    if value is None:
        return default
    match = re.fullmatch(r"(\d{1,9})(s|m|h|)", value)
    if not match or not int(match[1]):
        raise UsageError(f"{option} must be a time like 90s, 10m or 1h (got {value!r})")
    seconds = int(match[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}[match[2]]
    if seconds > MOST_SECONDS:
        raise UsageError(f"{option}: at most {MOST_SECONDS / 3600:,.0f}h")
    return seconds


def percent(option: str, value: str | None, default: float | None) -> float | None:
    """A percentage with or without its sign."""
    if value is None:
        return default
    match = re.fullmatch(r"(\d{1,2}(?:\.\d{1,3})?)%?", value)
    if not match or not float(match[1]):
        raise UsageError(f"{option} must be a percentage like 3% (got {value!r})")
    return float(match[1])


def engine(value: str) -> str:
    """Who does the pieces of a farm, which must be one of those that there are."""
    if not ENGINE.fullmatch(value):
        raise UsageError(f"--farm must be ray, plan or local:N, N from 1 to 99 (got {value!r})")
    return value


def interpreters(workers: Sequence[str]) -> dict[str, str]:
    """Interpreter by lane, from the texts of `--worker`."""
    found = {}
    for text in workers:
        lane, separator, python = text.partition("=")
        if not separator or not python:
            raise UsageError(f"--worker must be LANE=PYTHON (got {text!r})")
        choice("--worker", backend_of(lane), BACKENDS)
        found[lane] = python
    return found


def refuse_decided(
    options: Mapping[str, str | None], files: Sequence[str] = (), against: Sequence[str] = ()
) -> None:
    """Refuse options that a run which goes on has decided already.

    Raises:
        UsageError: One was given.
    """
    given = [name for name in DECIDED if options[name] is not None] + ["model"] * bool(files)
    given += ["against"] * bool(against)
    if given:
        flag = given[0].replace("_", "-")
        raise UsageError(f"--resume takes the plan from the run; leave out --{flag}")


def check_spelling(others: Sequence[str]) -> None:
    """What is not ours is pytest's, unless it looks like a slip."""
    ours = [flag for flag, _, _ in (*OPTIONS, *REPEATED)]
    for other in others:
        near = difflib.get_close_matches(other.partition("=")[0], ours, n=1, cutoff=0.8)
        if near:
            raise UsageError(f"unknown option {other}; did you mean {near[0]}?")
