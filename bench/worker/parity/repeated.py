"""What a model gives when it is asked the same again, and the same at another place of the batch.

A model that draws at random says something else the second time. One that draws from a constant
seed does not: it draws the same for the same place, so its examples are moved on by one.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Asked = Callable[[Any], Mapping[str, Array]]

APART = 1e-4
"""Share of the largest value by which two answers differ that are not the same."""

ELSEWHERE, FEW = 16, 0.01
"""Roundings by which an example may differ at another place, and the share of numbers that may by
more: kernels add in another order there, and an integer or a ReLU may tip over."""


def differing(ask: Asked, x: Any, roundoff: float) -> tuple[list[str], list[str]]:
    """Names of answers that differ when the same is asked again, and when its examples are moved.

    Args:
        ask: Gives what layers and model give, by name, from the same weights and with nothing
            remembered; a generator goes on.
        x: A batch, as the model takes it.
        roundoff: Of what the layers compute in.

    Returns:
        Those of the second list are not in the first. They are drawn from a constant seed, or what
        an example gives depends on those beside it: other backends tell.
    """
    moved = keras.tree.map_structure(lambda array: np.roll(array, 1, axis=0), x)
    one, again, elsewhere = ask(x), ask(x), ask(moved)
    restless = [name for name in one if _unlike(one[name], again[name], APART) > 0]
    size = len(keras.tree.flatten(x)[0])
    apart = max(APART, ELSEWHERE * roundoff)
    return restless, [
        name
        for name in one
        if name not in restless
        and all(_unlike(each, elsewhere[name], apart) > FEW for each in _moved(one[name], size))
    ]


def _moved(array: Array, size: int) -> Iterator[Array]:
    """The answer as it may look where a batch's examples are moved on by one.

    Its examples may lie along any axis, each in several rows, along two of them, or along none.
    """
    axes = [axis for axis, length in enumerate(array.shape) if length and length % size == 0]
    for count in range(len(axes) + 1):
        for some in itertools.combinations(axes, count):
            yield np.roll(array, [array.shape[axis] // size for axis in some], axis=some)


def _unlike(one: Array, other: Array, apart: float) -> float:
    """Share of the numbers that differ by more than `apart` of the largest."""
    if one.shape != other.shape:
        return 1.0
    scale = np.abs(one[np.isfinite(one)]).max(initial=0.0)
    alike = np.isclose(one, other, rtol=0, atol=apart * scale, equal_nan=True)
    return 1.0 - float(alike.mean()) if alike.size else 0.0
