"""Whether a run is worse than a kept baseline, made on any machine of its kind, than is allowed."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import numpy as np

from reports.across_runs import gate
from reports.across_runs.baseline import (
    Baseline,
    Kept,
    Side,
    Training,
    kind_of,
    ratios,
    trainings,
)
from reports.across_runs.changes import LogChange
from reports.across_runs.two_runs import ComparedRun
from reports.across_runs.verdicts import (
    INCONCLUSIVE,
    MISSING,
    PASS,
    Check,
    Figure,
    Interval,
    judged,
    least,
    named,
    slowdown_limit,
    times_as_fast,
)
from reports.statistics.intervals import CONFIDENCE, LaunchValues
from reports.statistics.paired import Paired
from reports.tables.comparable import NotComparableError
from reports.tables.seeds import MIN_SEEDS

AGAIN = "nox -s report -- baseline RUN --output FILE keeps it"


def check(
    baseline: Baseline,
    run: ComparedRun,
    max_slowdown: float | None,
    max_error_increase: float | None,
) -> list[Check]:
    """Judge every figure that the baseline has for this kind of machine.

    Args:
        baseline: What was kept.
        run: What is judged.
        max_slowdown: Share of its training speed that a lane or variant may lose relative to the
            others; None if speed is not judged.
        max_error_increase: Points that errors may rise by; None if they are not judged.

    Raises:
        NotComparableError: It was trained by another protocol, or on other data.
    """
    kind = kind_of(run)
    here = baseline.kinds.get(kind)
    figures: list[Figure] = []
    if max_slowdown is not None:
        figures += _speeds(here, run, slowdown_limit(max_slowdown)) or [_none(baseline, kind)]
    if max_error_increase is not None:
        sources = [*([here] if here else []), *baseline.kinds.values()]
        known = next((one for one in sources if one.trainings), None)
        errors = list(_errors(known, run, max_error_increase)) if known else []
        figures += errors or [Figure("errors", "the baseline has none")]
    return [*judged(figures), *gate.faults(run)]


def _none(baseline: Baseline, kind: str) -> Figure:
    known = "; ".join(name for name, one in baseline.kinds.items() if one.ratios) or "none"
    told = f"the baseline has no ratios of {kind or 'a run that timed nothing'}, only of: {known}"
    return Figure("ratios of speeds", f"{told}; {AGAIN}")


def _speeds(kept: Kept | None, run: ComparedRun, limit: float) -> list[Figure]:
    """Of each side of a ratio: what it lost relative to each other one, in the mildest view."""
    if kept is None:
        return []
    _check_protocols(kept, run)
    before = {ratio.key: np.array(ratio.logs) for ratio in kept.ratios}
    after = dict(ratios(run))
    after |= {(model, device, other, one): -v for (model, device, one, other), v in after.items()}
    lost: dict[tuple[str, str, Side, bool], dict[Side, Interval | None]] = {}
    for key, old in before.items():
        model, device, one, other = key
        views = (one, other, False), (other, one, True)
        for side, relative_to, inverted in views if one[1] == other[1] else views[:1]:
            among = lost.setdefault((model, device, side, one[1] == other[1]), {})
            among[relative_to] = _loss(old, after.get(key), inverted=inverted)
    return [_figure(key, among, limit) for key, among in lost.items()]


def _loss(old: LaunchValues, new: LaunchValues | None, *, inverted: bool) -> Interval | None:
    if new is None:
        return None
    return gate.slowdown(LogChange(((-old, -new) if inverted else (old, new),)))


def _figure(
    key: tuple[str, str, Side, bool], among: Mapping[Side, Interval | None], limit: float
) -> Figure:
    model, device, (lane, variant), of_lanes = key
    others = [lane if of_lanes else variant for lane, variant in among]
    what = f"{named('speed of', model, variant, lane, device)} relative to {' and '.join(others)}"
    known = [interval for interval in among.values() if interval is not None]
    if len(known) < len(among):
        return Figure(what, "no such ratio with an interval in this run", MISSING)
    ends = [interval(CONFIDENCE) for interval in known]
    if len(known) > 1 and all(high < -limit for _, high in ends):
        # Of two, who lost is named; of more, all others may have lost together.
        told = times_as_fast(min(low for low, _ in ends), max(high for _, high in ends))
        return Figure(what, f"{told}: it gained, or all others lost; if it gained, {AGAIN}")
    return Figure(what, "", limit=limit, interval=least(known), show=times_as_fast)


def _errors(kept: Kept, run: ComparedRun, limit: float) -> Iterator[Figure]:
    _check_protocols(kept, run)
    before, after = (_by_key(each) for each in (kept.trainings, trainings(run)))
    smallest = 100 / kept.protocol.test_examples
    for key, old in before.items():
        what, new = named("error of", *key), after.get(key, {})
        if lacking := sorted(old.keys() - new.keys()):
            told = f"seeds {', '.join(map(str, lacking))} are not in this run"
            yield Figure(what, told if new else "not in this run", MISSING)
            continue
        means = [np.mean([side[seed].error_percent for seed in old]) for side in (old, new)]
        seeds = f"{len(old)} {'seed' if len(old) == 1 else 'seeds'}"
        told = f"{means[0]:.2f} to {means[1]:.2f} % ({seeds})"
        if all(old[seed].answers_sha256 == new[seed].answers_sha256 for seed in old):
            yield Figure(what, f"{told}, every answer the same", PASS)
        elif len(old) < MIN_SEEDS:
            told += ": a single draw says nothing, train with --seeds 3 or more"
            yield Figure(what, told, INCONCLUSIVE)
        else:
            rises = np.array([new[seed].error_percent - old[seed].error_percent for seed in old])
            show = ", {:+.3f} to {:+.3f} points".format
            interval = partial(Paired.interval, Paired(rises, smallest))
            yield Figure(what, told, limit=limit, interval=interval, show=show)


def _by_key(known: Iterable[Training]) -> dict[tuple[str, ...], dict[int, Training]]:
    by_key: dict[tuple[str, ...], dict[int, Training]] = {}
    for one in known:
        key = one.model, one.variant, one.lane, one.device
        by_key.setdefault(key, {})[one.seed] = one
    return by_key


def _check_protocols(kept: Kept, run: ComparedRun) -> None:
    for plan in run.found.plans.values():
        if plan.protocol != kept.protocol:
            raise NotComparableError(
                "the baseline was made by another protocol, or on other data; repeat it with: "
                f"{kept.command or 'the options of this run'}"
            )
