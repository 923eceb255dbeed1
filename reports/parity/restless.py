"""Models that draw at random when they predict: nothing after the draw can be compared.

Each worker asks twice from the same weights; what differs for one of them, draws for all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from msgspec import structs

from bench.contract.parity_schema import Parity
from reports.ladder.findings import Finding
from reports.read.shards import ParityShard, ReferenceShard

NOT_COMPARED = "draws at random when it predicts: not compared from there on"
"""What the quantity of a layer that draws ends in."""

AFTER = ("gradients", "update", "trajectory", "predictions", "consistency")
"""Probes that all outputs enter."""

LAYER = "layer"

Answered = TypeVar("Answered", ParityShard, ReferenceShard)


def keys(shards: Iterable[ParityShard | ReferenceShard]) -> frozenset[str]:
    """What differs for any of them when it is asked again, as their arrays are called."""
    known = (shard.payload.facts.identity for shard in shards)
    return frozenset(key for identity in known if identity for key in identity.restless or ())


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
