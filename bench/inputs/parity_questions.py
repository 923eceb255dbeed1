"""What every backend, and the oracle, is asked on the parity ladder: inputs and constants.

Inputs are examples as they are stored, pixels as 0 to 255: workers and the oracle scale them on
their own, and hashes of what was fed show whether they did alike.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.rungs import UNIT_ROUNDOFF
from bench.inputs import draws
from bench.inputs.examples import Examples

Weights = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]
Answer = tuple[dict[str, Any], Arrays]
"""Facts, which JSON can carry, and arrays by name."""

UNSCALED = "raw33"
"""Fed without division by 255: large values show what small ones hide."""

LAYERED = ("zeros", "ones", "odd3", "odd33", "whole", UNSCALED)
"""Inputs of which every layer's output is stored; of the others, what the model gives is."""

MOST_ELEMENTS = 1 << 21
"""Of all arrays of a kind together; of larger ones a sample is stored."""

SGD_RATE = 1.0
SATURATION, FAVOUR = 40.0, 40.0
"""Factor on the last layer's weights, and what its first bias gets on top: some probabilities are
then beyond 1e-7, where Keras clips, whatever the images are."""

CHECKPOINTS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Steps of the trajectory at which weights are kept. The last step has half a batch."""

NEIGHBOURS = 8
"""Trainings from weights moved by one unit in the last place: the trajectory's envelope."""

NEAR, NEAR_UNITS = 2, 10
"""How often weights are moved for a sensitive probe, and by how many roundings of float32. Not by
one: every layer rounds again what it is given, and what is one ReLU's other side to a backend must
be in reach of the weights that were moved."""

RESTARTS, RESTART_STEPS = (5, 20, 50, 100, 198), 2
"""Where on the oracle's trajectory a backend takes over, for so many steps: late steps are judged
as sharply as early ones then. The last of them has half a batch."""

TRAINED_STEPS = 50
"""Steps that the oracle trains for the weights of which all backends predict the test set."""


def inputs(
    train: Examples, test: Examples, batch_size: int, scale: int, *, one_size: bool = False
) -> dict[str, Examples]:
    """What is fed, by name, from a dataset.

    `train` is the batch of P3 and P4; the others are for P2. A model of the user's, whose numbers
    are not scaled, may be a large one: it gets fewer, in fewer sizes, each of which is compiled.
    One that takes batches of `one_size` alone gets no others.
    """
    if one_size:
        whole = test.repeated(batch_size)
        return {"train": train.repeated(batch_size), "zeros": _filled(whole, 0), "whole": whole}
    one = test.take(slice(1))
    some = {"train": train.repeated(batch_size), "zeros": _filled(one, 0), "one": one}
    if scale == 1:
        return some | {"test": test.repeated(batch_size), "odd3": test.repeated(3)}
    return some | {
        "test512": test.take(slice(512)),
        "ones": _filled(one, scale),
        "odd33": test.take(slice(33)),
        UNSCALED: test.take(slice(33)),
    }


def _filled(one: Examples, value: int) -> Examples:
    return Examples(
        {name: np.full_like(array, value) for name, array in one.inputs.items()}, one.targets
    )


def steps(
    train: Examples, first: int, last: int, batch_size: int, *, one_size: bool = False
) -> Examples:
    """Examples of the trajectory's steps after `first`, up to `last`, in order.

    Where the dataset is smaller, its examples come again. The last step of all has half a batch,
    but where the model takes whole ones alone.
    """
    end = CHECKPOINTS[-1] * batch_size - (0 if one_size else batch_size // 2)
    return train.take(np.arange(first * batch_size, min(last * batch_size, end)) % len(train))


def saturated(weights: Sequence[Weights]) -> list[Weights]:
    """The weights, with a last layer whose probabilities are near 0 and 1."""
    *before, kernel, bias = weights
    favour = np.where(np.arange(len(bias)) == 0, np.float32(FAVOUR), np.float32(0))
    factor = np.float32(SATURATION)
    return [*before, factor * kernel, factor * bias + favour]


def moved(weights: Sequence[Weights], near: int, precision: str) -> list[Weights]:
    """The weights, each moved up or down by `NEAR_UNITS` of float32, or one of a half precision.

    Args:
        weights: Any.
        near: Which of `NEAR`.
        precision: Key of `bench.contract.rungs.UNIT_ROUNDOFF`.
    """
    found = draws.perturbed(weights, near, 0, NEAR_UNITS)
    if precision == "float32":
        return found
    units = UNIT_ROUNDOFF[precision] / UNIT_ROUNDOFF["float32"]
    factor = np.float32(units / NEAR_UNITS)
    return [old + factor * (new - old) for old, new in zip(weights, found, strict=True)]


def of_moved(near: int, precision: str, answer: Answer) -> Arrays:
    """Arrays and numbers of an answer from weights that were moved, under names of their own."""
    facts, arrays = answer
    told = {f"fact.{name}": np.array(v) for name, v in facts.items() if isinstance(v, float)}
    return {f"near{near}_{precision}.{name}": each for name, each in (arrays | told).items()}


def numbered(name: str, arrays: Sequence[NDArray[Any]]) -> Arrays:
    """Arrays by `name` and their place: `<name>0`, `<name>1` and so on."""
    return {f"{name}{number}": np.asarray(array) for number, array in enumerate(arrays)}


def sampled(arrays: Sequence[NDArray[Any]], among: int = 0) -> list[NDArray[Any]]:
    """The arrays, or where they are larger than their share of `MOST_ELEMENTS`, a sample of them.

    The same elements of two arrays of one size: what is wrong in a layer is wrong in many places.

    Args:
        arrays: Any.
        among: How many share; 0 takes as many as there are.
    """
    share = max(1, MOST_ELEMENTS // max(1, among or len(arrays)))
    return [array if array.size <= share else _some(array, share) for array in arrays]


def _some(array: NDArray[Any], count: int) -> NDArray[Any]:
    drawn = np.random.default_rng(array.size).choice(array.size, count, replace=False)
    return np.asarray(array.reshape(-1)[np.sort(drawn)])
