"""Models in Keras's file formats, in a worker: written, read, and told apart by hashes."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.contract.errors import shortened
from bench.inputs import draws
from bench.worker.model import building, precision

MODEL, WEIGHTS = "whole.keras", "alone.weights.h5"


def write_whole(model: keras.Model, path: Path) -> str | None:
    """Write layers, weights and optimizer; why it cannot be done, or None."""
    try:
        model.save(path)
    except Exception as error:  # noqa: BLE001 - not every model can be written whole
        return _said(error)
    return None


def read_whole(path: Path, classes: Mapping[str, Any]) -> dict[str, Any]:
    """What comes of a whole-model file; `error` where Keras cannot read it.

    Args:
        path: Of the file.
        classes: What Keras must know beside its own.
    """
    read = partial(keras.models.load_model, path, dict(classes), safe_mode=True)
    unreadable = None
    try:
        with precision.policy_restored():  # as whoever trains in a lane's policy would load
            try:
                whole = read()
            except TypeError as error:  # Keras's for a class that it does not find
                unreadable = _said(error)
                whole = read(compile=False)
    except Exception as error:  # noqa: BLE001 - of a class of the user's it may be anything
        return {"error": _said(error)}
    known = unreadable is None
    return {
        "weights_sha256": values_sha256(whole.weights),
        "optimizer_sha256": values_sha256(whole.optimizer.variables) if known else None,
        "config": config(whole),
        "compile_config": compile_config(whole) if known else None,
        "jit_compile": whole.jit_compile if known else None,
        "optimizer_error": unreadable,
        "error": None,
    }


def config(model: keras.Model) -> str:
    """The layers as JSON; empty of a model that cannot be saved so."""
    try:
        return building.told(model.get_config())
    except NotImplementedError:  # Keras's for a subclassed model without `get_config`
        return ""


def compile_config(model: keras.Model) -> str:
    """Optimizer and loss as JSON, without what a backend decides for itself."""
    optimizer = {"class": type(model.optimizer).__name__, **model.optimizer.get_config()}
    return building.told(optimizer | {"loss": model.loss})


def values_sha256(variables: Sequence[keras.Variable]) -> str:
    """Hash of values alone: an integer has another width on each backend."""
    values = (keras.ops.convert_to_numpy(variable.value) for variable in variables)
    return draws.arrays_sha256([np.asarray(value, np.float64) for value in values])


def _said(error: Exception) -> str:
    """In one line: Keras puts a whole configuration in between."""
    return shortened(f"{type(error).__name__}: {' '.join(str(error).split())}")
