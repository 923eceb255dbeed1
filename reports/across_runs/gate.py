"""Whether a run is worse than a baseline by more than is allowed: yes, no, or it cannot be told.

A gate that is red or green by luck is worse than none. So a figure is let through only where its
interval lies within what is allowed, and stopped only where it lies beyond, for any number of
figures together; all else is inconclusive.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.contract.rungs import RUNGS
from reports.across_runs.changes import (
    SPEED_KEYS,
    LogChange,
    error_changes,
    paired_errors,
    seeds_lacking,
)
from reports.across_runs.two_runs import ComparedRun, same_machine
from reports.parity.table import SUBJECT
from reports.statistics.intervals import CONFIDENCE
from reports.tables.cells import KEYS

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
class _Figure:
    """A figure before it is judged; without an interval its verdict is known already."""

    what: str
    told: str
    verdict: str = INCONCLUSIVE
    limit: float = np.nan
    interval: Interval | None = None
    show: Callable[[float, float], str] = "{} {}".format


def check(
    old: ComparedRun, new: ComparedRun, max_slowdown: float | None, max_error_increase: float | None
) -> list[Check]:
    """Judge every figure that the baseline has.

    Args:
        old: The baseline.
        new: What is judged.
        max_slowdown: Share of the baseline's speed of training that may be lost; None if speed
            is not judged.
        max_error_increase: Points that errors may rise by; None if they are not judged.
    """
    figures: list[_Figure] = []
    if max_slowdown is not None:
        figures += _speeds(old, new, max_slowdown) or [_Figure("speed", "the baseline has none")]
    if max_error_increase is not None:
        errors = _errors(old, new, max_error_increase)
        figures += errors or [_Figure("errors", "the baseline has none")]
    family = max(1, sum(figure.interval is not None for figure in figures))
    return [*(_judged(figure, family) for figure in figures), *_faults(old, new)]


def _faults(old: ComparedRun, new: ComparedRun) -> Iterator[Check]:
    """What is wrong with the run, or with its baseline, whatever its figures are."""
    for what, status in _failed_trainings(new):
        yield Check(what, FAIL if status == "diverged" else MISSING, status)
    for what, status in _failed_trainings(old):
        yield Check(f"the baseline's {what}", INCONCLUSIVE, status)
    for line in new.comparison.incomplete:
        yield Check("the run", MISSING, line)
    rungs = [name for name in RUNGS if name in old.comparison.ladder]
    asked = new.comparison.ladder.set_index(SUBJECT)
    for row in old.comparison.ladder.to_dict("records"):
        subject = tuple(row[name] for name in SUBJECT)
        here = asked.loc[subject] if subject in asked.index else {}
        absent = [rung for rung in rungs if row[rung] and not here.get(rung)]
        if absent:
            what = _named("parity of", *subject)
            yield Check(what, MISSING, f"not asked: {', '.join(absent)}")
    for row in new.comparison.ladder.to_dict("records"):
        if failed := [rung for rung in RUNGS if row.get(rung) == "fail"]:
            what = _named("parity of", *(row[name] for name in SUBJECT))
            yield Check(what, FAIL, f"{' '.join(failed)}: {row['first']}")
    for line in new.comparison.untrusted:
        yield Check("trust", INCONCLUSIVE, line)
    for line in (*old.comparison.untrusted, *old.comparison.incomplete):
        yield Check("the baseline", INCONCLUSIVE, line)


def _failed_trainings(side: ComparedRun) -> Iterator[tuple[str, str]]:
    """Those without a good result, the missing ones too, and what became of them."""
    for row in side.comparison.accuracy.to_dict("records"):
        if row["status"] != "ok":
            what = _named("training of", *(row[name] for name in KEYS))
            yield f"{what}, seed {row['seed']}", row["status"]


def _judged(figure: _Figure, family: int) -> Check:
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


def _speeds(old: ComparedRun, new: ComparedRun, max_slowdown: float) -> list[_Figure]:
    """Training at the protocol's batch size, of every backend that the baseline has measured."""
    figures = []
    there = set(new.comparison.main_speed[SPEED_KEYS].itertuples(index=False, name=None))
    for key in old.comparison.main_speed[SPEED_KEYS].itertuples(index=False, name=None):
        model, variant, _, _, backend, device = key
        what = _named("speed of", model, variant, backend, device)
        if key not in there:
            figures.append(_Figure(what, "not in this run", MISSING))
        elif not same_machine(old, new):
            figures.append(_Figure(what, "the baseline was measured on another machine"))
        elif (before := old.values(key)) is None or (after := new.values(key)) is None:
            told = "too few launches for an interval: measure with -k speed --budget 10m"
            figures.append(_Figure(what, told))
        else:
            change = LogChange(tuple(zip(before, after, strict=True)))
            limit = -float(np.log1p(-max_slowdown))
            interval, show = _slowdown(change), _times_as_fast
            figures.append(_Figure(what, "", limit=limit, interval=interval, show=show))
    return figures


def _slowdown(change: LogChange) -> Interval:
    def interval(confidence: float) -> tuple[float, float]:
        low, high = change.interval(confidence)
        return -float(np.log(high)), -float(np.log(low))

    return interval


def _times_as_fast(low: float, high: float) -> str:
    return f"{np.exp(-high):.3f} to {np.exp(-low):.3f} times as fast"


def _errors(old: ComparedRun, new: ComparedRun, max_increase: float) -> list[_Figure]:
    changed = error_changes(old, new).set_index(KEYS)
    figures = []
    known = old.comparison.summary[old.comparison.summary["error_percent"].notna()]
    for key in known[KEYS].itertuples(index=False, name=None):
        what = _named("error of", *key)
        if key not in changed.index:
            figures.append(_Figure(what, "not in this run", MISSING))
            continue
        if lacking := seeds_lacking(old, new, key):
            told = f"seeds {', '.join(map(str, lacking))} are not in this run"
            figures.append(_Figure(what, told, MISSING))
            continue
        row = changed.loc[key]
        seeds = f"{row['seeds']} {'seed' if row['seeds'] == 1 else 'seeds'}"
        told = f"{row['old']:.2f} to {row['new']:.2f} % ({seeds})"
        if row["verdict"] == "identical":
            figures.append(_Figure(what, f"{told}, every answer the same", PASS))
        elif (paired := paired_errors(old, new, key)) is None:
            told += ": a single draw says nothing, train with --seeds 3 or more"
            figures.append(_Figure(what, told))
        else:
            interval, show = paired.interval, ", {:+.3f} to {:+.3f} points".format
            figures.append(_Figure(what, told, limit=max_increase, interval=interval, show=show))
    return figures


def _named(*words: str) -> str:
    return " ".join(word for word in words if word not in {"stock", "cpu"})
