"""Measure every series in turn with the others; a test fails where a series has no samples."""

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.benchmark_json import CLOCK, record
from bench.contract.errors import DataError, ExitCode, StorageError
from bench.contract.units import Series
from bench.contract.variants import is_ablation
from bench.coordinator.speed.launches import measure
from bench.session.run import Run


@pytest.fixture(scope="session")
def launches(run: Run) -> list[dict[str, Any]]:
    """Payloads of all launches; whoever asks first has them measured."""
    try:
        with run.progress.half("speed") as tell:
            return measure(run.plan, run.selection, run.dataset, run.journal, tell)
    except (DataError, StorageError) as error:
        run.exit_code = error.exit_code
        pytest.exit(f"error: {error}", returncode=error.exit_code)


@pytest.mark.benchmark(timer=CLOCK)
def test_speed(
    series: Series, run: Run, launches: list[dict[str, Any]], benchmark: BenchmarkFixture
) -> None:
    """Hand the seconds per step of one series to pytest-benchmark, all launches in order.

    They are those of whole slots, so each holds its share of the price of a call; the report
    takes that out.
    """
    lane, workload = series.lane, series.workload
    samples = [sample for launch in launches for sample in _samples(launch, series)]
    faults = [
        record["error"]
        for launch in launches
        for record in launch["lanes"]
        if record["status"] != "ok" and _is(record["lane"], series)
    ]
    error = _variant_error(launches[-1], series)
    if error and is_ablation(workload.variant):
        return  # that it cannot be had is a result: the report has a row that says so
    if error or not samples or len(faults) == len(launches):
        run.exit_code = ExitCode.ENVIRONMENT
        pytest.fail(error or (faults[-1] if faults else "no samples"), pytrace=False)
    record(
        benchmark,
        f"{workload.model} {workload.variant} {workload.phase}, batch {workload.batch_size}",
        [sample["seconds"] / sample["steps"] for sample in samples],
        {
            "lane": lane.name,
            "steps": samples[0]["steps"],
            "one_step_seconds": [sample["one_step_seconds"] for sample in samples],
        },
    )


def _variant_error(launch: dict[str, Any], series: Series) -> str:
    """Why a lane could not prepare this variant; empty if it could."""
    workload = series.workload
    errors = [
        prepared["error"]
        for record in launch["lanes"]
        if _is(record["lane"], series)
        for prepared in record["preparations"]
        if (prepared["model"], prepared["variant"]) == (workload.model, workload.variant)
    ]
    return next((error for error in errors if error), "")


def _samples(launch: dict[str, Any], series: Series) -> list[dict[str, Any]]:
    lanes, workloads = launch["lanes"], launch["workloads"]
    name = {
        "model": series.workload.model,
        "variant": series.workload.variant,
        "phase": series.workload.phase,
        "batch_size": series.workload.batch_size,
    }
    return [
        sample
        for one in launch["rounds"]
        if workloads[one["workload"]] == name
        for sample in one["samples"]
        if _is(lanes[sample["lane"]]["lane"], series)
    ]


def _is(lane: dict[str, Any], series: Series) -> bool:
    return (lane["backend"], lane["twin"]) == (series.lane.backend, series.lane.twin)
