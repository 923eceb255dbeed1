"""P3 and P4 of the parity ladder: loss and gradients of a batch, and what a step makes of them."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.contract.rungs import UNIT_ROUNDOFF as ROUNDOFFS
from reports.ladder import dropout_rungs
from reports.ladder.answer_facts import (
    optimizer_name,
    precision_of,
    relative,
    saturated_definition,
    trained,
    trained_names,
    weight_names,
    words,
)
from reports.ladder.findings import (
    HALF_ROUNDINGS,
    UNIT_ROUNDOFF,
    Answers,
    Array,
    Finding,
    norm,
    or_infinite,
)

_NEAR = re.compile(r"gradients\.near\d+\.gradient0$")

GRADIENT_SHARE = 1e-3
"""Adam's first step is the gradient's sign; below this share of the largest, that is rounding. A
gradient that is smaller than this share of the largest weight's is compared on that scale."""

CANCELS = 1e-12
"""A gradient below this share of the largest is 0 but for float64's rounding: its terms cancel, as
those of an attention's key bias do, or of a bias that a batch normalisation takes off again. What
float32 leaves of them is compared with the largest."""

UNSURE = 10.0
"""Rounding decides an element's sign where the gradient is below so many of what it does to it."""

KEPT = 4.0
"""What has no gradient may be off by so many roundings of itself: only a decay moves it."""

LONGEST_STEP = 1.01
"""Adam's first step in learning rates: 1, and some rounding."""


def gradients(answers: Answers, reference: Answers) -> Iterator[Finding]:
    """P3: loss and gradient; where outputs are saturated, by either of Keras's two definitions."""
    own, true = answers.facts["gradients"], reference.facts["gradients"]
    yield Finding("P3", "loss", relative(own["loss"], true["loss"]), "P3 loss", UNIT_ROUNDOFF)
    found, exact = (each.numbered("gradients.gradient") for each in (answers, reference))
    values = _norms(found, exact, _scales([norm(each) for each in exact]))
    for name, value in zip(trained_names(reference), values, strict=True):
        yield Finding("P3", f"gradient of {name}", value, "P3 gradient", UNIT_ROUNDOFF)
    for each in own.get("dropout") or ():
        yield from dropout_rungs.of_dropout(each)
    if true.get("saturated_loss") is None:
        return
    definition = saturated_definition(answers, reference)
    loss = relative(own["saturated_loss"], true[f"saturated_loss{definition}"])
    yield Finding("P3", f"saturated loss{words(definition)}", loss, "P3 loss", UNIT_ROUNDOFF)
    found = answers.numbered("gradients.saturated_gradient")
    exact = reference.numbered(f"gradients.saturated_gradient{definition}")
    whole = [np.concatenate([np.ravel(each) for each in arrays]) for arrays in (found, exact)]
    (value,) = _norms(whole[:1], whole[1:], _scales([norm(whole[1])]))
    yield Finding(
        "P3", f"saturated gradient{words(definition)}", value, "P3 gradient", UNIT_ROUNDOFF
    )


def update(answers: Answers, reference: Answers) -> Iterator[Finding]:
    """P4: what one step changes, of SGD by norm, of the own optimizer in its largest changes."""
    yield from _sgd(answers, reference)
    yield from _own_optimizer(answers, reference)


def _sgd(answers: Answers, reference: Answers) -> Iterator[Finding]:
    drawn = reference.numbered("identity.weight")
    moves = [
        [after - before for after, before in zip(each.numbered("update.sgd"), drawn, strict=True)]
        for each in (answers, reference)
    ]
    learnt = trained(reference)
    # A change is compared on the scale of its gradient.
    sizes = [norm(each) for each in reference.numbered("gradients.gradient")]
    farthest = max((norm(moves[1][number]) for number in learnt), default=0.0)
    per_gradient = farthest / (max(sizes, default=0.0) or 1.0)
    least = {n: scale * per_gradient for n, scale in zip(learnt, _scales(sizes), strict=True)}
    for number, name in enumerate(weight_names(reference)):
        own, true = moves[0][number], moves[1][number]
        scale = max(norm(true), least.get(number, 0.0)) or 1.0
        floor = UNIT_ROUNDOFF * norm(drawn[number]) / scale
        yield Finding(
            "P4", f"SGD on {name}", or_infinite(norm(own - true) / scale), "P4 sgd", floor
        )


