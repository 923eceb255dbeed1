"""P9: what a backend computes in two ways, beside each other; no reference is needed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

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

PARTS, OTHERS = "at once and in parts", "at once and as others give them"
"""How a large batch is judged: by the same examples in a small one, else by other backends."""

UNCONFIRMED = "there is no majority"
"""What the quantity of backends that differ ends in, where none can be blamed."""


def consistency(answers: Answers, _: Answers) -> Iterator[Finding]:
    """A large batch as its parts, one call as the next, compiled as not compiled."""
    told = answers.facts[PROBE]
    if large := told.get("large"):
        what = f"{large:,} examples {PARTS}"
        yield from _both(answers, "parts", "whole", what, "P9 gradient")
    calls, distinct = told.get("calls", 0), told.get("distinct", 0)
    results = "one result" if distinct == 1 else f"{distinct} results"
    kinds = {"outputs": f"outputs, {results}", "gradient": "gradient"}
    for each in _both(answers, "first", "farthest", f"the same call {calls} times", "P3 gradient"):
        asked, kind = each.quantity.split(": ")
        yield replace(each, quantity=f"{asked}: {kinds[kind]}")
    if eager := _arrays(answers, "eager", "output"):
        apart = _apart(eager, _arrays(answers, "first", "output"))
        differ = apart > TOLERANCES["P2 output"][1]
        words = "differ at the outputs: the compiler, not the model" if differ else "give the same"
        yield Finding("P9", f"compiled and not compiled {words}", apart, "P2 output", UNIT_ROUNDOFF)


def in_company(finding: Finding, own: Answers, others: Sequence[Answers]) -> Finding:
    """A large batch that differs from its parts, judged again by what other backends give for it.

    A model whose examples depend on each other, or whose loss is a sum, gives something else for
    more of them, under all backends.
    """
    what, _, kind = finding.quantity.partition(": ")
    if finding.rung != "P9" or not what.endswith(PARTS) or finding.status == "pass":
        return finding
    mine = _arrays(own, "whole", kind.removesuffix("s"))
    theirs = [_arrays(other, "whole", kind.removesuffix("s")) for other in others]
    errors = [_error(kind, each, mine) for each in theirs if each]
    if not errors:
        return replace(finding, quantity=f"{finding.quantity} differ; with one {UNCONFIRMED}")
    quantity = f"{what.replace(PARTS, OTHERS)}: {kind}"
    again = replace(finding, quantity=quantity, value=min(errors))
    return finding if again.status == "fail" else again


def _both(answers: Answers, one: str, other: str, what: str, tolerance: str) -> Iterator[Finding]:
    for kind, judged_by in (("outputs", "P2 output"), ("gradient", tolerance)):
        pair = (_arrays(answers, name, kind.removesuffix("s")) for name in (one, other))
        yield Finding("P9", f"{what}: {kind}", _error(kind, *pair), judged_by, UNIT_ROUNDOFF)


def _error(kind: str, one: list[Array], other: list[Array]) -> float:
    """Of outputs the largest difference, of a gradient that of norms over the largest of them."""
    if kind == "outputs" or not _alike(one, other):
        return _apart(one, other)
    scale = max(map(norm, one)) or 1.0
    return max(or_infinite(norm(a - b) / scale) for a, b in zip(one, other, strict=True))


def _arrays(answers: Answers, name: str, kind: str) -> list[Array]:
    return answers.numbered(f"{PROBE}.{name}.{kind}")


def _apart(one: list[Array], other: list[Array]) -> float:
    """The largest difference of two sets of outputs; infinite where one set is not whole."""
    if not _alike(one, other):
        return np.inf
    return max(largest_error(b, a) for a, b in zip(one, other, strict=True))


def _alike(one: list[Array], other: list[Array]) -> bool:
    return bool(one) and [each.shape for each in one] == [each.shape for each in other]
