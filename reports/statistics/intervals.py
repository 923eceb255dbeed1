"""What may be claimed from paired samples: intervals over launches, verdicts, their power.

Processes differ from launch to launch (memory layout, allocator), so rounds within a launch are
no independent witnesses: pooled, they call identical things different more than half of the time
(as `test_statistics.py` shows). One number per launch and a t-interval over launches keeps the
promised error rate (Kalibera and Jones, Rigorous benchmarking in reasonable time, 2013).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.power import TTestPower

MARGIN = 0.05
"""Ratios within 1 / 1.05 ... 1.05 count as equal in practice."""

CONFIDENCE = 0.95
POWER = 0.80
MIN_LAUNCHES = 3
"""Fewer launches give a point and the verdict `indicative`, never an interval."""

LaunchValues = NDArray[np.float64]
"""Logs, one for each launch."""


@dataclass(frozen=True)
class Ratio:
    """A throughput ratio with what may be said of it.

    Attributes:
        ratio: Above 1 means faster than the baseline.
        low: Lower end of the 95 % interval; NaN under `MIN_LAUNCHES`.
        high: Upper end.
        minimum_detectable_percent: The smallest true difference from 1 that as many launches of
            this noise find with a probability of 80 %; NaN under `MIN_LAUNCHES`.
        launches: Number of launches.
        verdict: `faster`, `slower`, `equivalent`, `unresolved` or `indicative`.
    """

    ratio: float
    low: float
    high: float
    minimum_detectable_percent: float
    launches: int
    verdict: str


def pseudo_median(values: ArrayLike) -> NDArray[np.float64]:
    """Hodges-Lehmann's: the median of the means of all pairs, each value with itself among them.

    One odd value of six moves it little (two do, which a median would bear), and where noise is
    normal it varies nearly as little as a mean: of six rounds, 8 % less than their median.

    Args:
        values: Of shape (..., values); NaN is left out.

    Returns:
        Shape (...); NaN where there was no value.
    """
    known = np.asarray(values, dtype=np.float64)
    first, second = np.triu_indices(known.shape[-1])
    means = np.sort((known[..., first] + known[..., second]) / 2, axis=-1)  # NaN comes last
    count = (~np.isnan(means)).sum(axis=-1, keepdims=True)
    middle = np.concatenate([(count - 1) // 2, count // 2], axis=-1)
    return np.asarray(np.take_along_axis(means, middle, axis=-1).mean(axis=-1))


def compare(pairs: Mapping[str, LaunchValues], margin: float = MARGIN) -> dict[str, Ratio]:
    """Ratios of one family of comparisons, the verdicts adjusted by Holm for their number.

    `faster` and `slower` need a Holm-adjusted two-sided test to reject that the ratio lies within
    the margin; `equivalent` needs the 90 % interval inside the margin (two one-sided tests);
    `unresolved` is all else.

    Args:
        pairs: Name of the comparison and its launch values, logs of ratios.
        margin: Differences up to this share do not count.
    """
    testable = [name for name, values in pairs.items() if len(values) >= MIN_LAUNCHES]
    adjusted: dict[str, float] = {}
    if testable:
        p_values = [_beyond_margin(pairs[name], margin) for name in testable]
        adjusted = dict(zip(testable, holm(p_values), strict=True))
    return {name: _ratio(values, adjusted.get(name), margin) for name, values in pairs.items()}


def differs_from_one(pairs: Mapping[str, LaunchValues]) -> list[str]:
    """Names of the comparisons whose ratio is not 1, by a t-test adjusted by Holm.

    For A/A twins: whatever it names, the measurement cannot be trusted.
    """
    names = [name for name, values in pairs.items() if len(values) >= MIN_LAUNCHES]
    if not names:
        return []
    p_values = holm([_p_value(pairs[name], 0) for name in names])
    return [name for name, p in zip(names, p_values, strict=True) if p <= 1 - CONFIDENCE]


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values adjusted for their number (Holm 1979), in their order.

    As `statsmodels.stats.multitest.multipletests`, which collects garbage each time: of a report
    of forty families that was a third.
    """
    known = np.asarray(p_values, np.float64)
    order = np.argsort(known, kind="stable")
    adjusted = np.empty_like(known)
    adjusted[order] = np.maximum.accumulate(np.arange(len(known), 0, -1) * known[order])
    return adjusted.clip(max=1)


def interval(values: LaunchValues, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """t-interval of the mean of logs, as a ratio."""
    low, high = _t_test(values, 0).confidence_interval(confidence)
    return float(np.exp(low)), float(np.exp(high))


def _ratio(values: LaunchValues, p_value: float | None, margin: float) -> Ratio:
    point = float(np.exp(np.mean(values))) if len(values) else np.nan
    if p_value is None:
        return Ratio(point, np.nan, np.nan, np.nan, len(values), "indicative")
    low, high = interval(values)
    return Ratio(
        ratio=point,
        low=low,
        high=high,
        minimum_detectable_percent=_minimum_detectable_percent(values),
        launches=len(values),
        verdict=_verdict(values, p_value, margin),
    )


def _verdict(values: LaunchValues, p_value: float, margin: float) -> str:
    if p_value < 1 - CONFIDENCE:
        return "faster" if np.mean(values) > 0 else "slower"
    low, high = interval(values, 1 - 2 * (1 - CONFIDENCE))
    return "equivalent" if 1 / (1 + margin) < low and high < 1 + margin else "unresolved"


def _beyond_margin(values: LaunchValues, margin: float) -> float:
    """Two-sided p-value of "the ratio lies within the margin"."""
    bound = np.log1p(margin)
    above = _p_value(values, bound, "greater")
    below = _p_value(values, -bound, "less")
    return min(1.0, 2 * min(above, below))


def _p_value(values: LaunchValues, mean: float, alternative: str = "two-sided") -> float:
    p_value = float(_t_test(values, mean, alternative).pvalue)
    return 1.0 if np.isnan(p_value) else p_value  # all equal, and equal to the mean


def _t_test(values: LaunchValues, mean: float, alternative: str = "two-sided") -> Any:
    """SciPy's, without its warning about launches that agree to the last digit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return stats.ttest_1samp(values, mean, alternative=alternative)


def _minimum_detectable_percent(values: LaunchValues) -> float:
    return float(100 * np.expm1(_detectable_effect(len(values)) * np.std(values, ddof=1)))


@cache
def _detectable_effect(launches: int) -> float:
    """Cohen's d that a two-sided t-test of so many launches finds with `POWER`."""
    return float(
        TTestPower().solve_power(
            nobs=launches, alpha=1 - CONFIDENCE, power=POWER, alternative="two-sided"
        )
    )
