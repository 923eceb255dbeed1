"""The speed half of a run: launch after launch, until plan, precision or budget says stop.

It never stops because a difference became significant: that would call identical things different
in more than one run of eight.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from bench.contract.errors import DataError
from bench.contract.speed_schema import Speed
from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed.launch import failed_lanes, known_steps, lane_names, run_launch
from bench.inputs.datasets import Dataset
from bench.planning.plan import ROOT, Plan
from bench.planning.selection import Selection

PREFIX = "speed-launch"
# When the precision is looked at. Earlier, an interval that is narrow by luck would stop the run
# (docs/measuring.md has the figures).
LOOKS = (8, 10, 12, 16, 20, 24, 28, 32, 36)
# A lane that fails is started again with the next launch, once.
CHANCES = 2


def stored(run_folder: RunFolder) -> list[Speed]:
    """The launches that the run has already."""
    found = (run_folder.read(_shard_id(n), Speed) for n in run_folder.numbers(PREFIX))
    return [launch for launch in found if launch is not None]


def measure(
    plan: Plan,
    selection: Selection,
    dataset: Dataset,
    run_folder: RunFolder,
    tell: Callable[[str], None],
) -> list[Speed]:
    """Measure the selected series and store a shard after each launch.

    Args:
        plan: Sizes, precision and budget.
        selection: Lanes and workloads.
        dataset: What on.
        run_folder: Where the shards go; launches that it has count.
        tell: Takes a line on how far it is.

    Returns:
        All launches.
    """
    launches = stored(run_folder)
    # What failed before may have been repaired since: a resumed run gives every lane its chances.
    before = len(launches)
    steps = known_steps(launches)
    while not is_enough(plan, selection, launches, before, lambda: half_width_percent(run_folder)):
        number = max(run_folder.numbers(PREFIX), default=0) + 1
        name = f"launch {len(launches) + 1}" + (f"/{plan.launches}" if _is_fixed(plan) else "")
        lanes = [lane for lane in selection.lanes if lane.name not in _given_up(launches[before:])]
        launch = run_launch(
            number,
            plan,
            lanes,
            selection.workloads,
            dataset,
            steps,
            lambda text, name=name: tell(f"{name}: {text}"),  # type: ignore[misc]
        )
        run_folder.write(_shard_id(number), launch)
        launches.append(launch)
    return launches


def is_enough(
    plan: Plan,
    selection: Selection,
    launches: Sequence[Speed],
    before: int,
    half_width: Callable[[], float],
) -> bool:
    """Whether no further launch is wanted.

    Args:
        plan: Launches, precision and budget.
        selection: Who is measured.
        launches: The launches so far.
        before: How many of them an earlier part of a resumed run has made.
        half_width: Gives the widest half-width of training's ratios so far, in percent.
    """
    wanted = {lane.name for lane in selection.lanes} - _given_up(launches[before:])
    whole = sum(
        wanted <= set(lane_names(launch)) - set(failed_lanes(launch)) for launch in launches
    )
    if whole >= plan.launches or not wanted:
        return True
    if plan.budget_seconds is not None and launches:
        durations = [_seconds(launch) for launch in launches]
        if sum(durations) + max(durations[-3:]) > plan.budget_seconds:
            return True
    if plan.precision_percent is not None and whole in LOOKS:
        return half_width() <= plan.precision_percent
    return False


def half_width_percent(run_folder: RunFolder) -> float:
    """What `python -m reports.precision` says of the run so far.

    Statistics live in `reports`, which reads shards alone, so it is asked as a program.

    Raises:
        DataError: The run's launches cannot be compared.
    """
    told = subprocess.run(
        [sys.executable, "-m", "reports.precision", str(run_folder.path.resolve())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise DataError(told.stderr.strip().removeprefix("error: "))
    return float(told.stdout)


def _given_up(launches: Sequence[Speed]) -> set[str]:
    """Lanes that failed in each of the last launches they took part in.

    One that the memory did not suffice for needs as much in the next.
    """
    failures: Counter[str] = Counter()
    for launch in launches:
        failed = failed_lanes(launch)
        for name in lane_names(launch):
            match failed.get(name):
                case None:
                    failures[name] = 0
                case "out_of_memory":
                    failures[name] += CHANCES
                case _:
                    failures[name] += 1
    return {name for name, times in failures.items() if times >= CHANCES}


def _is_fixed(plan: Plan) -> bool:
    return plan.budget_seconds is None


def _seconds(launch: Speed) -> float:
    return launch.start_seconds + launch.warm_up_seconds + launch.measuring_seconds


def _shard_id(number: int) -> str:
    return f"{PREFIX}{number:02d}"
