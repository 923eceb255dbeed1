"""Initial weights and batch order, drawn by NumPy so that every backend gets the same ones.

A Keras seed gives other weights and other shuffles on each backend. Here both are pure
functions of (seed, layer) and (seed, epoch), and a hash proves that they were used.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.inputs.initializers import Initializer

# Separate streams, so that no draw of one kind ever moves the other.
_WEIGHTS, _BATCHES, _BIASES, _NEIGHBOURS = 0, 1, 2, 3


def initial_weights(
    seed: int, layer: int, weights: Sequence[tuple[Initializer | None, tuple[int, ...]]]
) -> list[NDArray[np.float32] | None]:
    """Draw the weights of one layer, each from the distribution that its layer declares.

    Args:
        seed: The cell's seed.
        layer: Position of the layer in the model.
        weights: Distribution and shape of each weight, in Keras's order; None for those that are
            not drawn.

    Returns:
        float32 arrays of these shapes; None for those that are not drawn.
    """
    generator = np.random.default_rng([seed, _WEIGHTS, layer])
    return [
        None if initializer is None else initializer.draw(generator, shape)
        for initializer, shape in weights
    ]


def probe_weights(seed: int, weights: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The weights that parity is probed with: initial ones, but with biases that are not 0.

    Args:
        seed: As for `initial_weights`.
        weights: The initial weights of all layers.

    Returns:
        What has only zeros and ones is moved by up to 0.1, drawn uniformly: a bias that is 0 would
        hide that it is left out, and a scale or a variance that is 1 as well.
    """
    generator = np.random.default_rng([seed, _BIASES])
    return [
        weight + generator.uniform(-0.1, 0.1, weight.shape).astype(np.float32)
        if weight.ndim and weight.dtype == np.float32 and np.isin(weight, (0, 1)).all()
        else weight
        for weight in weights
    ]


def perturbed(
    weights: Sequence[NDArray[np.float32]], neighbour: int, step: int, units: int = 1
) -> list[NDArray[np.float32]]:
    """The weights, each moved up or down by units in the last place.

    Args:
        weights: Any.
        neighbour: Which of several trainings is perturbed: each gets draws of its own.
        step: After how many steps; each time they are drawn anew.
        units: How many.
    """
    generator = np.random.default_rng([neighbour, step, _NEIGHBOURS])
    return [
        _moved(weight, generator.random(weight.shape) < 0.5, units)
        if weight.dtype == np.float32
        else weight
        for weight in weights
    ]


def _moved(weight: NDArray[np.float32], down: NDArray[np.bool_], units: int) -> Any:
    towards = np.where(down, -np.inf, np.inf).astype(np.float32)
    for _ in range(units):
        weight = np.nextafter(weight, towards)
    return weight


def batch_order(seed: int, epoch: int, examples: int) -> NDArray[np.int64]:
    """Order of the training examples in `epoch` (from 0): a permutation of `examples`."""
    return np.random.default_rng([seed, _BATCHES, epoch]).permutation(examples)


def arrays_sha256(arrays: Iterable[NDArray[np.generic]]) -> str:
    """SHA-256 over dtype, shape and bytes of each array, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
