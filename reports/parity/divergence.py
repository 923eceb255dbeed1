"""P5 as tables: how far each training goes from the oracle's, and when two of them part."""

import itertools

import numpy as np
import pandas as pd

from reports.ladder import answer_facts, rungs, trajectory_rungs
from reports.ladder.findings import Answers
from reports.parity.answers import answers, groups
from reports.read.shards import Shards
from reports.tables.columns import frame, picked


@np.errstate(all="ignore")  # as `rungs.judge`
def table(shards: Shards) -> pd.DataFrame:
    """One row per subject and checkpoint of P5.

    Returns:
        The columns of `divergence`. `distance` is from the oracle's training by the same definition
        of the loss, Euclidean over all weights; `envelope` is how far rounding alone may have moved
        them.
    """
    rows = [
        {
            **picked(shard.payload.subject, "model", "lane", "device"),
            "step": step,
            "distance": distance,
            "envelope": envelope,
        }
        for reference, group in groups(shards)
        for shard in group
        if _whole(answers(shard), answers(reference))
        for step, distance, envelope in trajectory_rungs.distances(
            answers(shard),
            answers(reference),
            answer_facts.saturated_definition(answers(shard), answers(reference)),
        )
    ]
    return frame("divergence", rows)


@np.errstate(all="ignore")
def horizons(shards: Shards) -> pd.DataFrame:
    """One row per model and pair of backends that both trained along P5.

    Returns:
        model, backend, other, horizon (the first checkpoint at which the two are farther apart
        than `findings.TOLERANCES` allows; NA if they never are), steps (looked at), distance
        (there, or the largest, in widths of the envelope), clipped_since (where only one of the
        two clips probabilities: the first step in which that matters; else NA).
    """
    rows = []
    for reference, group in groups(shards):
        for one, other in itertools.combinations(group, 2):
            true = answers(reference)
            if not all(_whole(answers(each), true) for each in (one, other)):
                continue
            names = answer_facts.weight_names(true)
            both = (answers(one), answers(other))
            definitions = {answer_facts.saturated_definition(each, true) for each in both}
            parting = trajectory_rungs.part(answers(one), answers(other), names)
            clipped = true.facts["trajectory"]["clipped_since"] if len(definitions) > 1 else None
            rows.append(
                (
                    *(one.payload.subject.model, one.payload.subject.lane),
                    *(other.payload.subject.lane, parting.horizon),
                    *(trajectory_rungs.checkpoints(true)[-1], parting.value, clipped),
                )
            )
    return frame("horizons", rows)


def _whole(own: Answers, true: Answers) -> bool:
    """Whether there is a training to look at; what is missing of one, the ladder tells."""
    asked = {"trajectory", "gradients"}
    return asked <= own.facts.keys() & true.facts.keys() and not rungs.misshapen(
        "trajectory", own, true
    )
