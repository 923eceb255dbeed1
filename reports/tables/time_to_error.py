"""How long each variant trains until it errs as little as was published, over seeds.

A training that never gets there says that it takes longer than it lasted: it is censored, not left
out. So the median is Kaplan and Meier's (1958), and there is none where half never get there.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from statsmodels.duration.survfunc import SurvfuncRight

from reports.tables import curves as epochs
from reports.tables.cells import KEYS
from reports.tables.columns import frame

LEAST_SEEDS = 5
"""For an interval: of fewer it would reach from the shortest to for ever."""


def table(curves: pd.DataFrame, published: Mapping[str, float]) -> pd.DataFrame:
    """One row per model with a published error, variant, backend and device.

    Args:
        curves: `reports.tables.curves.table`.
        published: Error in percent by model, where it may be compared.

    Returns:
        The columns of `time_to_error`. Seconds are of training alone, to the end of the epoch after
        which the error of the test set was no larger than published; `low` to `high` is the
        median's 95 % interval, of which an end that is not known is NaN, as both are of fewer than
        `LEAST_SEEDS`.
    """
    timed = curves.dropna(subset=["trained_seconds"])
    rows = [
        row
        for model, target in published.items()
        for row in _of_model(timed[timed["model"] == model], target)
    ]
    return frame("time_to_error", rows)


def median(seconds: np.ndarray, reached: np.ndarray) -> tuple[float, float, float]:
    """Kaplan and Meier's median, and both ends of its 95 % interval.

    Args:
        seconds: To the target, or as long as the training was.
        reached: Whether it was the target.
    """
    if not reached.any():
        return np.nan, np.nan, np.nan
    found = SurvfuncRight(seconds, reached.astype(int))
    middle = float(found.quantile(0.5))
    if len(seconds) < LEAST_SEEDS:
        return middle, np.nan, np.nan
    with np.errstate(divide="ignore", invalid="ignore"):  # of the time that all have reached
        ends = found.quantile_ci(0.5)
    low, high = (float(end) if np.isfinite(end) else np.nan for end in ends)
    return middle, low, high


def _of_model(curves: pd.DataFrame, target: float) -> list[dict[str, object]]:
    until = epochs.seconds_until(curves, target)
    whole = curves.groupby([*KEYS, "seed"])["trained_seconds"].max().rename("whole").reset_index()
    rows = []
    for key, group in until.merge(whole, on=[*KEYS, "seed"]).groupby(KEYS, sort=False):
        reached = group["seconds"].notna().to_numpy()
        seconds = group["seconds"].fillna(group["whole"]).to_numpy(np.float64)
        middle, low, high = median(seconds, reached)
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                "target_percent": target,
                "seeds": len(group),
                "reached": int(reached.sum()),
                "median_seconds": middle,
                "low": low,
                "high": high,
            }
        )
    return rows
