"""Floating-point operations of a model, counted from the shapes of its layers.

A multiplication and the addition that follows it are two operations. Only layers that multiply
matrices count, as in the usual "model FLOP utilisation" (Chowdhery et al., PaLM, 2022): the rest
is work too, but no arithmetic that a faster matrix product would save.
"""

import math

import keras

_WITHOUT_PRODUCTS = (
    keras.layers.InputLayer,
    keras.layers.Flatten,
    keras.layers.MaxPooling2D,
)


def forward(model: keras.Model) -> int | None:
    """Operations for predicting one example; None without any or if a layer cannot be counted."""
    if not getattr(model, "inputs", None):
        return None
    counts = [_forward(layer) for layer in model.layers]
    return None if None in counts else sum(filter(None, counts)) or None


def train(model: keras.Model) -> int | None:
    """Operations for training on one example, or None.

    The backward pass does each product twice more, for the gradient of the weights and for that
    of the inputs; the first layer's inputs are data and need none.
    """
    total = forward(model)
    if total is None:
        return None
    products = [count for count in map(_forward, model.layers) if count]
    return 3 * total - products[0]


def _forward(layer: keras.layers.Layer) -> int | None:
    match layer:
        case keras.layers.Dense() if type(layer) is keras.layers.Dense:
            inputs, units = layer.kernel.shape
            return int(2 * inputs * math.prod(layer.output.shape[1:-1]) * units)
        case keras.layers.Conv2D(groups=1):
            height, width, channels, filters = layer.kernel.shape
            positions = math.prod(layer.output.shape[1:-1])
            return int(2 * height * width * channels * positions * filters)
        case _ if isinstance(layer, _WITHOUT_PRODUCTS):
            return 0
        case _:
            return None
