"""The floors of docs/architecture.md, read from the source: who may import whom."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.planning.plan import ROOT

BOTTOM = {
    "bench.contract.backends",
    "bench.inputs.datasets",
    "bench.process.worker_environment",
    "bench.contract.errors",
    "bench.planning.estimate",
    "bench.inputs.examples",
    "bench.inputs.initializers",
    "bench.planning.options",
    "bench.inputs.draws",
    "bench.planning.plan",
    "bench.inputs.parity_questions",
    "bench.coordinator.speed.turn_order",
    "bench.planning.selection",
    "bench.process.steal",
    "bench.process.atomic_files",
    "bench.planning.resume",
    "bench.planning.suites",
    "bench.contract.variants",
    "bench.process.wire",
    "bench.contract.units",
}
WORKER = {
    "bench.worker.loops.adam",
    "bench.worker.allocator",
    "bench.worker.model.building",
    "bench.worker.model.candidate",
    "bench.worker.model.keras_fit",
    "bench.worker.model.native",
    "bench.worker.loops.step_clock",
    "bench.worker.model.description",
    "bench.worker.model.dropout",
    "bench.worker.loops.epochs",
    "bench.worker.loops.input_pipeline",
    "bench.worker.model.flops",
    "bench.worker.model.keras_files",
    "bench.worker.model.layer_outputs",
    "bench.worker.probes",
    "bench.worker.slots",
    "bench.worker.model.deterministic",
    "bench.worker.model.initial_weights",
    "bench.worker.float64",
    "bench.worker.loops.jax",
    "bench.worker.loops.tensorflow",
    "bench.worker.loops.torch",
    "bench.worker.training",
    "bench.worker",
}
COORDINATOR = {
    "bench.coordinator.accuracy",
    "bench.process.machine_lock",
    "bench.coordinator.speed.matmul_anchor",
    "bench.coordinator.parity.respondent",
    "bench.coordinator.speed.evidence",
    "bench.coordinator.parity.float64_references",
    "bench.coordinator.speed.launches",
    "bench.coordinator.speed.launch",
    "bench.coordinator.run_folder",
    "bench.inputs.user_models",
    "bench.coordinator.parity.ladder",
    "bench.coordinator.preflight",
    "bench.session.progress",
    "bench.coordinator.parity.oracle_answers",
    "bench.process.worker_process",
    "bench.process.temp_folders",
}
FRONT_END = {
    "bench.conftest",
    "bench.benchmark_json",
    "bench.session.run",
    "bench.selfcheck",
    "bench.test_accuracy",
    "bench.test_parity",
    "bench.test_speed",
}
STDLIB_ALONE = {
    "bench.worker.allocator",
    "bench.planning.estimate",
    "bench.planning.options",
    "bench.contract.backends",
    "bench.process.worker_environment",
    "bench.contract.errors",
    "bench.planning.plan",
    "bench.coordinator.speed.turn_order",
    "bench.planning.selection",
    "bench.process.steal",
    "bench.planning.resume",
    "bench.planning.suites",
    "bench.contract.variants",
    "bench.process.wire",
    "bench.contract.units",
    "bench.process.worker_process",
    "bench.process.temp_folders",
    "bench.worker",
}
ALLOWED = {
    **dict.fromkeys(BOTTOM, BOTTOM),
    **dict.fromkeys(WORKER, BOTTOM | WORKER),
    **dict.fromkeys(COORDINATOR, BOTTOM | COORDINATOR),
    **dict.fromkeys(FRONT_END, BOTTOM | COORDINATOR | FRONT_END),
}


def modules(package: str) -> dict[str, Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): file
        for file in files
        if file.name != "__init__.py"
    }


def imports(file: Path, *, top_level: bool = False) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import, which this test cannot follow"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_of_bench_has_a_floor() -> None:
    assert set(modules("bench")) == set(ALLOWED)


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_bench_imports_its_own_floor_and_those_below(name: str) -> None:
    known = set(ALLOWED)
    used = {module for module in imports(modules("bench")[name]) if module in known}
    assert used <= ALLOWED[name]


@pytest.mark.parametrize("name", sorted(modules("reports")))
def test_reports_know_shard_files_alone(name: str) -> None:
    roots = {module.partition(".")[0] for module in imports(modules("reports")[name])}
    assert not roots & {"bench", "models", "keras", "tensorflow", "jax", "torch"}


@pytest.mark.parametrize("name", sorted(STDLIB_ALONE))
def test_what_runs_everywhere_needs_the_standard_library_alone(name: str) -> None:
    roots = {module.partition(".")[0] for module in imports(modules("bench")[name], top_level=True)}
    assert roots <= sys.stdlib_module_names | {"bench", "models"}


def test_frameworks_are_named_by_the_worker_alone() -> None:
    for name, file in modules("bench").items():
        roots = {module.partition(".")[0] for module in imports(file)}
        if roots & {"keras", "tensorflow", "jax", "torch"}:
            assert name in WORKER


def test_fault_18_no_duration_is_of_a_clock_that_can_be_set() -> None:
    """The wall clock names runs and nothing else; launches and attempts are in order of number."""
    calls = {
        name: set(re.findall(r"time\.time\(|time_ns\(|datetime\.now\(", file.read_text("utf-8")))
        for package in ("bench", "reports", "models")
        for name, file in modules(package).items()
    }
    found = {name: clocks for name, clocks in calls.items() if clocks}
    assert found == {"bench.coordinator.run_folder": {"datetime.now("}}
