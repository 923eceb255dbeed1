"""Layers that draw at random while they train, made still: parity compares all the rest.

Every backend draws other numbers from the same seed. What dropout itself does,
`bench.worker.model.dropout` asks by its statistics.
"""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from bench.worker.loops.state import all_layers


def still(model: keras.Model) -> list[keras.layers.Layer]:
    """Have every layer that draws at random do as it does when it predicts.

    Returns:
        These layers; of a recurrent one that, and not its cell.
    """
    found = []
    for layer in all_layers(model):
        call = layer.call
        if _draws(layer) and "training" in inspect.signature(call).parameters:
            layer.call = _predicting(call)
            found.append(layer)
    cells = {id(layer.cell) for layer in found if isinstance(layer, keras.layers.RNN)}
    return [layer for layer in found if id(layer) not in cells]


def _draws(layer: keras.layers.Layer) -> bool:
    # Under torch a recurrent layer drops out what goes into its cell by itself.
    sources = [layer, layer.cell] if isinstance(layer, keras.layers.RNN) else [layer]
    # A recurrent layer has a source even where it drops out nothing.
    rates = [getattr(layer, name, None) for name in ("dropout", "recurrent_dropout")]
    if any(rate is not None for rate in rates) and not any(rates):
        return False
    return any(
        isinstance(value, keras.random.SeedGenerator)
        for source in sources
        for value in vars(source).values()
    )


def _predicting(call: Callable[..., Any]) -> Callable[..., Any]:
    def predict(*args: Any, training: bool = False, **rest: Any) -> Any:  # noqa: ARG001
        return call(*args, training=False, **rest)

    return predict
