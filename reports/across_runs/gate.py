"""Whether a run is worse than another by more than is allowed: yes, no, or it cannot be told."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from bench.contract.rungs import RUNGS
from reports.across_runs.changes import (
    RATIO_KEYS,
    SPEED_KEYS,
    LogChange,
    error_changes,
    paired_errors,
    seeds_lacking,
)
from reports.across_runs.two_runs import ComparedRun, machines_differ
from reports.across_runs.verdicts import (
    FAIL,
    INCONCLUSIVE,
    MISSING,
    PASS,
    Check,
    Figure,
    Interval,
    judged,
    named,
    slowdown_limit,
    times_as_fast,
)
from reports.parity.table import SUBJECT
from reports.statistics import intervals
from reports.statistics.intervals import LaunchValues
from reports.tables.cells import KEYS


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
    figures: list[Figure] = []
    if max_slowdown is not None:
        figures += _speeds(old, new, max_slowdown) or [Figure("speed", "the baseline has none")]
    if max_error_increase is not None:
        errors = _errors(old, new, max_error_increase)
        figures += errors or [Figure("errors", "the baseline has none")]
    return [*judged(figures), *_lacking(old, new), *faults(new)]


def check_lanes(run: ComparedRun, lane: str, base: str, max_slowdown: float) -> list[Check]:
    """Judge a lane of a run against another of the same rounds, which is sharper than two runs.

    Args:
        run: In which both were measured.
        lane: What is judged.
        base: What it is compared with.
        max_slowdown: Share of the base's speed of training that may be lost.
    """
    known = list(dict.fromkeys(each.name for p in run.found.plans.values() for each in p.lanes))
    if absent := [name for name in (lane, base) if name not in known]:
        told = f"the run has no such lane; it has {', '.join(known)}"
        return [Check(f"lane {name}", MISSING, told) for name in absent]
    figures = []
    for row in run.comparison.main_ratios.to_dict("records"):
        if {row["lane"], row["baseline"]} != {lane, base}:
            continue
        key = [row[name] for name in RATIO_KEYS]
        what = named(f"speed of {lane} over {base}:", row["model"], row["variant"], row["device"])
        values = run.ratio_values(key)
        if values is None:
            figures.append(Figure(what, "too few launches for an interval, or a lane failed"))
            continue
        slower = values if row["lane"] == base else -values
        limit, ends = slowdown_limit(max_slowdown), partial(_of_mean, slower)
        figures.append(Figure(what, "", limit=limit, interval=ends, show=times_as_fast))
    if not figures:
        figures = [Figure(f"speed of {lane} over {base}", "not measured in this run", MISSING)]
    return [*judged(figures), *_wrong(run, lane, base)]


def _wrong(run: ComparedRun, lane: str, base: str) -> Iterator[Check]:
    """What a lane computes otherwise than the other, and what speaks against the run."""
    ladder = run.comparison.ladder
    mine, theirs = (
        {(row["model"], row["variant"]): row for row in own.to_dict("records")}
        for own in (ladder[ladder["lane"] == name] for name in (lane, base))
    )
    for (model, variant), row in mine.items():
        before = theirs.get((model, variant), {})
        failed = [r for r in RUNGS if row.get(r) == "fail" and before.get(r) != "fail"]
        if failed:
            yield Check(named("parity of", model, variant, lane), FAIL, str(row["first"]))
    for line in run.comparison.incomplete:
        yield Check("the run", MISSING, line)
    for line in run.comparison.untrusted:
        yield Check("trust", INCONCLUSIVE, line)


def _of_mean(values: LaunchValues, confidence: float) -> tuple[float, float]:
    low, high = np.log(intervals.interval(values, confidence))
    return float(low), float(high)


def _lacking(old: ComparedRun, new: ComparedRun) -> Iterator[Check]:
    """What the baseline was asked and the run was not, and what is wrong with the baseline."""
    for what, status in _failed_trainings(old):
        yield Check(f"the baseline's {what}", INCONCLUSIVE, status)
    rungs = [name for name in RUNGS if name in old.comparison.ladder]
    asked = new.comparison.ladder.set_index(SUBJECT)
    for row in old.comparison.ladder.to_dict("records"):
        subject = tuple(row[name] for name in SUBJECT)
        here = asked.loc[subject] if subject in asked.index else {}
        absent = [rung for rung in rungs if row[rung] and not here.get(rung)]
        if absent:
            what = named("parity of", *subject)
            yield Check(what, MISSING, f"not asked: {', '.join(absent)}")
    for line in (*old.comparison.untrusted, *old.comparison.incomplete):
        yield Check("the baseline", INCONCLUSIVE, line)


def faults(new: ComparedRun) -> Iterator[Check]:
    """What is wrong with the run, whatever its figures are."""
    for what, status in _failed_trainings(new):
        yield Check(what, FAIL if status == "diverged" else MISSING, status)
    for line in new.comparison.incomplete:
        yield Check("the run", MISSING, line)
    for row in new.comparison.ladder.to_dict("records"):
        if failed := [rung for rung in RUNGS if row.get(rung) == "fail"]:
            what = named("parity of", *(row[name] for name in SUBJECT))
            yield Check(what, FAIL, f"{' '.join(failed)}: {row['first']}")
    for line in new.comparison.untrusted:
        yield Check("trust", INCONCLUSIVE, line)


def _failed_trainings(side: ComparedRun) -> Iterator[tuple[str, str]]:
    """Those without a good result, the missing ones too, and what became of them."""
    for row in side.comparison.accuracy.to_dict("records"):
        if row["status"] != "ok":
            what = named("training of", *(row[name] for name in KEYS))
            yield f"{what}, seed {row['seed']}", row["status"]


def _speeds(old: ComparedRun, new: ComparedRun, max_slowdown: float) -> list[Figure]:
    """Training at the protocol's batch size, of every backend that the baseline has measured."""
    figures = []
    there = set(new.comparison.main_speed[SPEED_KEYS].itertuples(index=False, name=None))
    for key in old.comparison.main_speed[SPEED_KEYS].itertuples(index=False, name=None):
        model, variant, _, _, backend, device = key
        what = named("speed of", model, variant, backend, device)
        if key not in there:
            figures.append(Figure(what, "not in this run", MISSING))
        elif why := machines_differ(old, new):
            figures.append(Figure(what, f"{why}; gate on ratios instead (docs/comparing.md)"))
        elif (before := old.values(key)) is None or (after := new.values(key)) is None:
            told = "too few launches for an interval: measure with -k speed --budget 10m"
            figures.append(Figure(what, told))
        else:
            change = LogChange(tuple(zip(before, after, strict=True)))
            limit, interval, show = slowdown_limit(max_slowdown), slowdown(change), times_as_fast
            figures.append(Figure(what, "", limit=limit, interval=interval, show=show))
    return figures


