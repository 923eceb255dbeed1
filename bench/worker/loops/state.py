"""What a model holds: its layers, the weights that it is given, and what it remembers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model, and those within them.

    Keras has no public way to them; `model.layers` ends at the first level.
    """
    return list(model._flatten_layers(include_self=True, recursive=True))


def readable(array: Any) -> NDArray[Any]:
    """As NumPy and its files know it: half precision in float32."""
    found: NDArray[Any] = np.asarray(array)
    known = found.dtype.kind in "biu" or found.dtype.itemsize > 2
    return found if known else found.astype(np.float32)


def place(model: keras.Model, weights: Sequence[NDArray[Any]]) -> None:
    """Take weights over, and forget what recurrent layers remember of the batches before."""
    model.set_weights(weights)
    for layer in all_layers(model):
        if getattr(layer, "stateful", False) and isinstance(layer, keras.layers.RNN):
            layer.reset_state()


def loss_scale(model: keras.Model) -> float:
    """By what the model's optimizer multiplies a loss, so that small gradients are not lost."""
    return float(keras.ops.convert_to_numpy(model.optimizer.scale_loss(keras.ops.ones(()))))
