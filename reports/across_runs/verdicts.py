"""How a gate judges a figure by its interval, and what it says of it.

A gate that is red or green by luck is worse than none. So a figure is let through only where its
interval lies within what is allowed, and stopped only where it lies beyond, for any number of
figures together; all else is inconclusive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reports.statistics.intervals import CONFIDENCE

PASS, FAIL, INCONCLUSIVE, MISSING = "PASS", "FAIL", "INCONCLUSIVE", "MISSING"

Interval = Callable[[float], tuple[float, float]]
"""Of how much worse the new run is, for a level of confidence."""


@dataclass(frozen=True)
class Check:
    """One figure of the baseline, and what became of it.

    Attributes:
        what: Which figure.
        verdict: `PASS`, `FAIL`, `INCONCLUSIVE` or `MISSING`.
        told: The figures behind it.
    """

    what: str
    verdict: str
    told: str


@dataclass(frozen=True)
class Figure:
    """A figure before it is judged; without an interval its verdict is known already."""

    what: str
    told: str
    verdict: str = INCONCLUSIVE
    limit: float = np.nan
    interval: Interval | None = None
    show: Callable[[float, float], str] = "{} {}".format


def judged(figures: Sequence[Figure]) -> list[Check]:
    """A check for each figure, red by luck in at most one of twenty sets of them."""
    family = max(1, sum(figure.interval is not None for figure in figures))
    return [_judged(figure, family) for figure in figures]


def _judged(figure: Figure, family: int) -> Check:
    if figure.interval is None:
        return Check(figure.what, figure.verdict, figure.told)
    alpha = 1 - CONFIDENCE
    if figure.interval(1 - 2 * alpha / family)[0] > figure.limit:
        verdict = FAIL
    elif figure.interval(1 - 2 * alpha)[1] <= figure.limit:
        verdict = PASS
    else:
        verdict = INCONCLUSIVE
    return Check(figure.what, verdict, figure.told + figure.show(*figure.interval(CONFIDENCE)))


def least(intervals: Sequence[Interval]) -> Interval:
    """Of what is worse only where it is worse by each of several measures: the mildest of them.

    That one of them is mild is seen by luck as often as there are measures, which is allowed for.
    """

    def interval(confidence: float) -> tuple[float, float]:
        strict = 1 - (1 - confidence) / len(intervals)
        lows = [each(confidence)[0] for each in intervals]
        return min(lows), min(each(strict)[1] for each in intervals)

    return interval


def slowdown_limit(share: float) -> float:
    """The log of what a speed may lose."""
    return -float(np.log1p(-share))


def times_as_fast(low: float, high: float) -> str:
    """A slowdown in logs, as people say it."""
    return f"{np.exp(-high):.3f} to {np.exp(-low):.3f} times as fast"


def named(*words: str) -> str:
    """What a figure is of, without what is the rule."""
    return " ".join(word for word in words if word not in {"stock", "cpu"})