def slowdown(change: LogChange) -> Interval:
    """The logs by which a speed has become less."""

    def interval(confidence: float) -> tuple[float, float]:
        low, high = change.interval(confidence)
        return -float(np.log(high)), -float(np.log(low))

    return interval


def _errors(old: ComparedRun, new: ComparedRun, max_increase: float) -> list[Figure]:
    changed = error_changes(old, new).set_index(KEYS)
    figures = []
    known = old.comparison.summary[old.comparison.summary["error_percent"].notna()]
    for key in known[KEYS].itertuples(index=False, name=None):
        what = named("error of", *key)
        if key not in changed.index:
            figures.append(Figure(what, "not in this run", MISSING))
            continue
        if lacking := seeds_lacking(old, new, key):
            told = f"seeds {', '.join(map(str, lacking))} are not in this run"
            figures.append(Figure(what, told, MISSING))
            continue
        row = changed.loc[key]
        seeds = f"{row['seeds']} {'seed' if row['seeds'] == 1 else 'seeds'}"
        told = f"{row['old']:.2f} to {row['new']:.2f} % ({seeds})"
        if row["verdict"] == "identical":
            figures.append(Figure(what, f"{told}, every answer the same", PASS))
        elif (paired := paired_errors(old, new, key)) is None:
            told += ": a single draw says nothing, train with --seeds 3 or more"
            figures.append(Figure(what, told))
        else:
            interval, show = paired.interval, ", {:+.3f} to {:+.3f} points".format
            figures.append(Figure(what, told, limit=max_increase, interval=interval, show=show))
    return figures
