"""P9: what a backend computes in two ways, beside each other; no reference is needed."""

from collections.abc import Iterator

import numpy as np

from reports.ladder.findings import (
    TOLERANCES,
    UNIT_ROUNDOFF,
    Answers,
    Array,
    Finding,
    largest_error,
    norm,
    or_infinite,
)

PROBE = "consistency"


def consistency(answers: Answers, _: Answers) -> Iterator[Finding]:
    """A large batch as its parts, one call as the next, compiled as not compiled."""
    told = answers.facts[PROBE]
    if large := told.get("large"):
        what = f"{large:,} examples at once and in parts"
        yield from _both(answers, "parts", "whole", what, "P9 gradient")
    calls, distinct = told.get("calls", 0), told.get("distinct", 0)
    results = "with one result" if distinct == 1 else f"with {distinct} results"
    what = f"the same call {calls} times, {results}"
    yield from _both(answers, "first", "farthest", what, "P3 gradient")
    if eager := _arrays(answers, "eager", "output"):
        apart = _apart(eager, _arrays(answers, "first", "output"))
        differ = apart > TOLERANCES["P2 output"][1]
        words = "differ at the outputs: the compiler, not the model" if differ else "give the same"
        yield Finding("P9", f"compiled and not compiled {words}", apart, "P2 output", UNIT_ROUNDOFF)


def _both(answers: Answers, one: str, other: str, what: str, tolerance: str) -> Iterator[Finding]:
    outputs, gradients = (
        [_arrays(answers, name, kind) for name in (one, other)] for kind in ("output", "gradient")
    )
    yield Finding("P9", f"{what}: outputs", _apart(*outputs), "P2 output", UNIT_ROUNDOFF)
    value = np.inf
    if _alike(*gradients):
        scale = max(map(norm, gradients[0])) or 1.0
        value = max(or_infinite(norm(a - b) / scale) for a, b in zip(*gradients, strict=True))
    yield Finding("P9", f"{what}: gradient", value, tolerance, UNIT_ROUNDOFF)


def _arrays(answers: Answers, name: str, kind: str) -> list[Array]:
    return answers.numbered(f"{PROBE}.{name}.{kind}")


def _apart(one: list[Array], other: list[Array]) -> float:
    """The largest difference of two sets of outputs; infinite where one set is not whole."""
    if not _alike(one, other):
        return np.inf
    return max(largest_error(b, a) for a, b in zip(one, other, strict=True))


def _alike(one: list[Array], other: list[Array]) -> bool:
    return bool(one) and [each.shape for each in one] == [each.shape for each in other]
