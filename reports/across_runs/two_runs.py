"""Two runs that are compared, each with its report, and whether they may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.contract.rungs import RUNGS
from bench.contract.schema import Lane, Machine, Workload
from reports.judging import comparison
from reports.judging.comparison import Comparison
from reports.read.shards import AccuracyShard, Shards
from reports.statistics import launch_values
from reports.statistics.intervals import MIN_LAUNCHES, LaunchValues
from reports.tables import pairs, samples, speed
from reports.tables.cells import KEYS
from reports.tables.comparable import NotComparableError
from reports.tables.pairs import Side
from reports.tables.samples import Samples, only
from reports.tables.wording import models, named


@dataclass(frozen=True)
class ComparedRun:
    """One of two runs."""

    found: Shards

    @cached_property
    def comparison(self) -> Comparison:
        """Its report."""
        return comparison.compare(self.found)

    @cached_property
    def samples(self) -> Samples:
        """Its launches."""
        return samples.collect(self.found)

    @property
    def machine(self) -> Machine | None:
        """What its speeds were measured on: one, or it would not be comparable in itself."""
        return next((shard.payload.machine for shard in self.found.speed), None)

    def values(self, key: Sequence[object]) -> tuple[LaunchValues, LaunchValues] | None:
        """Logs of steps per second by launch, and the same in units of the anchor.

        None where the lane is not `ok`, or has fewer launches than an interval takes. On another
        device than the CPU the anchor says nothing, and both are the first.
        """
        workload, lane = Workload(*key[:4]), Lane(key[4], key[5], twin=False)  # type: ignore[arg-type]
        for run, plan in speed.planned(self.found):
            if workload not in plan.workloads or lane not in plan.lanes:
                continue
            if speed.lane_status(self.found, self.samples, run, workload, lane) != "ok":
                return None
            own = self.samples.usable_of(run, workload, lane)
            values, _ = launch_values.launch_values(own)
            if len(values) < MIN_LAUNCHES:
                return None
            if lane.device != "cpu":
                return values, values
            anchors = only(self.samples.anchors, ["run"], [run])
            medians = np.log(anchors["gflops"]).groupby(anchors["launch"]).median()
            anchored = values - medians.reindex(np.unique(own["launch"])).to_numpy()
            # A launch without an anchor says nothing in its units.
            return values, values if np.isnan(anchored).any() else anchored
        return None

    def ratio_values(self, key: Sequence[object]) -> LaunchValues | None:
        """Logs of the ratio of two backends by launch; None as for `values`."""
        workload = Workload(*key[:4])  # type: ignore[arg-type]
        one, other = (Lane(name, key[4], twin=False) for name in key[5:7])  # type: ignore[arg-type]
        return self.pair_values((workload, one), (workload, other))

    def pair_values(self, *sides: Side) -> LaunchValues | None:
        """The same of any two sides, perhaps two variants of one lane."""
        for run, plan in speed.planned(self.found):
            if any(w not in plan.workloads or lane not in plan.lanes for w, lane in sides):
                continue
            ends = {speed.lane_status(self.found, self.samples, run, *side) for side in sides}
            if ends != {"ok"}:
                return None
            values, _ = pairs.values_of(self.samples, run, (sides[0], sides[1]))
            return values if len(values) >= MIN_LAUNCHES else None
        return None

    @cached_property
    def trainings(self) -> dict[tuple[str, ...], dict[int, AccuracyShard]]:
        """Those that went well, by `KEYS` and seed."""
        by_key: dict[tuple[str, ...], dict[int, AccuracyShard]] = {}
        for shard in self.found.accuracy:
            if shard.probabilities is not None:
                cell = shard.payload.cell
                key = tuple(getattr(cell, name) for name in KEYS)
                by_key.setdefault(key, {})[cell.seed] = shard
        return by_key


def check(old: ComparedRun, new: ComparedRun) -> None:
    """See that the two runs did the same, as far as both did it.

    Raises:
        NotComparableError: Datasets, protocols, initial weights or batches differ.
    """
    timed = [{shard.payload.dataset_sha256 for shard in side.found.speed} for side in (old, new)]
    if all(timed) and timed[0] != timed[1]:
        raise NotComparableError("speeds were measured on other datasets")
    trained = [
        {plan.protocol for plan in side.found.plans.values() if plan.cells} for side in (old, new)
    ]
    if all(trained) and trained[0] != trained[1]:
        raise NotComparableError("the two runs trained by other protocols, or on other data")
    known = [side.trainings for side in (old, new)]
    for key in known[0].keys() & known[1].keys():
        for seed in known[0][key].keys() & known[1][key].keys():
            before, after = (_inputs(side[key][seed]) for side in known)
            if differing := [name for name in before if before[name] != after[name]]:
                raise NotComparableError(
                    f"{named(*key[:2])} with {named(*key[2:])}, seed {seed}: "
                    f"other {', '.join(differing)}"
                )


def _inputs(shard: AccuracyShard) -> dict[str, object]:
    training, protocol = shard.payload.training, shard.payload.protocol
    assert training is not None  # noqa: S101 - `ComparedRun.trainings` lets no others through
    return {
        "protocol": protocol,
        "initial weights": training.weights_sha256,
        "batches": training.batches_sha256,
    }


def changed_models(old: ComparedRun, new: ComparedRun) -> list[str]:
    """A line for each model of the user's that is another one now."""
    files = [
        {
            own.name: (own.sha256, own.function)
            for plan in side.found.plans.values()
            for own in plan.own_models
        }
        for side in (old, new)
    ]
    return [
        f"{name}: its file or function has changed, so a change may be the model's"
        for name in sorted(files[0].keys() & files[1].keys())
        if files[0][name] != files[1][name]
    ]


