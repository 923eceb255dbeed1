"""The losses of a model: those that it was compiled with, or what fits where nobody has said any.

What goes into a loss is what it takes: one of Keras's takes classes or rows, one of the user's own
whatever the user gives it.
"""

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.inputs.examples import Examples
from bench.worker.loops.input_pipeline import Feed, Loss

OPTIMIZER = "adam"


def compile_by_outputs(model: keras.Model, feed: Feed, some: Examples | None) -> str:
    """Compile a model with an optimizer and losses that fit; gives what was chosen, in words."""
    losses = [_default(model, number, feed, some) for number in range(len(feed.outputs))]
    several = len(losses) > 1
    structure = keras.tree.pack_sequence_as(feed.output_structure, losses)
    model.compile(optimizer=OPTIMIZER, loss=structure if several else losses[0])
    told = [
        _name(loss)
        + (" from logits" if from_logits(loss) else "")
        + (f" for {port.name}" if several else "")
        for loss, port in zip(losses, feed.outputs, strict=True)
    ]
    return f"optimizer {OPTIMIZER}, loss {', '.join(told)}"


def of(model: keras.Model, feed: Feed) -> list[Loss]:
    """The loss of each output of a compiled model."""
    loss = model.loss
    if isinstance(loss, Mapping):
        each = [loss.get(port.name) for port in feed.outputs]
    elif isinstance(loss, list | tuple):
        each = keras.tree.flatten(loss)
    else:
        each = [loss] * len(feed.outputs)
    return [Loss(_name(one), _is_own(one), _ignored(one)) for one in each]


def from_logits(loss: Any) -> bool:
    """Whether a loss of Keras's takes logits, where it could take probabilities."""
    return isinstance(loss, keras.losses.Loss) and bool(loss.get_config().get("from_logits"))


def _default(model: keras.Model, number: int, feed: Feed, some: Examples | None) -> Any:
    """What fits the activation of an output, and the targets where there are some."""
    shape = feed.outputs[number].shape
    units = shape[-1] if shape else 1
    target = None
    if some is not None and some.targets:
        by_name = some.targets.get(feed.outputs[number].name)
        target = by_name if by_name is not None else list(some.targets.values())[number]
    whole = target is not None and target.dtype.kind in "iub"
    match _activation(model, number):
        case "softmax":
            by_row = target is not None and target.ndim == len(shape) + 1 and target.shape[-1] > 1
            return "categorical_crossentropy" if by_row else "sparse_categorical_crossentropy"
        case "sigmoid":
            return "binary_crossentropy"
        case _ if target is not None and _is_one_hot(target):
            return keras.losses.CategoricalCrossentropy(from_logits=True)
        case _ if whole and (units or 0) > 1:
            return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        case _ if whole and target is not None and set(np.unique(target)) <= {0, 1}:
            return keras.losses.BinaryCrossentropy(from_logits=True)
    return "mean_squared_error"


def _is_one_hot(target: NDArray[Any]) -> bool:
    rows = target.reshape(-1, target.shape[-1]) if target.ndim > 1 else target[:, np.newaxis]
    return rows.shape[1] > 1 and bool(np.isin(rows, (0, 1)).all() and (rows.sum(axis=1) == 1).all())


def _activation(model: keras.Model, number: int) -> str:
    """Name of the activation that an output comes from; empty where it cannot be told."""
    if not getattr(model, "outputs", None):
        return ""
    for layer in model.layers:
        if getattr(layer, "output", None) is model.outputs[number]:
            named = getattr(layer, "activation", None)
            return getattr(named, "__name__", type(layer).__name__.lower())
    return ""


def _name(loss: Any) -> str:
    """In Keras's lower case, with underscores."""
    if isinstance(loss, str):
        return loss
    loss = _unwrapped(loss)
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__))


def _is_own(loss: Any) -> bool:
    """Whether a loss is the user's, and not one of Keras's."""
    if isinstance(loss, str):
        return False
    loss = _unwrapped(loss)
    wrapped = getattr(loss, "fn", None)  # Keras's own class around whatever function
    if wrapped is not None and type(loss).__module__.startswith("keras."):
        return _is_own(wrapped)
    kind = loss if inspect.isfunction(loss) else type(loss)
    return not str(kind.__module__).startswith("keras.")


def _unwrapped(loss: Any) -> Any:
    while isinstance(loss, functools.partial):
        loss = loss.func
    return loss


def _ignored(loss: Any) -> int | None:
    """The class that a loss leaves out."""
    config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    return config.get("ignore_class")
