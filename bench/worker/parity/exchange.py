"""P8: one backend's model, written in Keras's formats and read by another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.process.wire import finite
from bench.worker.model import keras_files
from bench.worker.model.candidate import Candidate

Fed = tuple[Any, Any, int]
"""A batch's inputs and targets, and its size."""


def save(candidate: Candidate, batch: Fed, folder: Path) -> dict[str, Any]:
    """Train a step, save model and weights, and train two more.

    Returns:
        Hashes of what was saved, and the mean loss of the two steps, the second of which depends on
        the optimizer's state; `model_error` why there is no whole-model file.
    """
    x, y, size = batch
    candidate.fit(candidate.inputs(x), candidate.targets(y), size)
    why = keras_files.write_whole(candidate.model, folder / keras_files.MODEL)
    candidate.model.save_weights(folder / keras_files.WEIGHTS)
    return _state_and_next_loss(candidate, batch) | {"model_error": why}


def load(
    candidate: Candidate, batch: Fed, classes: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Read what a backend has saved, and train two steps.

    Training goes on from the weights file alone: it goes into a model that is compiled already,
    where one from a whole-model file would be compiled anew. Of that, `compile_config` and
    `jit_compile` say how it would go on; `optimizer_error` why its optimizer could not be read,
    `error` why nothing could.
    """
    whole = keras_files.read_whole(folder / keras_files.MODEL, classes)
    candidate.model.load_weights(folder / keras_files.WEIGHTS)
    return {"model": whole, "weights": _state_and_next_loss(candidate, batch)}


def _state_and_next_loss(candidate: Candidate, batch: Fed) -> dict[str, Any]:
    state = {
        "weights_sha256": keras_files.values_sha256(candidate.model.weights),
        "optimizer_sha256": keras_files.values_sha256(candidate.model.optimizer.variables),
    }
    *fed, size = batch
    x, y = keras.tree.map_structure(lambda array: np.concatenate([array, array]), tuple(fed))
    loss = candidate.fit(candidate.inputs(x), candidate.targets(y), size)["loss"]
    return state | {"loss": finite(loss)}
