"""`python -m tests.tools.stopping`: what it costs to look at an interval's width too early.

Launch medians of two identical lanes are drawn from a normal distribution; a run stops at the first
look at which the 95 % interval is narrower than the target. Printed for each first look: how often
the run then claims a difference, and how many launches it used; last for a bundle of four launches
and at most ten.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

LOOKS = (3, 4, 6, 8, 10, 12, 16)
BUNDLE = (4, 8, 10)
RUNS = 200_000
LAUNCH_SD = 0.05
TARGET = 0.03


def stop(looks: Sequence[int], target: float = TARGET) -> tuple[float, float]:
    """Share of runs with a false difference, and launches used on average."""
    draws = np.random.default_rng(0).normal(0, LAUNCH_SD, (RUNS, looks[-1]))
    running = np.full(RUNS, fill_value=True)
    wrong = launches = 0
    for look in looks:
        means = draws[:, :look].mean(axis=1)
        errors = draws[:, :look].std(axis=1, ddof=1) / np.sqrt(look)
        half = stats.t.ppf(0.975, look - 1) * errors
        narrow = (np.exp(means + half) - np.exp(means - half)) / 2 < target
        ends = running & (narrow | (look == looks[-1]))
        wrong += int((np.abs(means) > half)[ends].sum())
        launches += look * int(ends.sum())
        running &= ~ends
    return wrong / RUNS, launches / RUNS


if __name__ == "__main__":
    for first_look in LOOKS[:5]:
        share, used = stop([look for look in LOOKS if look >= first_look])
        print(f"first look at {first_look:2}: {share:5.1%} false differences, {used:4.1f} launches")
    worst = max(stop(BUNDLE, target)[0] for target in (0.03, 0.035, 0.04, 0.05, 0.06))
    print(f"looks at {BUNDLE}: at worst {worst:5.1%} false differences")
