"""What every backend, and the oracle, is asked on the parity ladder: inputs and constants.

Inputs are pixels as they are stored, 0 to 255: workers and the oracle scale them on their own, and
hashes of what was fed show whether they did alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Weights = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]
Answer = tuple[dict[str, Any], Arrays]
"""Facts, which JSON can carry, and arrays by name."""

RUNGS = ("identity", "forward", "gradients", "update", "trajectory", "predictions")
"""What is asked; identity answers P0 and P1, the others P2 to P6 in order."""

UNSCALED = "raw33"
"""Fed without division by 255: large values show what small ones hide."""

LAYERED = ("zeros", "ones", "odd33", UNSCALED)
"""Inputs of which every layer's output is stored; of the others, logits and probabilities are."""

SGD_RATE = 1.0
SATURATION, FAVOUR = 40.0, 40.0
"""Factor on the last layer's weights, and what its first bias gets on top: some probabilities are
then beyond 1e-7, where Keras clips, whatever the images are."""

CHECKPOINTS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Steps of the trajectory at which weights are kept. The last step has half a batch."""

NEIGHBOURS = 8
"""Trainings from weights moved by one unit in the last place: the trajectory's envelope."""

RESTARTS, RESTART_STEPS = (5, 20, 50, 100, 198), 2
"""Where on the oracle's trajectory a backend takes over, for so many steps: late steps are judged
as sharply as early ones then. The last of them has half a batch."""

TRAINED_STEPS = 50
"""Steps that the oracle trains for the weights of which all backends predict the test set."""


@dataclass(frozen=True)
class Inputs:
    """Pixels, shape (examples, rows, columns, channels), and classes.

    Attributes:
        images: By name; `train` is the batch of P3 and P4, the others are for P2.
        labels: Of those that are trained on: `train`.
        test: The whole test set.
    """

    images: Mapping[str, Pixels]
    labels: Mapping[str, Pixels]
    test: Pixels


def inputs(data: Mapping[str, Pixels], batch_size: int) -> Inputs:
    """What is fed, from a dataset."""
    train, labels, test = data["x_train"], data["y_train"], data["x_test"]
    one = test[:1]
    return Inputs(
        images={
            "train": train[:batch_size],
            "test512": test[:512],
            "zeros": np.zeros_like(one),
            "ones": np.full_like(one, 255),
            "one": one,
            "odd33": test[:33],
            UNSCALED: test[:33],
        },
        labels={"train": labels[:batch_size]},
        test=test,
    )


def steps(
    data: Mapping[str, Pixels], first: int, last: int, batch_size: int
) -> tuple[Pixels, Pixels]:
    """Images and classes of the trajectory's steps after `first`, up to `last`, in order.

    Where the dataset is smaller, its examples come again. The last step of all has half a batch.
    """
    end = CHECKPOINTS[-1] * batch_size - batch_size // 2
    chosen = np.arange(first * batch_size, min(last * batch_size, end)) % len(data["y_train"])
    return data["x_train"][chosen], data["y_train"][chosen]


def saturated(weights: Sequence[Weights]) -> list[Weights]:
    """The weights, with a last layer whose probabilities are near 0 and 1."""
    *before, kernel, bias = weights
    favour = np.where(np.arange(len(bias)) == 0, np.float32(FAVOUR), np.float32(0))
    factor = np.float32(SATURATION)
    return [*before, factor * kernel, factor * bias + favour]


def numbered(name: str, arrays: Sequence[NDArray[Any]]) -> Arrays:
    """Arrays by `name` and their place: `<name>0`, `<name>1` and so on."""
    return {f"{name}{number}": np.asarray(array) for number, array in enumerate(arrays)}
