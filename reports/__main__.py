"""`python -m reports RUN...`: read the shards of some runs, write and print the comparison."""

import argparse
import contextlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from reports import markdown, shards, speed, terminal
from reports.comparable import NotComparableError
from reports.comparison import TABLES, Comparison, compare, published_error
from reports.statistics import MIN_LAUNCHES

# As in the table of CONTRIBUTING.md; bench has the same, and neither imports the other.
OK, FAIL, INCONCLUSIVE, ENVIRONMENT, DATA, INTERNAL = 0, 1, 3, 4, 5, 6

WRITTEN = (
    "report.md",
    *(f"tables/{n}.{t}" for n in TABLES for t in ("csv", "parquet")),
)
"""An old comparison must not stand where a new one was refused."""


def main(arguments: Sequence[str]) -> int:
    """Make the report and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--require", default="", metavar="BACKENDS", help="comma-separated; each must be there"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="default: the run, or results/merged for several"
    )
    options = parser.parse_args(arguments)
    required = [name for name in options.require.split(",") if name]
    single = options.runs[0] if len(options.runs) == 1 else Path("results") / "merged"
    output = options.output or single

    found = shards.read(options.runs)
    try:
        # Nothing is removed from a folder that is none of ours.
        for stale in WRITTEN if found.plans or (output / "shards").is_dir() else ():
            (output / stale).unlink(missing_ok=True)
    except OSError as error:
        return _cannot_write(output, error)
    if not found.plans:
        print("\n".join(f"error: {problem}" for problem in found.problems), file=sys.stderr)
        return DATA
    try:
        comparison = compare(found, required)
    except NotComparableError as error:
        print(f"error: not comparable: {error}", file=sys.stderr)
        return DATA
    models = comparison.summary["model"].unique()
    errors = {model: published_error(found, model) for model in models}
    published = {model: error for model, error in errors.items() if error is not None}
    try:
        write(comparison, published, output)
    except OSError as error:
        return _cannot_write(output, error)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    terminal.show(comparison, published, console)
    with contextlib.suppress(ValueError):
        output = output.resolve().relative_to(Path.cwd())
    console.print(f"\nreport: {output / 'report.md'}", soft_wrap=True)
    console.print(f"tables: {output / 'tables'}", soft_wrap=True)
    return exit_code(comparison, found)


def _cannot_write(output: Path, error: OSError) -> int:
    path = error.filename or output
    print(f"error: {path}: cannot be written ({error.strerror})", file=sys.stderr)
    return ENVIRONMENT


def write(comparison: Comparison, published: dict[str, float], folder: Path) -> None:
    """Write `report.md` and `tables/*.{csv,parquet}` into `folder`."""
    tables = folder / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    for name, frame in comparison.tables().items():
        frame.to_csv(tables / f"{name}.csv", index=False)
        frame.to_parquet(tables / f"{name}.parquet", index=False)
    (folder / "report.md").write_text(markdown.render(comparison, published), encoding="utf-8")


def exit_code(comparison: Comparison, found: shards.Shards) -> int:
    """The gravest thing that the comparison found."""
    trained = set(comparison.accuracy["status"])
    # A speed that is `invalid` makes its run untrusted; all else that is not ok is an absence.
    timed = set(comparison.speed["status"]) - {"invalid"}
    if found.problems:
        return DATA
    if (trained | timed) - {"ok", "diverged"} or comparison.incomplete:
        return ENVIRONMENT
    if "diverged" in trained or "fail" in set(comparison.parity["status"]):
        return FAIL
    inconclusive = comparison.untrusted or "invalid" in set(comparison.speed["status"])
    # A run of so few launches that it claims nothing (`smoke`) has nothing to take back.
    claims = any(plan.launches >= MIN_LAUNCHES for _, plan in speed.planned(found))
    return INCONCLUSIVE if inconclusive and claims else OK


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception:  # noqa: BLE001 - Python's own exit code, 1, would mean "diverged"
        traceback.print_exc()
        sys.exit(INTERNAL)
