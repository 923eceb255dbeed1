"""What the next launch is of, and what all of them will take, decided from those made so far."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bench.contract import schema
from bench.contract.speed_schema import Speed
from bench.coordinator.speed.launch import failed_lanes, lane_names
from bench.planning.bundles import Bundle
from bench.planning.estimate import launch_seconds
from bench.planning.plan import Plan

# When the precision is looked at, beside the end of what was planned. At each launch, an interval
# that is narrow by luck would stop the run (docs/measuring.md has the figures).
LOOKS = (8, 10, 12, 16, 20, 24, 28, 32, 36, 40)
MOST_LAUNCHES = 40
# A lane that fails is started again with the next launch, once.
CHANCES = 2

Widths = Mapping[str, float]
"""The widest half-width so far of each bundle's training ratios, in percent."""


@dataclass(frozen=True)
class Made:
    """The launches of a run so far.

    Attributes:
        plan: Launches, precision and budget.
        bundles: What is measured.
        launches: Those that were made.
        lost: Names of the lanes that were given up.
        wanted: How many launches each bundle will have, as it was last looked at; empty before.
    """

    plan: Plan
    bundles: Sequence[Bundle]
    launches: Sequence[Speed]
    lost: frozenset[str] = frozenset()
    wanted: Mapping[str, int] = field(default_factory=dict)

    def of(self, bundle: Bundle) -> int:
        """How many launches of this bundle are whole."""
        wanted = {lane.id for lane in bundle.lanes} - self.lost
        return sum(
            wanted <= set(lane_names(launch)) - set(failed_lanes(launch))
            for launch in self.launches
            if _is_of(launch, bundle)
        )

    def holding(self, bundle: Bundle) -> int:
        """How many launches hold its workloads, whatever else they hold."""
        return sum(_records(bundle) <= set(launch.workloads) for launch in self.launches)

    def seconds_of(self, bundle: Bundle) -> float:
        """What its next launch will take: the longest of its last, else a guess.

        A guess goes by the pace of the launches that were made.
        """
        own = [_seconds(launch) for launch in self.launches if _is_of(launch, bundle)]
        if own:
            return max(own[-3:])
        taken = guessed = 0.0
        for each in self.bundles:
            times = [_seconds(launch) for launch in self.launches if _is_of(launch, each)]
            taken += sum(times)
            guessed += sum(
                launch_seconds(self.plan, each, first=not index) for index in range(len(times))
            )
        pace = taken / guessed if guessed else 1.0
        return pace * launch_seconds(self.plan, bundle, first=True)

    def seconds_left(self) -> float:
        """What the launches that are still to come will take."""
        return sum(
            max(0, self.wanted.get(each.name, each.launches) - self.of(each))
            * self.seconds_of(each)
            for each in self.bundles
        )


def next_bundle(made: Made, widths: Callable[[], Widths]) -> Bundle | None:
    """Which bundle the next launch is of, or None where no further launch is wanted.

    First each gets the launches that are planned for it, in their order; then the one whose
    intervals are the farthest from what was asked for.

    Args:
        made: The launches so far.
        widths: Gives the half-widths so far.
    """
    plan = made.plan
    alive = [each for each in made.bundles if {lane.id for lane in each.lanes} - made.lost]
    chosen = next((each for each in alive if made.of(each) < each.launches), None)
    if chosen is None and plan.precision_percent is not None:
        chosen = _widest(made, alive, widths)
    if chosen is not None and made.launches and plan.budget_seconds is not None:
        spent = sum(map(_seconds, made.launches))
        if spent + made.seconds_of(chosen) > plan.budget_seconds:
            return None
    return chosen


def _widest(made: Made, bundles: Sequence[Bundle], widths: Callable[[], Widths]) -> Bundle | None:
    """The bundle that is farthest from its precision, of those that may have more launches."""
    possible = [each for each in bundles if made.of(each) < most_launches(made.plan)]
    for each in possible:
        # Between two looks it goes on with what it had begun.
        begun = _is_of(made.launches[-1], each) and made.of(each) > each.launches
        if begun and made.holding(each) not in LOOKS:
            return each
    if not possible:
        return None
    known = widths()
    missed = {each.name: known.get(each.name, 0.0) / each.precision_percent for each in possible}
    worst = max(possible, key=lambda each: missed[each.name])
    return worst if missed[worst.name] > 1 else None


def launches_wanted(made: Made, widths: Widths) -> dict[str, int]:
    """How many launches each bundle will have: its widest interval narrows with their root."""
    wanted = {}
    for each in made.bundles:
        missed = widths.get(each.name, 0.0) / each.precision_percent
        more = min(made.holding(each) * max(0.0, missed**2 - 1), MOST_LAUNCHES)
        wanted[each.name] = min(made.of(each) + math.ceil(more), most_launches(made.plan))
    return wanted


def most_launches(plan: Plan) -> int:
    """Of a bundle: a budget ends them in time, and without one nobody has asked for so many."""
    return MOST_LAUNCHES if plan.budget_seconds is not None else 2 * plan.launches


def noisy(made: Made) -> str:
    """What it takes to be as precise as was planned, to be told before it is begun."""
    return (
        f"The machine is noisy: up to {math.ceil(made.seconds_left() / 60)} more min for "
        f"+-{made.plan.precision_percent:g} %; Ctrl-C keeps what is there."
    )


def given_up(launches: Sequence[Speed]) -> frozenset[str]:
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
    return frozenset(name for name, times in failures.items() if times >= CHANCES)


def _is_of(launch: Speed, bundle: Bundle) -> bool:
    return set(launch.workloads) == _records(bundle)


def _records(bundle: Bundle) -> set[schema.Workload]:
    return {msgspec.convert(one, schema.Workload, from_attributes=True) for one in bundle.workloads}


def _seconds(launch: Speed) -> float:
    return launch.start_seconds + launch.warm_up_seconds + launch.measuring_seconds
