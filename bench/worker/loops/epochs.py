"""What surrounds the steps of a `fit`, for loops that take Keras's steps without it."""

from typing import Any
from weakref import WeakSet

import keras

from bench.worker.loops.input_pipeline import sliced

Logs = dict[str, float]
"""The metrics of an epoch by Keras's names: `loss`, and of a classifier `accuracy`."""

_READY: WeakSet[keras.Model] = WeakSet()


def made_ready(model: keras.Model, x: Any, y: Any) -> None:
    """Make the variables that Keras makes in its first step, and begin an epoch's metrics.

    Those of optimizer, loss and metrics: a step that is compiled may not make them.
    """
    if model not in _READY:
        model.optimizer.build(model.trainable_variables)
        one = slice(1)
        inputs, targets = sliced(x, one), sliced(y, one)
        outputs = model(inputs, training=False)
        model.compute_loss(x=inputs, y=targets, y_pred=outputs, training=False)
        model.compute_metrics(inputs, targets, outputs)
        _READY.add(model)
    model.reset_metrics()


def results(model: keras.Model) -> Logs:
    """The metrics of an epoch, `loss` among them."""
    return {name: float(value) for name, value in model.get_metrics_result().items()}
