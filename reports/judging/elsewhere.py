"""What launches on other machines than a run's own say: rows for each, and no mean over them."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from bench.contract.schema import Machine
from reports.judging import notes
from reports.read.shards import Shards, SpeedShard
from reports.tables import comparable, pairs, samples, wording
from reports.tables.columns import frame
from reports.tables.wording import Note

PAIR = ["model", "variant", "phase", "batch_size", "device", "lane", "baseline"]


def table(shards: Shards) -> pd.DataFrame:
    """Ratios on each machine, the run's own first; empty where no other made launches.

    Raises:
        NotComparableError: What was timed elsewhere was another thing.
    """
    rows = []
    for place, launches in _by_machine(shards) if shards.elsewhere else []:
        found = replace(shards, speed=launches, elsewhere=[])
        comparable.check(found)
        measured = samples.collect(found)
        trusted = all(not trust.reasons for trust in notes.judge(found, measured).values())
        told = {"machine": place.id, "kind": place.kind, "trusted": trusted}
        ratios = pairs.ratios_table(found, measured)
        ratios = ratios[ratios["lane"] != ratios["baseline"]].drop(columns=["backend", "certified"])
        rows += [row | told for row in ratios.to_dict("records")]
    return frame("machines", rows)


def _by_machine(shards: Shards) -> Iterator[tuple[Machine, list[SpeedShard]]]:
    for launches in (shards.speed, sorted(shards.elsewhere, key=_machine_id)):
        for _, each in itertools.groupby(launches, _machine_id):
            made = list(each)
            yield made[0].payload.machine, made


def _machine_id(shard: SpeedShard) -> tuple[str, str]:
    return shard.run_id, shard.payload.machine.id


def lines(machines: pd.DataFrame) -> Iterator[Note]:
    """What is otherwise there than here, a line for each machine; `machines` as `table` has it."""
    if machines.empty:
        return
    here, *others = (each for _, each in machines.groupby("machine", sort=False))
    for there in others:
        kind = there["kind"].iloc[0]
        if not there["trusted"].all():
            yield Note(f"On {kind}: speeds that are not to be trusted.")
            continue
        both = here.merge(there, on=PAIR, suffixes=("", "_there"))
        other = both[both["verdict"] != both["verdict_there"]]
        told = [
            f"{wording.named(row['model'], row['variant'])} {wording.title(row['lane'])} / "
            f"{wording.title(row['baseline'])} {row['verdict_there']} ({row['verdict']} here)"
            for row in other.to_dict("records")
        ]
        same = (
            f"{len(both) - len(other)} of {len(both)} ratios have the verdict that they have here"
        )
        yield Note(f"On {kind}: {'; '.join([same, *told])}.")
