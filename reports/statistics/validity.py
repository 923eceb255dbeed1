"""What makes a sample invalid, and when a run cannot be trusted.

A sample is invalid when it is evidence against itself: then something else was measured than a
slot. What voids a whole round is `Evidence.void`, or that a worker ended in it (`lane_missing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

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
class Check:
    """A condition of trust.

    Attributes:
        what: What was looked at.
        value: What was seen.
        limit: What is allowed.
        passed: Whether it is.
    """

    what: str
    value: str
    limit: str
    passed: bool


@dataclass(frozen=True)
class Trust:
    """What may be believed of one run's speeds.

    Attributes:
        reasons: Why it is not to be trusted, a line each; empty for a good run.
        notes: What a reader should know all the same.
        checks: What was looked at, whether passed or not.
        voided: How many rounds did not count; empty where all did.
        grade: A name of `GRADES`; None without an anchor.
        spread_percent: The spread behind it.
    """

    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    checks: tuple[Check, ...]
    voided: str
    grade: str | None
    spread_percent: float


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
        rounds: The run's rounds, with `void`, `again` and `others_percent`.
        samples: The run's samples, with `void`, `invalid`, `lane` and `workload`.
        anchor_gflops: What the anchor reached, round by round.
        differing_twins: Workloads, with their ratios, in which a twin differs from its original.
        unsteady: Lanes and workloads that came to no steady state.
    """
    checks: list[Check] = []
    reasons = [f"the A/A twin differs from its original in {name}" for name in differing_twins]
    notes: list[str] = []
    voided = ""
    allowed = f"at most {TOLERATED:.0%}"
    void = rounds.loc[rounds["void"] != "", "void"]
    first = ~rounds["again"]
    lacking = max(0, int(first.sum() - (rounds["void"] == "").sum()))
    told = f"{lacking} of {first.sum()}"
    checks.append(
        Check("rounds without a valid one", told, allowed, lacking <= TOLERATED * first.sum())
    )
    if not void.empty:
        voided = f"{len(void)} of {len(rounds)} rounds void"
        why = f"{voided} ({_counted(void)})"
        if made_up := (first & (rounds["void"] != "")).sum() - lacking:
            why += f", {made_up} of them made up for"
        (reasons if lacking > TOLERATED * first.sum() else notes).append(why)
        whole = (
            rounds.assign(void=rounds["void"] != "").groupby("workload", sort=False)["void"].all()
        )
        reasons += [f"all rounds of {name} are void" for name in whole.index[whole]]
    worst = 0.0
    judged = samples[samples["void"] == ""]
    for (workload, lane), group in judged.groupby(["workload", "name"], sort=False):
        invalid = group.loc[group["invalid"] != "", "invalid"]
        worst = max(worst, len(invalid) / len(group))
        if not invalid.empty:
            text = (
                f"{len(invalid)} of {len(group)} samples of {lane} in {workload} are invalid "
                f"({_counted(invalid)})"
            )
            (reasons if len(invalid) > TOLERATED * len(group) else notes).append(text)
    notes += [f"no steady state before measuring: {name}" for name in unsteady]
    grade, spread = noise(anchor_gflops)
    others, steal = rounds["others_percent"].mean(), judged["steal_percent"].mean()
    checks += [
        Check("invalid samples of the worst lane", f"{worst:.0%}", allowed, worst <= TOLERATED),
        Check("lanes that came to no steady state", f"{len(unsteady)}", "0", not unsteady),
        Check("noise of the machine", f"{spread:.1f} % ({grade})", "in the intervals", passed=True),
        Check("CPU that other processes used", f"{others:.1f} %", "below 10 %", not others >= 10),
        Check("CPU that a hypervisor took", f"{steal:.1f} %", "taken off", passed=True),
    ]
    return Trust(tuple(reasons), tuple(notes), tuple(checks), voided, grade, spread)


def _counted(names: pd.Series) -> str:
    counts = names.value_counts()
    return ", ".join(f"{name} {count}" for name, count in counts.items())
