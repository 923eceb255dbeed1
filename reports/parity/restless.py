"""Models that draw at random when they predict: nothing after the draw can be compared.

Each worker asks twice from the same weights; what differs for one of them, draws for all.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeVar

from msgspec import structs

from bench.contract.parity_schema import Parity
from reports.ladder.findings import Finding, largest_error
from reports.read.shards import ParityShard, ReferenceShard

NOT_COMPARED = "draws at random when it predicts: not compared from there on"
"""What the quantity of a layer that draws ends in."""

AFTER = ("gradients", "update", "trajectory", "predictions", "consistency")
"""Probes that all outputs enter."""

LAYER = "layer"

ALIKE = 0.05
"""Share of the largest value by which two backends' numbers may differ and be the same at all: of
half precision, or where one of them is wrong, it is more than rounding."""

Answered = TypeVar("Answered", ParityShard, ReferenceShard)


def keys(shards: Sequence[ParityShard | ReferenceShard]) -> frozenset[str]:
    """What is drawn, as the arrays are called: by any of them that was asked again.

    What is another number at another place of the batch is drawn from a constant seed, unless two
    backends give the same: then examples depend on each other, and that is the model.
    """
    known = [shard.payload.facts.identity for shard in shards]
    restless = {key for each in known if each for key in each.restless or ()}
    moved = {key for each in known if each for key in each.moved or ()}
    return frozenset(restless | {key for key in moved if not _confirmed(key, shards)})


def _confirmed(key: str, shards: Sequence[ParityShard | ReferenceShard]) -> bool:
    """Whether two backends give the same; of one, whether it does in float64."""
    alone = len({_backend(shard) for shard in shards}) == 1
    return any(
        (alone or _backend(one) != _backend(other)) and _alike(key, one, other)
        for one, other in combinations(shards, 2)
    )


def _alike(
    key: str, one: ParityShard | ReferenceShard, other: ParityShard | ReferenceShard
) -> bool:
    pattern = re.compile(rf"forward\.[^.]+\.{re.escape(key)}")
    names = [name for name in one.arrays if pattern.fullmatch(name) and name in other.arrays]
    same = (one.arrays[name].shape == other.arrays[name].shape for name in names)
    return bool(names) and all(
        alike and largest_error(one.arrays[name], other.arrays[name]) <= ALIKE
        for name, alike in zip(names, same, strict=True)
    )


def _backend(shard: ParityShard | ReferenceShard) -> str:
    payload = shard.payload
    return payload.subject.lane if isinstance(payload, Parity) else payload.lane


def without(shard: Answered, restless: frozenset[str]) -> Answered:
    """A shard without what comes after a draw."""
    if not restless:
        return shard
    payload, gone = shard.payload, tuple[str, ...]()
    if not all(key.startswith(LAYER) for key in restless):
        gone = AFTER
        payload = structs.replace(
            payload, facts=structs.replace(payload.facts, **dict.fromkeys(gone))
        )
        if isinstance(payload, Parity):
            payload = structs.replace(payload, portability=None)
    arrays = {
        name: array
        for name, array in shard.arrays.items()
        if name.partition(".")[0] not in gone
        and not (name.startswith("forward.") and name.rpartition(".")[2] in restless)
    }
    return replace(shard, payload=payload, arrays=arrays)


def findings(restless: frozenset[str], layers: Sequence[str]) -> list[Finding]:
    """P2: a warning that names the first layer that draws."""
    if not restless:
        return []
    places = {f"{LAYER}{number}": number for number in range(len(layers))}
    numbers = [places[key] for key in restless & places.keys()]
    first = layers[min(numbers)] if numbers else "the model"
    return [Finding("P2", f"{first} {NOT_COMPARED}", 1, "known")]