def machines_differ(old: ComparedRun, new: ComparedRun) -> str:
    """Why speeds may not stand side by side as they are, and what would help; empty if they may."""
    before, after = old.machine, new.machine
    if before is None or after is None or after.same_as(before):
        return ""
    if before.id == after.id:
        return f"more or less of the machine could be used ({before.kind}; {after.kind})"
    if "boot" in {before.identity, after.identity} and before.kind == after.kind:
        return (
            "whether it is one machine cannot be told (a container, a virtual machine, or an image "
            "of one): BENCH_MACHINE=NAME, set for both runs, says that it is"
        )
    return f"measured on two machines ({before.kind}; {after.kind})"


def headings(old: Comparison, new: Comparison) -> list[str]:
    """What was run, what only one of the two has, and which rungs and versions differ."""
    lines = [f"old: {line}" for line in old.headings] + [f"new: {line}" for line in new.headings]
    for what, keys, tables in (
        (
            "speed of",
            ["model", "variant", "phase", "batch_size", "lane", "device"],
            (old.main_speed, new.main_speed),
        ),
        ("training of", KEYS, (old.summary, new.summary)),
    ):
        both = [set(table[keys].itertuples(index=False, name=None)) for table in tables]
        for side, alone in (("the old", both[0] - both[1]), ("the new", both[1] - both[0])):
            lines += [
                f"only in {side} run: {what} {' '.join(map(str, key))}" for key in sorted(alone)
            ]
    rungs = [name for name in RUNGS if name in old.ladder and name in new.ladder]
    ladders = old.ladder.merge(new.ladder, on=KEYS, suffixes=("_old", "_new"))
    lines += [
        f"parity of {model} with {row['lane']}, {rung}: "
        f"{row[f'{rung}_old'] or 'not asked'} before, {row[f'{rung}_new'] or 'not asked'} now"
        for model, row in zip(models(ladders), ladders.to_dict("records"), strict=True)
        for rung in rungs
        if row[f"{rung}_old"] != row[f"{rung}_new"]
    ]
    names = ["version", "keras", "numpy", "python"]
    was, now = (each.ledger.drop_duplicates("lane").set_index("lane") for each in (old, new))
    for backend in was.index.intersection(now.index):
        lines += [
            f"{backend}: {name} {was.loc[backend, name]} before, {now.loc[backend, name]} now"
            for name in names
            if was.loc[backend, name] != now.loc[backend, name]
        ]
    return lines
