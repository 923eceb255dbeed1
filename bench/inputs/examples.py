"""Examples of a dataset: the arrays of each input and each target, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Examples:
    """Some examples, as they are stored.

    Attributes:
        inputs: By name of the model's input, the first axis being examples; the name is empty
            where there is only one.
        targets: The same of its outputs.
    """

    inputs: Arrays
    targets: Arrays

    @classmethod
    def of(cls, arrays: Arrays, split: str, part: str = "") -> Self:
        """The examples of one of `SPLITS`, of arrays like `x_train` or `x_train.<name>`."""
        return cls(_named(arrays, f"{part}x_{split}"), _named(arrays, f"{part}y_{split}"))

    def __len__(self) -> int:
        """How many examples there are."""
        return min((len(array) for array in self.inputs.values()), default=0)

    def take(self, chosen: Any) -> "Examples":
        """Those of a slice or of an array of indices."""
        return Examples(
            {name: array[chosen] for name, array in self.inputs.items()},
            {name: array[chosen] for name, array in self.targets.items()},
        )

    def repeated(self, count: int) -> "Examples":
        """The first `count`, over and over again where there are fewer."""
        return self.take(np.arange(count) % len(self))

    @property
    def only_input(self) -> NDArray[Any]:
        """The input, where there is one."""
        (array,) = self.inputs.values()
        return array

    @property
    def only_target(self) -> NDArray[Any]:
        """The target, where there is one."""
        (array,) = self.targets.values()
        return array


def _named(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    found = {"": arrays[prefix]} if prefix in arrays else {}
    dotted = f"{prefix}."
    return found | {
        name.removeprefix(dotted): array
        for name, array in arrays.items()
        if name.startswith(dotted)
    }


def classes_of(target: NDArray[Any]) -> NDArray[np.integer]:
    """Classes, shape (examples,), of whole numbers or of one-hot rows."""
    if target.ndim == 2 and target.shape[1] > 1:
        return np.asarray(target.argmax(axis=1))
    return target.reshape(len(target)).astype(np.int64)
