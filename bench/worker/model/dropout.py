"""What dropout does in a compiled training step: how much it drops, and whether anew each time.

The layers of a model that is compared are still, so this asks one of the same rate on its own.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from bench.worker.loops.state import all_layers

UNITS, STEPS = 1 << 16, 4


class _Recorder(keras.layers.Layer):  # type: ignore[misc]
    """Sums what it is given times a row of its weights: that row's gradient is what it was given.

    No other way out of a compiled step is alike under all backends.
    """

    def build(self, _: Any) -> None:
        self.rows = self.add_weight(shape=(STEPS, UNITS), initializer="zeros", name="rows")

    def call(self, inputs: Any) -> Any:
        given, step = inputs
        return keras.ops.sum(given * keras.ops.matmul(step, self.rows), axis=1, keepdims=True)


def plain(layer: keras.layers.Layer) -> bool:
    """Whether a layer is dropout of single units, whose statistics are known."""
    return type(layer) is keras.layers.Dropout and layer.noise_shape is None and layer.rate < 1


def statistics(model: keras.Model) -> list[dict[str, Any]]:
    """How the plain dropout of each rate in a model behaves.

    Returns:
        For each rate `rate`, `drawn` (units, of all steps), `dropped` (of these), `pairs` (units in
        two steps, one after the other), `dropped_twice` (of these), and `misscaled` (units that
        were kept, and not divided by 1 - rate).
    """
    layers: Iterable[Any] = all_layers(model)
    rates = {layer.rate for layer in layers if plain(layer) and layer.rate > 0}
    return [_statistics(rate) for rate in sorted(rates)]


def _statistics(rate: float) -> dict[str, Any]:
    given = _through_steps(rate)
    dropped, kept = given == 0, given[given != 0]
    first, second = dropped[0::2], dropped[1::2]
    return {
        "rate": rate,
        "drawn": dropped.size,
        "dropped": int(dropped.sum()),
        "pairs": first.size,
        "dropped_twice": int((first & second).sum()),
        "misscaled": int((~np.isclose(kept * (1 - rate), 1, rtol=1e-6)).sum()),
    }


def _through_steps(rate: float) -> Any:
    """What a layer makes of ones, shape (STEPS, UNITS), each row in a training step of its own."""
    given, step = keras.Input((UNITS,)), keras.Input((STEPS,))
    recorder = _Recorder()
    model = keras.Model([given, step], recorder([keras.layers.Dropout(rate)(given), step]))
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=_itself)
    ones, each, targets = np.ones((STEPS, UNITS)), np.eye(STEPS), np.zeros((STEPS, 1))
    model.fit([ones, each], targets, batch_size=1, shuffle=False, verbose=0)
    return -keras.ops.convert_to_numpy(recorder.rows)


def _itself(_: Any, told: Any) -> Any:
    """A loss that is what the model gives."""
    return told
