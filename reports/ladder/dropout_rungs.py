"""What is found about layers that draw at random: by their statistics, since no two draw alike."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

from reports.ladder.findings import Finding, count_of


def of_dropout(told: Mapping[str, Any]) -> Iterator[Finding]:
    """P3: how much dropout drops, whether it draws anew in each step, and what it does to the rest.

    The first two are in standard errors of a binomial share: of steps that draw independently,
    `rate` squared of the units is dropped in both.

    Args:
        told: `bench.contract.parity_schema.Dropout`.
    """
    name, rate = f"dropout of {told['rate']:g}", told["rate"]
    share = _standard_errors(told["dropped"], told["drawn"], rate)
    yield Finding("P3", f"{name}, share that it drops", share, "P3 dropout")
    twice = _standard_errors(told["dropped_twice"], told["pairs"], rate**2)
    yield Finding("P3", f"{name}, share that it drops in two steps", twice, "P3 dropout")
    yield count_of("P3", f"{name}, units kept and not scaled", told["misscaled"])


def not_compared(layers: Sequence[str]) -> Iterator[Finding]:
    """P3: a warning for each layer that draws in a way whose statistics nobody has asked."""
    for layer in layers:
        quantity = f"{layer}, which draws at random, as it trains: not compared"
        yield Finding("P3", quantity, 1, "known")


def _standard_errors(count: int, of: int, share: float) -> float:
    return abs(count - of * share) / sqrt(of * share * (1 - share))