def _own_optimizer(answers: Answers, reference: Answers) -> Iterator[Finding]:
    """Of Adam a largest change is a learning rate."""
    drawn, learnt = reference.numbered("identity.weight"), trained(reference)
    found, exact = (each.numbered("update.adam") for each in (answers, reference))
    gradient = reference.numbered("gradients.gradient")
    of_weight = dict(zip(learnt, gradient, strict=True))
    own = dict(zip(learnt, answers.numbered("gradients.gradient"), strict=False))
    unsure = dict(zip(learnt, _uncertainties(reference, gradient), strict=True))
    largest = max((float(np.abs(each).max()) for each in gradient), default=0.0)
    steps = [np.abs(after - before).max() for after, before in zip(exact, drawn, strict=True)]
    longest = max((steps[number] for number in learnt), default=0.0)
    precision = precision_of(answers)
    half = HALF_ROUNDINGS[1] * ROUNDOFFS[precision] if precision != "float32" else 0.0
    sure = max(GRADIENT_SHARE, half)
    for number, name in enumerate(weight_names(reference)):
        size = np.abs(of_weight.get(number, np.ones(1)))
        share = sure * max(float(size.max()), GRADIENT_SHARE * largest)
        unclear = size <= max(share, UNSURE * unsure.get(number, 0.0))
        rate = max(steps[number], GRADIENT_SHARE * longest * (number in of_weight)) or 1.0
        floor = UNIT_ROUNDOFF * np.abs(drawn[number]).max() / rate
        error = np.abs(found[number] - exact[number]) / rate
        # Where the gradient is rounding, a step may go either way, but no farther than elsewhere.
        # Where there is none, for either, rounding decides nothing.
        none = _is_zero(of_weight.get(number), drawn[number]) & _is_zero(
            own.get(number), drawn[number]
        )
        farthest = LONGEST_STEP * (longest if number in of_weight else rate)
        error[unclear & ~none & (np.abs(found[number] - drawn[number]) <= farthest)] = 0
        rounding = KEPT * UNIT_ROUNDOFF * np.abs(drawn[number])
        error[none & (np.abs(found[number] - exact[number]) <= rounding)] = 0
        whole = ", which has no gradient" if none.all() else ""
        quantity = f"{optimizer_name(answers)} on {name}{whole}"
        yield Finding("P4", quantity, or_infinite(error.max()), "P4 adam", floor)


def _is_zero(gradient: Array | None, weight: Array) -> NDArray[np.bool_]:
    """Where a weight has no gradient at all; nowhere, if its gradient is not known."""
    if gradient is None or gradient.shape != weight.shape:
        return np.zeros(weight.shape, np.bool_)
    return np.equal(gradient, 0)


def _uncertainties(reference: Answers, gradient: Sequence[Array]) -> list[float]:
    """How far rounding moves an element of each gradient; 0 where nobody has measured it."""
    nearby = [
        reference.numbered(f"gradients.{name}.gradient")
        for name in sorted({key.split(".")[1] for key in reference.arrays if _NEAR.match(key)})
    ]
    return [
        max((float(np.abs(near[number] - exact).max()) for near in nearby), default=0.0)
        for number, exact in enumerate(gradient)
    ]


def _norms(found: Sequence[Array], exact: Sequence[Array], scales: Sequence[float]) -> list[float]:
    """Norm of each error over its scale."""
    return [
        or_infinite(norm(own - true) / (scale or 1.0))
        for own, true, scale in zip(found, exact, scales, strict=True)
    ]


def _scales(sizes: Sequence[float]) -> list[float]:
    """What each gradient's error is compared with: its own norm, where that says something."""
    largest = max(sizes, default=0.0)
    return [
        largest if size < CANCELS * largest else max(size, GRADIENT_SHARE * largest)
        for size in sizes
    ]
