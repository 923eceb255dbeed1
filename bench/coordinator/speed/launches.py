"""The speed half of a run: launch after launch, until plan, precision or budget says stop.

It never stops because a difference became significant: that would call identical things different
in more than one run of eight.
"""

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contract.errors import DataError
from bench.contract.schema import Machine
from bench.contract.speed_schema import ELSEWHERE, Speed
from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed.launch import known_steps, run_launch
from bench.coordinator.speed.next_launch import (
    Made,
    Widths,
    given_up,
    launches_wanted,
    next_bundle,
    noisy,
)
from bench.inputs.datasets import Dataset
from bench.planning.bundles import bundled
from bench.planning.plan import ROOT, Plan
from bench.planning.selection import Selection
from bench.process.temp_folders import scratch_folder


@dataclass(frozen=True)
class Listener:
    """Who is told how far the launches are.

    Attributes:
        tell: Takes what is being done, and the seconds that the launches will still take.
        say: Takes a line that shall stay.
        answer: Called when a bundle has its launches and another begins.
    """

    tell: Callable[[str, float], None] = lambda *_: None
    say: Callable[[str], None] = lambda _: None
    answer: Callable[[], None] = lambda: None


def prefix(machine: str = "") -> str:
    """Of the shards of launches: of the run's own machine, or of another of that id."""
    return f"{ELSEWHERE}{machine}-launch" if machine else "speed-launch"


def stored(run_folder: RunFolder, machine: str = "") -> list[Speed]:
    """The launches that the run has already, made on its own machine or on another."""
    known, shards = run_folder.numbers(prefix(machine)), prefix(machine)
    found = (run_folder.read(f"{shards}{number:02d}", Speed) for number in known)
    return [launch for launch in found if launch is not None]


def machines(run_folder: RunFolder) -> dict[str, Machine]:
    """Who has made launches of a run: its own machine under an empty name, others by id."""
    others = run_folder.ids(ELSEWHERE + "*-launch*")
    places = ["", *(name.removeprefix(ELSEWHERE).rpartition("-launch")[0] for name in others)]
    made = {place: stored(run_folder, place) for place in dict.fromkeys(places)}
    return {place: launches[0].machine for place, launches in made.items() if launches}


def measure(
    plan: Plan,
    selection: Selection,
    dataset: Dataset,
    run_folder: RunFolder,
    listener: Listener = Listener(),
    most: float = math.inf,
) -> list[Speed]:
    """Measure the selected series and store a shard after each launch.

    Args:
        plan: Sizes, precision and budget.
        selection: Lanes and workloads.
        dataset: What on.
        run_folder: Where the shards go; launches that it has count.
        listener: Who is told how far it is.
        most: How many launches are made now at most.

    Returns:
        All launches.
    """
    with scratch_folder() as compiled:
        return _measured(plan, selection, dataset, run_folder, listener, compiled, most)


def _measured(
    plan: Plan,
    selection: Selection,
    dataset: Dataset,
    run_folder: RunFolder,
    listener: Listener,
    compiled: str,
    most: float,
) -> list[Speed]:
    bundles = bundled(plan, selection)
    launches = stored(run_folder)
    # What failed before may have been repaired since: a resumed run gives every lane its chances.
    before = len(launches)
    steps = known_steps(launches)
    previous, wanted, warned = None, dict[str, int](), False
    while True:
        made = Made(plan, bundles, launches, given_up(launches[before:]), wanted)

        def look(made: Made = made) -> Widths:
            widths = half_widths(run_folder)
            wanted.update(launches_wanted(made, widths))
            return widths

        bundle = next_bundle(made, look) if len(launches) - before < most else None
        if bundle is None:
            return launches
        if previous is not None and not made.of(bundle):
            listener.answer()
        if made.of(bundle) >= bundle.launches and plan.budget_seconds is None and not warned:
            listener.say(noisy(made))
            warned = True
        previous, number = bundle, max(run_folder.numbers(prefix()), default=0) + 1
        name, left = f"launch {len(launches) + 1}", made.seconds_left()
        launch = run_launch(
            number,
            replace(plan, rounds=bundle.rounds),
            [
                # What a lane compiles is its own: a twin's compilation is another one.
                replace(lane, compiled=str(Path(compiled, lane.name)))
                for lane in bundle.lanes
                if lane.name not in made.lost
            ],
            bundle.workloads,
            dataset,
            steps,
            lambda text, name=name, left=left: listener.tell(f"{name}: {text}", left),  # type: ignore[misc]
        )
        run_folder.write(f"{prefix()}{number:02d}", launch)
        launches = [*launches, launch]


def examples_per_second(launches: Sequence[Speed]) -> dict[tuple[str, str, str], float]:
    """Of training, by model, variant and backend: the median of all slots, with their price."""
    seen: dict[tuple[str, str, str], list[float]] = {}
    for launch in launches:
        for each in launch.rounds:
            workload = launch.workloads[each.workload]
            for sample in each.samples if workload.phase == "train" else ():
                key = workload.model, workload.variant, launch.lanes[sample.lane].lane.lane
                speed = workload.batch_size * sample.steps / sample.seconds
                seen.setdefault(key, []).append(speed)
    return {key: statistics.median(speeds) for key, speeds in seen.items()}


def half_widths(run_folder: RunFolder) -> Widths:
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
    return {name: float(width) for name, width in json.loads(told.stdout).items()}
