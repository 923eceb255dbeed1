"""P9: whether a backend agrees with itself, however large a batch is and however it is compiled.

Nothing here needs a reference: one and the same is computed twice.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.inputs.examples import Examples
from bench.inputs.parity_questions import Answer, Arrays, numbered, sampled
from bench.worker.model.candidate import Candidate
from bench.worker.model.initial_weights import Weights
from bench.worker.model.layer_outputs import numbers
from bench.worker.model.native import Native

LARGE = 4096
"""At most so many examples at once: some kernels go wrong beyond a size."""

MOST_ELEMENTS = 1 << 28
"""Of all layers' outputs for a large batch, 1 GiB: a model that would need more is not asked, nor
one whose layers do not say."""

CALLS, SECONDS = 200, 1.5
"""How often the same batch is predicted, and its gradient taken, in at most so many seconds."""

Fed = Callable[[Examples], tuple[Any, Any]]


def answer(
    candidate: Candidate, start: Weights, examples: Examples, batch_size: int, fed: Fed
) -> Answer:
    """What a model says when it is asked the same in two ways.

    Args:
        candidate: The model.
        start: Its weights.
        examples: Some; they come again where more are wanted.
        batch_size: Of what is asked again and again.
        fed: Gives inputs and targets as the model takes them.

    Returns:
        Facts: `large` (examples at once; 0 of a model that takes one size alone, or would be too
        large), `calls` and `distinct` (their results, to the last bit). Arrays: outputs and
        gradients of the large batch, `whole.output<n>` and so on, and the same made of a batch's,
        `parts`; the `first` outputs and gradients of a batch, and those that are the `farthest`
        from them; and outputs of the same batch without a compiler, `eager.output<n>`.
    """
    one_size = candidate.built.feed.batch is not None
    fits = 0 < _elements(candidate.built.model) <= MOST_ELEMENTS // LARGE
    large = LARGE - LARGE % batch_size if fits and not one_size else 0
    some = examples.repeated(batch_size)
    batch = fed(some)
    # Each example as often as any other: what a layer or a loss takes of a whole batch, as its
    # mean and variance, is that of the batch.
    places = np.random.default_rng(0).permutation(large) % batch_size
    batches = [fed(some.take(places))] if large else []
    # One function for both sizes.
    gradients = candidate.gradients(repeat(start), (*batches, *[batch] * CALLS))
    arrays: Arrays = {}
    if large:
        _, of_large = next(gradients)
        candidate.set_weights(start)
        outputs, parts = (numbers(candidate.predict_one(x)) for x, _ in (*batches, batch))
        arrays |= _named("whole", sampled(outputs), sampled(of_large))
        parts = [each[places] if each.shape[:1] == (batch_size,) else each for each in parts]
        arrays |= numbered("parts.output", sampled(parts))
    gradient, other, *_ = _again(sampled(gradient) for _, gradient in gradients)
    x, _ = batch
    candidate.set_weights(start)
    first, farthest, calls, distinct = _again(_predictions(candidate, start, x, again=one_size))
    if large:
        arrays |= numbered("parts.gradient", gradient)
    arrays |= _named("first", first, gradient) | _named("farthest", farthest, other)
    if not isinstance(candidate, Native):
        candidate.set_weights(start)
        arrays |= _named("eager", _op_by_op(candidate, x), [])
    return {"large": large, "calls": calls, "distinct": distinct}, arrays


def _named(name: str, outputs: Weights, gradient: Weights) -> Arrays:
    return numbered(f"{name}.output", outputs) | numbered(f"{name}.gradient", gradient)


def _predictions(
    candidate: Candidate, start: Weights, x: Any, *, again: bool
) -> Iterator[list[NDArray[Any]]]:
    for _ in range(CALLS):
        yield sampled(numbers(candidate.predict_one(x)))
        if again:  # it remembers
            candidate.set_weights(start)


def _again(results: Iterator[list[NDArray[Any]]]) -> tuple[Weights, Weights, int, int]:
    """The first result, the one farthest from it, how many there were, and how many were other."""
    begun = time.monotonic()
    first: Weights = []
    farthest, most, calls, seen = first, -1.0, 0, set()
    for result in results:
        first = first or result
        calls += 1
        digest = hashlib.sha256(b"".join(each.tobytes() for each in result)).digest()
        if digest not in seen:
            seen.add(digest)
            apart = max(
                float(np.abs(a - b).max(initial=0)) for a, b in zip(first, result, strict=True)
            )
            if not apart <= most:  # what is no number is as far as can be
                farthest, most = result, apart
        if time.monotonic() - begun > SECONDS:
            break
    return first, farthest, calls, len(seen)


def _op_by_op(candidate: Candidate, x: Any) -> list[NDArray[Any]]:
    """Outputs as Keras computes them when nothing compiles or traces the model."""
    told = candidate.model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
    return sampled(numbers([keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(told)]))


def _elements(model: keras.Model) -> int:
    """Of the outputs of all layers, for one example; 0 where they do not say."""
    tensors = [
        t for layer in model.layers for t in keras.tree.flatten(getattr(layer, "output", []))
    ]
    return sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)
