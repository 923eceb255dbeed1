"""Time to the published error, on simulated trainings of which some never get there."""

import numpy as np
import pandas as pd
import pytest

from reports.tables import columns, time_to_error

KEY = {"model": "single_layer", "variant": "tuned", "lane": "jax", "device": "cpu"}


def learnt(errors: list[list[float]], epoch_seconds: float = 2.0) -> pd.DataFrame:
    """A training for each list of errors, one an epoch."""
    rows = [
        {
            **KEY,
            "seed": seed,
            "epoch": epoch,
            "error_percent": error,
            "trained_seconds": epoch * epoch_seconds,
        }
        for seed, own in enumerate(errors)
        for epoch, error in enumerate(own, start=1)
    ]
    return columns.frame("curves", rows)


def test_the_first_epoch_that_is_no_worse_than_published_counts() -> None:
    table = time_to_error.table(
        learnt([[2.0, 1.4, 1.6], [1.5, 1.41, 1.3], [1.0, 2.0, 2.0]]), {"single_layer": 1.4}
    )
    assert table.dtypes.astype(str).to_dict() == columns.dtypes("time_to_error")
    (row,) = table.to_dict("records")
    assert (row["seeds"], row["reached"], row["median_seconds"]) == (3, 3, 4.0)
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def test_a_training_that_never_gets_there_counts_as_longer() -> None:
    """Left out, it would make the others look fast."""
    slow, fast = [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]
    (row,) = time_to_error.table(learnt([fast, slow, slow]), {"single_layer": 1.4}).to_dict(
        "records"
    )
    assert (row["seeds"], row["reached"]) == (3, 1)
    assert np.isnan(row["median_seconds"])
    (row,) = time_to_error.table(learnt([slow] * 6), {"single_layer": 1.4}).to_dict("records")
    assert np.isnan(row["median_seconds"])


def test_other_models_have_no_target() -> None:
    assert time_to_error.table(learnt([[1.0]]), {"two_layer": 1.22}).empty


@pytest.mark.parametrize("censored_share", [0.0, 0.3])
def test_intervals_hold_the_true_median(censored_share: float) -> None:
    """95 % nominal; of ten seeds, and the training's length is the same for all."""
    generator = np.random.default_rng(0)
    true, limit = np.log(2), -np.log(censored_share) if censored_share else np.inf
    held = 0
    for _ in range(300):
        seconds = generator.exponential(1.0, 10)
        reached = seconds <= limit
        _, low, high = time_to_error.median(np.minimum(seconds, limit), reached)
        held += bool(np.nan_to_num(low, nan=0) <= true <= np.nan_to_num(high, nan=np.inf))
    assert held >= 0.9 * 300
