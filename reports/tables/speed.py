"""The speed table: examples per second of every workload and lane, what it cost to start, and more.

Where a run measured slots in turn, they speak; else the epochs of its accuracy part, of one backend
after another, of which no interval can honestly be made.
"""

import numpy as np
import pandas as pd

from bench.contract.schema import Lane, SpeedPlan, Workload
from reports.read.shards import Shards
from reports.statistics import intervals, launch_values, validity
from reports.tables.cells import KEYS
from reports.tables.columns import declared, dtypes, frame, picked
from reports.tables.samples import LANE, WORKLOAD, Samples, failure, only

FAILED = "failed"
"""Status of a variant that a lane could not prepare."""

COLUMNS = dtypes("speed")


def table(
    shards: Shards, accuracy_table: pd.DataFrame, samples: Samples, cells: pd.DataFrame
) -> pd.DataFrame:
    """One row per workload and lane, those without a result included.

    Args:
        shards: What was read, comparable by `reports.tables.comparable.check`.
        accuracy_table: `reports.tables.accuracy.table` of them, for what became of each cell.
        samples: `reports.tables.samples.collect` of them.
        cells: `reports.tables.cells.collect` of them.

    Returns:
        `COLUMNS`. `images_per_second` is the steady rate, without the price of a call
        (`fixed_seconds`) and as if no hypervisor had taken anything (`launch_values`): the mean in
        logs over launches, with the 95 % t-interval `low` to `high` from
        `statistics.MIN_LAUNCHES` launches on. `gflops` is the model's arithmetic at that rate.
        `utilisation_percent` is its share of what the anchor, a matrix product in NumPy, reached
        meanwhile, both as they were, whatever was taken from either (medians; for the CPU alone).
        `steal_percent` is what the hypervisor took from the turns on average, and
        `steal_slowdown_percent` by how much that is estimated to have slowed them, which has been
        taken off the rate. CPU seconds and minor page faults are of all steps, those of the
        one-step calls included. Latencies are percentiles over all calls of all launches, as they
        were. `import_seconds`, `first_step_seconds` and
        `peak_rss_mib` are of the accuracy part, where a worker has the machine and its memory to
        itself; without one, the first two are of the launches. `launches` and `rounds` are those
        that were used.

        A model and backend without slots has a row of the `train` epochs of its cells: a launch
        is then a cell, a round an epoch, and there is no interval.

        `status` is `ok`, `missing`, how the lane failed, or `invalid` where too many samples are
        (see `reports.statistics.validity`).
    """
    slots = frame(
        "speed",
        (
            _row(samples, cells, shards, run, workload, lane)
            for run, plan in planned(shards)
            for workload in plan.workloads
            for lane in plan.lanes
            if not lane.twin
        ),
    )
    measured = pd.MultiIndex.from_frame(slots[KEYS])
    rest = accuracy_table[~pd.MultiIndex.from_frame(accuracy_table[KEYS]).isin(measured)]
    rest = rest[rest["images_per_second"].notna() | (rest["status"] != "ok")]  # else of a farm
    epochs = _of_epochs(rest, cells)
    return pd.concat([slots, epochs], ignore_index=True) if len(slots) else epochs


def planned(shards: Shards) -> list[tuple[str, SpeedPlan]]:
    """Run ids and plans of the runs that set out to measure slots."""
    return [(run, plan.speed) for run, plan in shards.plans.items() if plan.speed is not None]


def worst(statuses: "pd.Series[str]") -> str:
    """`ok` only if all are."""
    bad = statuses[statuses != "ok"]
    return "ok" if bad.empty else str(bad.iloc[0])


