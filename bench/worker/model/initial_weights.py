"""Initial weights in a worker: drawn by NumPy as each layer declares, kept, or shared.

What a layer draws at random is drawn by NumPy, from the same distribution, so that all backends
start from the same weights. What is the same whenever the model is built (zeros, ones, weights
that were trained before) is kept. What is random in a way that NumPy does not know, or differs
between backends, is taken from one of them (`bench.inputs.user_models`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.contract.units import ModelRequest
from bench.inputs import draws
from bench.inputs.initializers import Initializer
from bench.worker.loops.state import all_layers, readable

Weights = list[NDArray[Any]]
Axes = tuple[list[int], list[int]] | None


def initial(model: keras.Model, seed: int, request: ModelRequest | None = None) -> Weights:
    """The weights that a model starts from.

    Args:
        model: Built anew.
        seed: Of what is drawn.
        request: What is kept, and what is shared.
    """
    kept = set(request.kept) if request else set()
    built, drawn = map(readable, model.get_weights()), draw(model, seed)
    weights = [
        old if new is None or number in kept else new
        for number, (old, new) in enumerate(zip(built, drawn, strict=True))
    ]
    if request and request.shared:
        with np.load(Path(request.shared), allow_pickle=False) as shared:
            for name in shared.files:
                of_seed, _, number = name.partition(".")
                if int(of_seed) == seed:
                    weights[int(number)] = shared[name]
    return weights


def as_given(model: keras.Model, held: Weights, given: Weights) -> Weights:
    """The weights that are held; where the variables' rounding is all that differs, as given.

    A model whose variables are in half precision begins with rounded weights. That it did begin
    with these shall be seen all the same.
    """
    dtypes = [weight.dtype for weight in model.get_weights()]
    return [
        old if dtype.itemsize == 2 and np.array_equal(readable(old.astype(dtype)), own) else own
        for own, old, dtype in zip(held, given, dtypes, strict=True)
    ]


@contextmanager
def weights_restored(model: keras.Model) -> Iterator[None]:
    """Give weights and optimizer back as they were."""
    variables = [*model.variables, *model.optimizer.variables]
    before = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def draw(model: keras.Model, seed: int) -> list[NDArray[np.float32] | None]:
    """Each of the model's weights as NumPy draws it; None for those of no known distribution."""
    known = dict(_declared(model))
    found: dict[int, NDArray[np.float32] | None] = {}
    layers = [layer.weights for layer in model.layers]
    listed = {id(weight) for of_layer in layers for weight in of_layer}
    layers.append([weight for weight in model.weights if id(weight) not in listed])
    for position, of_layer in enumerate(layers):
        distributions = [
            (_distribution(known.get(id(weight))), tuple(weight.shape)) for weight in of_layer
        ]
        drawn = draws.initial_weights(seed, position, distributions)
        found |= {id(weight): array for weight, array in zip(of_layer, drawn, strict=True)}
    return [found[id(weight)] for weight in model.weights]


def seeded(model: keras.Model) -> list[bool]:
    """Whether each weight's initializer was given a seed: then it is random, and yet the same."""
    known = dict(_declared(model))
    configs = [
        known[id(weight)][0].get_config() if id(weight) in known else {} for weight in model.weights
    ]
    return [isinstance(config.get("seed"), int) for config in configs]


def _declared(model: keras.Model) -> Iterator[tuple[int, tuple[Any, Axes]]]:
    """Each variable with the initializer that its layer has for a weight of this name."""
    for layer in all_layers(model):
        for value in vars(layer).values():
            if isinstance(value, keras.Variable):
                for name in _attributes(value.name):
                    initializer = getattr(layer, name, None)
                    if isinstance(initializer, keras.initializers.Initializer):
                        yield id(value), (initializer, _axes(layer, value))
                        break


def _attributes(weight: str) -> Sequence[str]:
    """Where Keras's layers keep the initializer of a weight, by the weight's name."""
    stem = weight.removesuffix("_kernel")
    return (f"{weight}_initializer", f"{stem}_initializer", "depthwise_initializer")


def _axes(layer: keras.layers.Layer, weight: keras.Variable) -> Axes:
    """Inputs and outputs of a weight of an einsum, which its equation names."""
    if not isinstance(layer, keras.layers.EinsumDense) or weight.name != "kernel":
        return None
    given, _, result = layer.equation.replace(" ", "").partition("->")
    inputs, kernel = given.split(",")
    return (
        [n for n, axis in enumerate(kernel) if axis in inputs and axis not in result],
        [n for n, axis in enumerate(kernel) if axis in result and axis not in inputs],
    )


def _distribution(declared: tuple[Any, Axes] | None) -> Initializer | None:
    initializer, axes = declared or (None, None)
    match initializer:
        case keras.initializers.VarianceScaling():
            uniform = initializer.distribution == "uniform"
            plain = "normal" in initializer.distribution and "un" in initializer.distribution
            name = "uniform" if uniform else "normal" if plain else "truncated_normal"
            spread, mode = initializer.scale, initializer.mode
            return Initializer(name, spread=spread, mode=mode, axes=axes)
        case keras.initializers.RandomUniform():
            low, high = initializer.minval, initializer.maxval
            return Initializer("uniform", (low + high) / 2, (high - low) / 2)
        case keras.initializers.RandomNormal():
            return Initializer("normal", initializer.mean, initializer.stddev)
        case keras.initializers.TruncatedNormal():
            return Initializer("truncated_normal", initializer.mean, initializer.stddev)
        case keras.initializers.Orthogonal():
            return Initializer("orthogonal", spread=initializer.gain)
    return None
