"""What voids a round, what makes a sample invalid, and when a run cannot be trusted.

A round is voided by what was seen beside it, fixed beforehand, and never by its times: leaving
out what looks odd would make any two lanes as equal or as different as one likes. A sample is
invalid when it is evidence against itself: then something else was measured than a slot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from bench.contract.speed_schema import Evidence

VOID: dict[str, Callable[[Evidence], bool]] = {
    "suspended": lambda seen: seen.suspended_seconds > 0.1,
    "throttled": lambda seen: seen.throttled_seconds > 0.01 * seen.seconds,
    # The kernel counts it in ticks of 10 ms: in a short round one or two of them mean nothing.
    "steal": lambda seen: seen.steal_percent > max(20, 10 / seen.seconds),
    "idle_lane_busy": lambda seen: seen.idle_cpu_percent > 5,
}
"""Reasons for voiding a round. Another is `lane_missing`: a worker ended in it."""

LEAST_GROWTH, LEAST_STEPS = 1.8, 4
"""A slot of at least so many steps takes at least so much longer than a call of one step."""

UNDONE = 2.0
"""What a call takes outside of its steps may grow by this multiple of the slot: more is work that
the clock did not wait for. (TensorFlow itself may wait there for as long as the slot lasted.)"""

POSSIBLE = 1.5
"""A model's arithmetic may reach this multiple of the matrix product's, which is no exact limit."""

LATE_FACTOR, LATE_SECONDS = 1.5, 0.1
"""What the coordinator may wait beyond the worker's own seconds: data, weights, the pipe."""

TOLERATED = 0.20
"""Share of void rounds, or of a lane's invalid samples, beyond which a run is not trusted."""

GRADES = {2.0: "quiet", 5.0: "fair", 10.0: "noisy", np.inf: "very noisy"}
"""Names of a machine's noise, by the relative spread in percent that they stay below."""


@dataclass(frozen=True)
class Trust:
    """What may be believed of one run's speeds.

    Attributes:
        reasons: Why it is not to be trusted, a line each; empty for a good run.
        notes: What a reader should know all the same.
        grade: A name of `GRADES`; None without an anchor.
        spread_percent: The spread behind it.
    """

    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    grade: str | None
    spread_percent: float


def void_reason(evidence: Evidence) -> str:
    """Why a round does not count; empty if it does."""
    return next((name for name, is_void in VOID.items() if is_void(evidence)), "")


def invalid_reasons(
    samples: pd.DataFrame, launch: Sequence[str], best_gflops: pd.Series
) -> pd.Series:
    """Why each sample is none; empty if it is one.

    Args:
        samples: As `reports.tables.samples` makes them; `seconds_per_step` may be NaN.
        launch: Columns that name one lane in one workload of one launch.
        best_gflops: What the machine's arithmetic can reach, for each sample; NaN if unknown.
    """
    counted = samples["void"] == ""
    growth = (samples["slot_seconds"] / samples["one_step_seconds"]).where(counted)
    growth = growth.groupby([samples[name] for name in launch]).transform("median")
    worked = samples["slot_seconds"] + samples["one_step_seconds"].fillna(0)
    waited = worked + samples["outside_seconds"] + samples["one_step_outside_seconds"]
    # What a slot leaves to be done after its clock has stopped shows outside of its steps.
    undone = (samples["outside_seconds"] - samples["one_step_outside_seconds"]).where(counted)
    undone = (
        (undone / samples["slot_seconds"])
        .groupby([samples[name] for name in launch])
        .transform("median")
    )
    conditions = {
        "recompiled": samples["compilations"] > 0,
        "not_linear": ((growth < LEAST_GROWTH) & (samples["steps"] >= LEAST_STEPS))
        | samples["seconds_per_step"].isna(),
        "not_waited_for": undone > UNDONE,
        "late": samples["call_seconds"] > LATE_FACTOR * waited + LATE_SECONDS,
        "impossible": samples["gflops"] > POSSIBLE * best_gflops,
    }
    reasons = np.select(list(conditions.values()), list(conditions), default="")
    return pd.Series(reasons, index=samples.index, dtype="str")


def noise(anchor_gflops: pd.Series) -> tuple[str | None, float]:
    """Grade of a machine by how its anchor spread over all rounds, and the spread in percent.

    The spread is from the first to the last decile of the logs, scaled to be a standard deviation
    where noise is normal. (A median absolute deviation is 0 as soon as half of the values tie, and
    a scheduler's time slices make them tie where several processes want a core.)
    """
    if anchor_gflops.empty:
        return None, np.nan
    first, last = np.quantile(np.log(anchor_gflops), [0.1, 0.9])
    spread = 100 * float((last - first) / (stats.norm.ppf(0.9) - stats.norm.ppf(0.1)))
    return next(name for limit, name in GRADES.items() if spread < limit), spread


def judge(
    rounds: pd.DataFrame,
    samples: pd.DataFrame,
    anchor_gflops: pd.Series,
    differing_twins: Sequence[str],
    unsteady: Sequence[str],
) -> Trust:
    """Whether one run's speeds may be trusted.

    Args:
        rounds: The run's rounds, with `void`.
        samples: The run's samples, with `void`, `invalid`, `lane` and `workload`.
        anchor_gflops: What the anchor reached, round by round.
        differing_twins: Workloads, with their ratios, in which a twin differs from its original.
        unsteady: Lanes and workloads that came to no steady state.
    """
    reasons = [f"the A/A twin differs from its original in {name}" for name in differing_twins]
    notes: list[str] = []
    void = rounds.loc[rounds["void"] != "", "void"]
    if not void.empty:
        text = f"{len(void)} of {len(rounds)} rounds are void ({_counted(void)})"
        (reasons if len(void) > TOLERATED * len(rounds) else notes).append(text)
        whole = (
            rounds.assign(void=rounds["void"] != "").groupby("workload", sort=False)["void"].all()
        )
        reasons += [f"all rounds of {name} are void" for name in whole.index[whole]]
    judged = samples[samples["void"] == ""]
    for (workload, lane), group in judged.groupby(["workload", "lane"], sort=False):
        invalid = group.loc[group["invalid"] != "", "invalid"]
        if not invalid.empty:
            text = (
                f"{len(invalid)} of {len(group)} samples of {lane} in {workload} are invalid "
                f"({_counted(invalid)})"
            )
            (reasons if len(invalid) > TOLERATED * len(group) else notes).append(text)
    notes += [f"no steady state before measuring: {name}" for name in unsteady]
    return Trust(tuple(reasons), tuple(notes), *noise(anchor_gflops))


def _counted(names: pd.Series) -> str:
    counts = names.value_counts()
    return ", ".join(f"{name} {count}" for name, count in counts.items())