def _row(
    samples: Samples, cells: pd.DataFrame, shards: Shards, run: str, workload: Workload, lane: Lane
) -> dict[str, object]:
    identity = picked(workload, *WORKLOAD) | picked(lane, "lane", "device")
    status = lane_status(shards, samples, run, workload, lane)
    used = samples.usable_of(run, workload, lane)
    if status == "invalid":  # a figure of something else is worse than none
        used = used.iloc[:0]
    row = identity | {"status": status, "launches": used["launch"].nunique(), "rounds": len(used)}
    row |= _start(samples, cells, run, workload, lane)
    if used.empty:
        return row
    steps_per_second, _ = launch_values.launch_values(used)
    values = steps_per_second + np.log(workload.batch_size)
    images_per_second = float(np.exp(values.mean()))
    low, high = np.nan, np.nan
    if len(values) >= intervals.MIN_LAUNCHES:
        low, high = intervals.interval(values)
    flops = used["flops_per_image"].iloc[0]
    as_it_was = workload.batch_size / used["seconds_per_step"].median()
    anchors = only(samples.anchors, ["run"], [run])["gflops"]
    peak = anchors.median() if lane.device == "cpu" else np.nan
    calls = 1000 * np.concatenate(used["latencies"].to_list())
    p50, p90, p99 = np.percentile(calls, (50, 90, 99)) if calls.size else (np.nan,) * 3
    return row | {
        "images_per_second": images_per_second,
        "low": low,
        "high": high,
        "ms_per_step": 1000 * workload.batch_size / images_per_second,
        "gflops": flops * images_per_second / 1e9,
        "utilisation_percent": 100 * flops * as_it_was / 1e9 / peak,
        "fixed_seconds": used["fixed_seconds"].median(),
        "cpu_seconds_per_step": used["cpu_seconds_per_step"].median(),
        "page_faults_per_step": used["minor_faults_per_step"].median(),
        "latency_p50_ms": p50,
        "latency_p90_ms": p90,
        "latency_p99_ms": p99,
        "steal_percent": used["steal_percent"].mean(),
        "steal_slowdown_percent": 100 * np.expm1(launch_values.slowdown(used)),
    }


def lane_end(shards: Shards, run: str, lane: Lane) -> str:
    """How the last launch of a lane ended; `missing` if it took part in none.

    A lane that fails is started again with the next launch, as a cell is tried again: what counts
    is whether it came back.
    """
    ends = [
        record.status
        for shard in shards.speed
        if shard.run_id == run
        for record in shard.payload.lanes
        if record.lane == lane
    ]
    return ends[-1] if ends else "missing"


def variant_error(shards: Shards, run: str, workload: Workload, lane: Lane) -> str:
    """Why a lane could not prepare the variant of a workload in its last launch; else empty."""
    errors = [
        failure(record, workload)
        for shard in shards.speed
        if shard.run_id == run and workload in shard.payload.workloads
        for record in shard.payload.lanes
        if record.lane == lane
    ]
    return errors[-1] if errors else ""


def lane_status(shards: Shards, samples: Samples, run: str, workload: Workload, lane: Lane) -> str:
    """`ok` only if the lane did not fail for good and its samples of the workload count."""
    end = lane_end(shards, run, lane)
    if end != "ok":
        return end
    if variant_error(shards, run, workload, lane):
        return FAILED
    found = samples.of(run, workload, lane)
    if found.empty:
        return "missing"
    counted = found[found["void"] == ""]
    invalid = (counted["invalid"] != "").sum()
    return "invalid" if counted.empty or invalid > validity.TOLERATED * len(counted) else "ok"


def _start(
    samples: Samples, cells: pd.DataFrame, run: str, workload: Workload, lane: Lane
) -> dict[str, float]:
    keys = [workload.model, workload.variant, lane.lane, lane.device]
    alone = only(cells, ["run", *KEYS], [run, *keys])
    own = {"run": run, "model": workload.model, "variant": workload.variant, **picked(lane, *LANE)}
    beside = only(samples.starts, list(own), list(own.values()))
    beside = beside[beside["launch"] == beside["launch"].min()]  # later ones need not compile
    starts = beside if alone.empty else alone
    return {
        "import_seconds": starts["import_seconds"].median(),
        "first_step_seconds": starts["first_step_seconds"].median(),
        "peak_rss_mib": alone["peak_rss_mib"].max(),
    }


def _of_epochs(accuracy_table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    statuses = accuracy_table.groupby(KEYS, as_index=False).agg(status=("status", worst))
    table = cells.groupby(KEYS, as_index=False).agg(
        batch_size=("batch_size", "first"),
        epoch_seconds=("epoch_seconds", "median"),
        images=("images", "first"),
        steps=("steps", "first"),
        import_seconds=("import_seconds", "median"),
        first_step_seconds=("first_step_seconds", "median"),
        peak_rss_mib=("peak_rss_mib", "max"),
        launches=("epoch_seconds", "count"),
        rounds=("epochs", "sum"),
    )
    table = statuses.merge(table, on=KEYS, how="left", validate="one_to_one")
    table["phase"] = "train"
    table["images_per_second"] = table["images"] / table["epoch_seconds"]
    table["ms_per_step"] = 1000 * table["epoch_seconds"] / table["steps"]
    table[["launches", "rounds"]] = table[["launches", "rounds"]].fillna(0)
    return declared("speed", table.reindex(columns=list(COLUMNS)))
