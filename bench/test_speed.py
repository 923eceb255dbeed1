"""Measure every series in turn with the others; a test fails where a series has no samples."""

from collections.abc import Iterator

import pytest
from msgspec.structs import asdict
from pytest_benchmark.fixture import BenchmarkFixture

from bench.benchmark_json import CLOCK, record
from bench.contract.schema import Lane
from bench.contract.speed_schema import Sample, Speed
from bench.contract.units import Series, Workload
from bench.contract.variants import is_ablation
from bench.coordinator.speed.launches import Listener, examples_per_second, measure, stored
from bench.outcome import ending_the_run, fail_unless_ok
from bench.session.report import after_main
from bench.session.run import Run


@pytest.fixture(scope="session")
def launches(run: Run) -> list[Speed]:
    """All launches; whoever asks first has them measured."""
    listener = Listener(run.progress.launch, run.progress.say, lambda: after_main(run))
    if run.plan.farm:
        return stored(run.folder)
    with ending_the_run(run), run.progress.live():
        made = measure(run.plan, run.selection, run.dataset, run.folder, listener)
    run.speeds.update(examples_per_second(made))
    return made


@pytest.mark.benchmark(timer=CLOCK)
def test_speed(
    series: Series, run: Run, launches: list[Speed], benchmark: BenchmarkFixture
) -> None:
    """Hand the seconds per step of one series to pytest-benchmark, all launches in order.

    They are those of whole slots, so each holds its share of the price of a call; the report
    takes that out.
    """
    lane, workload = series.lane, series.workload
    samples = [sample for launch in launches for sample in _samples(launch, series)]
    ends = [one for launch in launches for one in launch.lanes if _is(one.lane, series)]
    error = _variant_error(launches, series)
    if error and is_ablation(workload.variant):
        return  # that it cannot be had is a result: the report has a row that says so
    if error or not samples or all(one.status != "ok" for one in ends):
        faults = [one.error for one in ends if one.status != "ok"]
        fail_unless_ok(run, "no samples", error or (faults[-1] if faults else "none"))
    record(
        benchmark,
        f"{workload.model} {workload.variant} {workload.phase}, batch {workload.batch_size}",
        [sample.seconds / sample.steps for sample in samples],
        {
            "lane": lane.name,
            "steps": samples[0].steps,
            "one_step_seconds": [sample.one_step_seconds for sample in samples],
        },
    )


def _variant_error(launches: list[Speed], series: Series) -> str | None:
    """Why the lane could not prepare the series' variant when it last tried, if it could not."""
    wanted = (series.workload.model, series.workload.variant)
    errors = [
        prepared.error
        for launch in launches
        for record in launch.lanes
        if _is(record.lane, series)
        for prepared in record.preparations
        if (prepared.model, prepared.variant) == wanted
    ]
    return errors[-1] if errors else None


def _samples(launch: Speed, series: Series) -> Iterator[Sample]:
    for each in launch.rounds:
        if Workload(**asdict(launch.workloads[each.workload])) == series.workload:
            yield from (s for s in each.samples if _is(launch.lanes[s.lane].lane, series))


def _is(lane: Lane, series: Series) -> bool:
    own = series.lane
    return (lane.lane, lane.device, lane.twin) == (own.name, own.device, own.twin)
