"""Initial weights and batch order, drawn by NumPy so that every backend gets the same ones.

A Keras seed gives other weights and other shuffles on each backend. Here both are pure
functions of (seed, layer) and (seed, epoch), and a hash proves that they were used.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

# Separate streams, so that no draw of one kind ever moves the other.
_WEIGHTS, _BATCHES, _BIASES, _NEIGHBOURS = 0, 1, 2, 3


def initial_weights(
    seed: int, layer: int, shapes: Sequence[tuple[int, ...]]
) -> list[NDArray[np.float32]]:
    """Draw the weights of one layer: Glorot uniform kernels, zero biases.

    Args:
        seed: The cell's seed.
        layer: Position of the layer in the model.
        shapes: Shapes of the layer's weights, in Keras's order. One axis means a bias; the
            last two axes of a kernel are inputs and outputs, those before it its window.

    Returns:
        float32 arrays of these shapes.
    """
    generator = np.random.default_rng([seed, _WEIGHTS, layer])
    return [_initial_weight(generator, shape) for shape in shapes]


def probe_weights(
    seed: int, shapes: Sequence[Sequence[tuple[int, ...]]]
) -> list[NDArray[np.float32]]:
    """Draw the weights that parity is probed with: initial ones, but with biases that are not 0.

    Args:
        seed: As for `initial_weights`.
        shapes: Shapes of the weights of each layer.

    Returns:
        The weights of all layers in one list. A bias is uniform in [-0.1, 0.1]: one that is 0 would
        hide that it is left out.
    """
    generator = np.random.default_rng([seed, _BIASES])
    drawn = [
        weight
        for layer, of_layer in enumerate(shapes)
        for weight in initial_weights(seed, layer, of_layer)
    ]
    return [
        weight if weight.ndim > 1 else generator.uniform(-0.1, 0.1, weight.shape).astype(np.float32)
        for weight in drawn
    ]


def nudged(
    weights: Sequence[NDArray[np.float32]], neighbour: int, step: int
) -> list[NDArray[np.float32]]:
    """The weights, each moved up or down by one unit in the last place.

    Args:
        weights: Any.
        neighbour: Which of several trainings is nudged: each gets draws of its own.
        step: After how many steps; each time they are drawn anew.
    """
    generator = np.random.default_rng([neighbour, step, _NEIGHBOURS])
    return [
        np.nextafter(
            weight,
            np.where(generator.random(weight.shape) < 0.5, -np.inf, np.inf).astype(np.float32),
        )
        for weight in weights
    ]


def _initial_weight(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if len(shape) < 2:
        return np.zeros(shape, np.float32)
    window = int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / (window * (shape[-2] + shape[-1])))
    return generator.uniform(-limit, limit, shape).astype(np.float32)


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
