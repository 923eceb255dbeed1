"""The floors of docs/architecture.md: a package imports those below it, or itself."""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.tools import packages
from tests.tools.packages import ORDER, PACKAGES, WORKER, imported, imports, modules, package_of

FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}
MOST_MODULES = 14
STDLIB_ALONE = ("bench.process", "bench.planning")
STDLIB_MODULES = (
    *(f"bench.contract.{name}" for name in ("backends", "errors", "rungs", "units", "variants")),
    "bench.worker.__main__",
    "bench.worker.allocator",
)


def all_modules() -> dict[str, Path]:
    return modules("bench") | modules("reports")


def roots(name: str, *, top_level: bool = False) -> set[str]:
    used = imports(all_modules()[name], top_level=top_level)
    return {module.partition(".")[0] for module in used}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_those_below_it_or_itself(package: str) -> None:
    below = {other for half in ORDER if package in half for other in half[: half.index(package)]}
    assert imported(package) <= below


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_small_and_says_what_belongs_there(package: str) -> None:
    own = [name for name in all_modules() if name.rpartition(".")[0] == package]
    assert 0 < len(own) <= MOST_MODULES
    file = packages.ROOT.joinpath(*package.split("."), "__init__.py")
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    assert said.partition(". ")[0]


def test_every_module_lies_in_a_package_that_has_a_place() -> None:
    assert {name.rpartition(".")[0] for name in all_modules()} == set(PACKAGES)


@pytest.mark.parametrize("name", sorted(modules("reports")))
def test_reports_know_shard_files_alone(name: str) -> None:
    assert not roots(name) & (FRAMEWORKS | {"models"})


@pytest.mark.parametrize("name", sorted(modules("bench")))
def test_frameworks_are_named_by_the_worker_alone(name: str) -> None:
    assert package_of(name) in WORKER or not roots(name) & FRAMEWORKS


@pytest.mark.parametrize("name", sorted(modules("bench")))
def test_what_runs_everywhere_needs_the_standard_library_alone(name: str) -> None:
    if package_of(name) in STDLIB_ALONE or name in STDLIB_MODULES:
        assert roots(name, top_level=True) <= sys.stdlib_module_names | {"bench", "models"}


@pytest.mark.parametrize(
    "name", [n for n in modules("reports") if package_of(n) == "reports.ladder"]
)
def test_rungs_need_numpy_alone(name: str) -> None:
    assert roots(name) <= sys.stdlib_module_names | {"numpy", "reports", "bench"}


def test_the_figure_of_the_packages_is_of_this_code() -> None:
    """`python -m tests.tools.packages` draws it anew."""
    assert packages.FIGURE.read_text(encoding="utf-8") == packages.figure()


def test_fault_18_no_duration_is_of_a_clock_that_can_be_set() -> None:
    """The wall clock names runs and nothing else; launches and attempts are in order of number."""
    calls = {
        name: set(re.findall(r"time\.time\(|time_ns\(|datetime\.now\(", file.read_text("utf-8")))
        for root in ("bench", "reports", "models")
        for name, file in modules(root).items()
    }
    found = {name: clocks for name, clocks in calls.items() if clocks}
    assert found == {"bench.coordinator.run_folder": {"datetime.now("}}
