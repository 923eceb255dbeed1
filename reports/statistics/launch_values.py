"""The steady speed of a lane, or of one lane over another: one value for each launch.

Two things in a slot's seconds are not the speed of its steps. Beginning a call has a price, and a
hypervisor takes CPU time away, from which backends suffer unequally: where it took 10 % from both
cores, TensorFlow's steps took 1.4 times as long and torch's 1.2 times. A ratio of such an hour
would not be found again in the next.

Both are estimated from all launches together and taken off. What is pooled makes launches
depend on each other, so an interval over what each says alone would be too narrow. Therefore the
value of a launch is its jackknife pseudo-value (Tukey 1958): n times the estimate from all n
launches, less n - 1 times the estimate without this one. Their mean and their t-interval answer for
all that was estimated on the way. Where nothing at all is taken off, it is what the rounds of that
launch say alone.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.statistics.intervals import MIN_LAUNCHES, LaunchValues, pseudo_median

Array = NDArray[np.float64]

MOST_SUFFERED = 0.1
"""The most that a percent of steal may cost, of the log of a step's seconds: 0.04 was seen."""


@dataclass(frozen=True)
class _Turns:
    """Turns of one lane, an entry for each; see `reports.tables.samples` for the names."""

    steps: Array
    slot_seconds: Array
    one_step_seconds: Array
    steal_percent: Array
    tick_percent: Array

    def of(self, chosen: NDArray[np.bool_]) -> "_Turns":
        return _Turns(**{name: values[chosen] for name, values in vars(self).items()})

    def log_seconds_per_step(self) -> Array:
        """Without the price of the call, and as if nothing had been taken away."""
        steps = 1 - share_of_price(self.steps, self.slot_seconds, self.one_step_seconds)
        if steps <= 0:
            return np.full_like(self.slot_seconds, np.nan)
        logs = np.log(self.slot_seconds * steps / self.steps)
        cost = cost_of_steal(logs, self.steal_percent, self.tick_percent)
        return logs - cost * self.steal_percent


def share_of_price(steps: Array, slot_seconds: Array, one_step_seconds: Array) -> float:
    """What beginning a call takes of a slot's seconds: 0 to 1.

    A call of n steps takes t(n) = a + n s. Both calls of a turn, of N steps and of one, give
    a / t(N) = (N t(1) / t(N) - 1) / (N - 1), which stays the same when the whole machine is slower;
    the result is the median over the turns. Where no single step was timed it is 0.
    """
    growth = steps * one_step_seconds / slot_seconds - 1
    shares = growth / np.where(steps > 1, steps - 1, np.nan)
    shares = shares[np.isfinite(shares)]
    return float(np.clip(np.median(shares), 0, 1)) if shares.size else 0.0


def cost_of_steal(log_seconds: Array, steal_percent: Array, tick_percent: Array) -> float:
    """By how much the log of a step's seconds grows for each percent that was taken.

    The least-squares slope over all turns, from 0 to `MOST_SUFFERED`; 0 where steal never varied.
    (Theil-Sen's heeds odd slots less, but jumps when a launch is left out: with it, intervals held
    the truth in 91 % of simulations where this one's did in 93 and 94 %.)

    Steal is read in ticks, and what rounding adds to its variance would pull the slope down, so
    it is taken out of the variance, up to half of that.

    Args:
        log_seconds: Of one step, a value for each turn; NaN where a turn has none.
        steal_percent: As it was counted.
        tick_percent: What one tick is of the turn, in percent.
    """
    known = np.isfinite(log_seconds)
    taken, logs = steal_percent[known], log_seconds[known]
    variance = taken.var() if taken.size else 0.0
    if variance == 0:
        return 0.0
    # The difference of two readings, each rounded down: twice the variance of a uniform number.
    rounding = (tick_percent[known] ** 2 / 6).mean()
    together = ((taken - taken.mean()) * (logs - logs.mean())).mean()
    return float(np.clip(together / max(variance - rounding, variance / 2), 0, MOST_SUFFERED))


def launch_values(
    lane: pd.DataFrame, baseline: pd.DataFrame | None = None
) -> tuple[LaunchValues, int]:
    """Logs of a lane's steps per second, or of the ratio of two lanes', one value per launch.

    Args:
        lane: Usable samples of one lane in one workload of one run, as `samples` has them.
        baseline: The same of another lane; then only rounds that both have count.

    Returns:
        Pseudo-values in the order of the launches, and the number of rounds behind them.
    """
    frames = [lane] if baseline is None else [lane, baseline]
    indexed = [frame.set_index(["launch", "round"]) for frame in frames]
    shared = indexed[0].index
    for frame in indexed[1:]:
        shared = shared.intersection(frame.index, sort=True)
    launch = shared.get_level_values("launch").to_numpy()
    launches = np.unique(launch)
    turns = [_turns(frame.loc[shared], len(launches)) for frame in indexed]
    everything = np.ones(len(launch), dtype=np.bool_)
    if len(launches) < 2:
        values = np.array([_estimate(turns, launch, everything)] * len(launches), np.float64)
    else:
        n = len(launches)
        whole = _estimate(turns, launch, everything)
        without = [_estimate(turns, launch, launch != one) for one in launches]
        values = n * whole - (n - 1) * np.array(without, np.float64)
    if not np.isfinite(values).all():  # single steps that last as long as slots: no speed at all
        return np.empty(0), 0
    return values, len(launch)


def slowdown(lane: pd.DataFrame) -> float:
    """What steal has added to the log of a step's seconds, on average over a lane's samples."""
    turns = _turns(lane, lane["launch"].nunique())
    logs = np.log(turns.slot_seconds)
    cost = cost_of_steal(logs, turns.steal_percent, turns.tick_percent)
    return float(cost * turns.steal_percent.mean())


def _estimate(turns: list[_Turns], launch: NDArray[Any], chosen: NDArray[np.bool_]) -> float:
    """Mean over the chosen launches of each one's pseudo-median over its rounds."""
    logs = [one.of(chosen).log_seconds_per_step() for one in turns]
    speeds = -logs[0] if len(logs) == 1 else logs[1] - logs[0]
    medians = pseudo_median(_by_launch(speeds, launch[chosen]))
    known = medians[~np.isnan(medians)]
    return float(known.mean()) if known.size else np.nan


def _by_launch(values: Array, launch: NDArray[Any]) -> Array:
    """A row for each launch, in their order, filled up with NaN."""
    _, row, counts = np.unique(launch, return_inverse=True, return_counts=True)
    places = np.arange(counts.max(initial=0)) < counts[:, np.newaxis]
    table = np.full(places.shape, np.nan)
    table[places] = values[np.argsort(row, kind="stable")]
    return table


def _turns(frame: pd.DataFrame, launches: int) -> _Turns:
    """The turns; of fewer launches than an interval takes, as if no steal had been seen.

    What it costs cannot be told from so few turns: with two, the slower of which lost one tick, the
    correction made both faster than the one that lost none.
    """
    names = ("steps", "slot_seconds", "one_step_seconds", "steal_percent", "tick_percent")
    turns = _Turns(**{name: frame[name].to_numpy(dtype=np.float64) for name in names})
    if launches < MIN_LAUNCHES:
        return replace(turns, steal_percent=np.zeros(len(frame)))
    return turns
