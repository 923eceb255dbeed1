"""P5: how far two trainings from the same weights go apart, in widths of what rounding may do."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reports.ladder.findings import TOLERANCES, Answers, norm, or_infinite


@dataclass(frozen=True)
class Parting:
    """How far two trainings go apart.

    Attributes:
        value: The largest distance, in widths of the envelope.
        horizon: The first checkpoint at which it is more than allowed; None if it never is.
        where: That checkpoint, or the one of the largest distance, and the weight that is farthest.
    """

    value: float
    horizon: int | None
    where: str


def part(one: Answers, other: Answers, names: Sequence[str], definition: str = "") -> Parting:
    """Compare the trainings of two backends, or of one and the oracle, which has no envelope.

    Args:
        one: A backend's answers.
        other: Another's, or the oracle's.
        names: Of the weights.
        definition: Which of the oracle's trainings; see `answer_facts.saturated_definition`.
    """
    envelopes = [
        each.arrays["trajectory.distances"].max(axis=0)
        for each in (one, other)
        if "trajectory.distances" in each.arrays
    ]
    value, where = 0.0, ""
    for number, step in enumerate(checkpoints(other)):
        here = one.numbered(f"trajectory.step{step}.weight")
        there = other.numbered(f"trajectory.step{step}{definition}.weight")
        apart = np.array([norm(a - b) for a, b in zip(here, there, strict=True)])
        width = np.max([each[number] for each in envelopes], axis=0)
        found = or_infinite(norm(apart) / (norm(width) or np.nan)) if apart.any() else 0.0
        if found > value:
            worst = int((apart / np.maximum(width, np.finfo(float).tiny)).argmax())
            value, where = found, f", step {step}, {names[worst]}"
        if found > TOLERANCES["P5 distance"][1]:
            return Parting(value, step, where)
    return Parting(value, None, where)


def distances(one: Answers, oracle: Answers, definition: str) -> Iterator[tuple[int, float, float]]:
    """Each checkpoint, how far a backend is from the oracle there, and its envelope's width."""
    widths = one.arrays["trajectory.distances"].max(axis=0)
    for number, step in enumerate(checkpoints(oracle)):
        here = one.numbered(f"trajectory.step{step}.weight")
        there = oracle.numbered(f"trajectory.step{step}{definition}.weight")
        apart = [norm(a - b) for a, b in zip(here, there, strict=True)]
        yield step, norm(np.array(apart)), norm(widths[number])


def checkpoints(answers: Answers) -> list[int]:
    """Steps at which the weights of a trajectory are known."""
    return _steps(answers, "step")


def restarts(answers: Answers) -> list[int]:
    """Steps after which a backend took over from the oracle."""
    return _steps(answers, "restart")


def _steps(answers: Answers, word: str) -> list[int]:
    form = re.compile(rf"trajectory\.{word}(\d{{1,9}})\.weight0")
    found = (form.fullmatch(name) for name in answers.arrays)
    return sorted(int(name[1]) for name in found if name)
