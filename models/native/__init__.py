"""The CNNs without Keras: a module per framework, with the same functions in each.

Each is what a good engineer would write who has only that framework: its own layers, layouts and
optimizer, and class numbers instead of one-hot targets. Mathematics, inputs, weights and batches
are those of the Keras model of the same name (`models`), so that what differs in speed is Keras.
A model's function has the model's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Adam:
    """Adam as Keras has it by default, and as Kingma & Ba do: arXiv:1412.6980.

    Attributes:
        rate: Learning rate.
        beta_1: Decay of the first moment.
        beta_2: Decay of the second.
        epsilon: What is added to the root of the second moment: by Keras before that is corrected.
    """

    rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7


@dataclass(frozen=True)
class State:
    """All that a training changes, in Keras's order and shapes: kernel and bias of each layer.

    Attributes:
        weights: As `keras.Model.get_weights` gives them.
        momentum: Adam's first moment of each.
        velocity: Its second.
        steps: How many steps were taken.
    """

    weights: Weights
    momentum: Weights
    velocity: Weights
    steps: int

    @classmethod
    def first(cls, weights: Weights) -> "State":
        """Before the first step."""
        zeros = [np.zeros_like(weight) for weight in weights]
        return cls(weights, zeros, zeros, 0)


def batches(count: int, size: int) -> list[tuple[int, int]]:
    """Begin and size of each."""
    return [(begin, min(size, count - begin)) for begin in range(0, count, size)]


def classes(y: Any) -> NDArray[np.integer[Any]]:
    """Class numbers of one-hot targets, shape (examples,)."""
    numbers: NDArray[np.integer[Any]] = np.argmax(np.asarray(y), axis=1)
    return numbers
