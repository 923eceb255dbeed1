"""What was answered on the parity ladder, by subject, beside the oracle's."""

from collections.abc import Iterator

import msgspec

from bench.contract.variants import STOCK
from reports.ladder.findings import Answers
from reports.read.shards import ParityShard, ReferenceShard, Shards


def groups(shards: Shards) -> Iterator[tuple[ReferenceShard, list[ParityShard]]]:
    """The reference of each model of each run, and the stock subjects that went well.

    Where there are several, it is the first: who wants to know which is right asks
    `reports.parity.references`.
    """
    seen = set()
    for reference in shards.references:
        key = reference.run_id, reference.payload.model
        if key in seen or reference.payload.status != "ok":
            continue
        seen.add(key)
        yield (
            reference,
            [
                shard
                for shard in shards.parity
                if shard.run_id == reference.run_id
                and shard.payload.subject.model == reference.payload.model
                and shard.payload.status == "ok"
                and shard.payload.subject.variant == STOCK
            ],
        )


def answers(shard: ParityShard | ReferenceShard) -> Answers:
    """Facts and arrays of those probes that were answered."""
    facts = {
        probe: told
        for probe, told in msgspec.to_builtins(shard.payload.facts).items()
        if told is not None
    }
    return Answers(facts, shard.arrays)
