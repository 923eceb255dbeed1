"""Between a dataset's arrays and a model: what it is fed, and what it is compared with.

Works for one input or several, in whatever structure the model declares, in a worker.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import DataError
from bench.inputs.examples import Examples

Array = NDArray[Any]


@dataclass(frozen=True)
class Port:
    """One input or output of a model.

    Attributes:
        name: As the model calls it.
        shape: Of one example; None where any size will do.
        dtype: Of an input.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Loss:
    """The loss of an output, as far as its targets are concerned.

    Attributes:
        name: In Keras's lower case.
        own: Whether it is the user's, who knows what it takes.
        ignored: A class that it leaves out, or None.
    """

    name: str
    own: bool = False
    ignored: int | None = None


@dataclass(frozen=True)
class Feed:
    """How a model takes its inputs and targets.

    Attributes:
        inputs: In Keras's order.
        outputs: In Keras's order.
        input_structure: A nest of as many leaves as there are inputs.
        output_structure: A nest of as many leaves as there are outputs.
        scale: What pixels, which are stored as bytes, are divided by.
        batch: The only number of examples that it takes at once, or None.
    """

    inputs: Sequence[Port]
    outputs: Sequence[Port]
    input_structure: Any
    output_structure: Any
    scale: int
    batch: int | None = None

    @classmethod
    def of(cls, model: keras.Model, examples: Examples | None, scale: int) -> "Feed":
        """Of a model that is built; of one that declares no inputs they are what the data has."""
        if getattr(model, "inputs", None):
            outputs = [
                Port(name, tuple(tensor.shape[1:]), tensor.dtype)
                for name, tensor in zip(_output_names(model), model.outputs, strict=True)
            ]
            inputs = [Port(each.name, tuple(each.shape[1:]), each.dtype) for each in model.inputs]
            batch = next((each.shape[0] for each in model.inputs if each.shape[0]), None)
            if isinstance(model, keras.Sequential):
                return cls(inputs, outputs, model.inputs[0], model.outputs[0], scale, batch)
            return cls(inputs, outputs, model.input, model.output, scale, batch)
        assert examples is not None  # noqa: S101 - `bench.worker.model.building` has seen to it
        ports = [
            Port(name, array.shape[1:], _fed_dtype(array.dtype, scale))
            for name, array in examples.inputs.items()
        ]
        structure = _structure(examples.inputs)
        undeclared = cls(ports, (), structure, None, scale)
        told = model(undeclared.x(examples.take(slice(1))))
        names = list(told) if isinstance(told, Mapping) else None
        leaves = keras.tree.flatten(told)
        outputs = [
            Port(
                str(names[number] if names else number),
                tuple(leaf.shape[1:]),
                keras.backend.standardize_dtype(leaf.dtype),
            )
            for number, leaf in enumerate(leaves)
        ]
        return cls(ports, outputs, structure, keras.tree.map_structure(lambda _: 0, told), scale)

    def x(self, examples: Examples) -> Any:
        """What goes in, in the structure that the model takes: float32, or what it declares.

        Raises:
            DataError: An input is missing or has another shape.
        """
        arrays = [self._input(port, examples) for port in self.inputs]
        return keras.tree.pack_sequence_as(self.input_structure, arrays)

    def y(self, examples: Examples, losses: Sequence[Loss]) -> Any:
        """Targets as the losses take them: classes, one-hot rows, or float32 numbers.

        Args:
            examples: What to take them from.
            losses: That of each output.

        Raises:
            DataError: A target is missing or has another shape.
        """
        arrays = [
            self._target(port, loss, examples)
            for port, loss in zip(self.outputs, losses, strict=True)
        ]
        return keras.tree.pack_sequence_as(self.output_structure, arrays)

    def in_rows(self, examples: Examples, losses: Sequence[Loss]) -> list[str]:
        """Names of the outputs whose classes become one-hot rows, which their losses take."""
        given = [_chosen("y", port, examples.targets, len(self.outputs)) for port in self.outputs]
        fed = leaves(self.y(examples, losses))
        names = [port.name for port in self.outputs]
        return [n for n, one, two in zip(names, given, fed, strict=True) if two.size > one.size]

    def _input(self, port: Port, examples: Examples) -> Array:
        array = _chosen("x", port, examples.inputs, len(self.inputs))
        if not _fits(array.shape[1:], port.shape):
            raise DataError(
                f"x of shape {_told(array.shape[1:])} does not fit the model's input {port.name}, "
                f"which takes {_told(port.shape)}"
            )
        if array.dtype == np.uint8 and self.scale != 1:
            scaled = array.astype(np.float32)
            scaled /= self.scale
            return scaled
        dtype = "float32" if "float" in port.dtype else port.dtype
        return array.astype(dtype)

    def _target(self, port: Port, loss: Loss, examples: Examples) -> Array:
        array = _chosen("y", port, examples.targets, len(self.outputs))
        if loss.own:
            return array.astype(np.int32 if array.dtype.kind in "iub" else np.float32)
        shape, classes = port.shape, port.shape[-1] if port.shape else 1
        sparse = loss.name.startswith("sparse")
        if array.ndim == len(shape) + 1 and array.shape[-1] == 1 and (classes or 0) > 1:
            array = array[..., 0]
        if sparse and array.ndim == len(shape) and array.dtype.kind == "f":
            array = _whole(array, port, loss)
        if array.ndim == len(shape) and array.dtype.kind in "iub" and (classes or 0) > 1:
            _check_classes(array[array != loss.ignored], port, int(classes or 0))
            return array.astype(np.int32) if sparse else one_hot(array, int(classes or 0))
        if array.ndim == len(shape) and classes == 1:
            array = array[..., np.newaxis]
        if not _fits(array.shape[1:], shape):
            raise DataError(
                f"y of shape {_told(array.shape[1:])} does not fit the model's output {port.name}, "
                f"which gives {_told(shape)}"
            )
        return array.argmax(axis=-1).astype(np.int32) if sparse else array.astype(np.float32)


def _whole(array: Array, port: Port, loss: Loss) -> Array:
    """Classes that were stored as floats."""
    if not (array == np.floor(array)).all():
        raise DataError(
            f"y has fractions, and the loss of the model's output {port.name}, {loss.name}, takes "
            "whole classes"
        )
    return array.astype(np.int32)


def _check_classes(array: Array, port: Port, classes: int) -> None:
    if len(array) and not 0 <= int(array.min()) <= int(array.max()) < classes:
        raise DataError(
            f"y has classes {array.min()} to {array.max()}, and the model's output "
            f"{port.name} knows 0 to {classes - 1}"
        )


def leaves(structure: Any) -> list[Array]:
    """The arrays of a structure, in Keras's order."""
    return list(keras.tree.flatten(structure))


def sliced(structure: Any, chosen: slice) -> Any:
    """The same examples of every array of a structure."""
    return keras.tree.map_structure(lambda array: array[chosen], structure)


def one_hot(labels: Array, classes: int) -> NDArray[np.float32]:
    """One-hot rows, one axis more than `labels`."""
    return np.eye(classes, dtype=np.float32)[labels]


def _chosen(axis: str, port: Port, arrays: Mapping[str, Array], ports: int) -> Array:
    if ports == len(arrays) == 1:
        return next(iter(arrays.values()))
    if port.name not in arrays:
        known = ", ".join(f"{axis}_train.{name}" if name else f"{axis}_train" for name in arrays)
        raise DataError(f"the model wants {axis}_train.{port.name}, and the dataset has {known}")
    return arrays[port.name]


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        size == other or other is None for size, other in zip(shape, wanted, strict=True)
    )


def _told(shape: Sequence[int | None]) -> str:
    return "x".join("any" if size is None else str(size) for size in shape) or "one number"


def _fed_dtype(dtype: np.dtype[Any], scale: int) -> str:
    return "int32" if dtype.kind in "iu" and scale == 1 else "float32"


def _structure(arrays: Mapping[str, Array]) -> Any:
    return 0 if list(arrays) == [""] else dict.fromkeys(arrays, 0)


def _output_names(model: keras.Model) -> Iterator[str]:
    """Keras's, but of several outputs of one name each has its own."""
    seen: dict[str, int] = {}
    for name in getattr(model, "output_names", None) or map(str, range(len(model.outputs))):
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}_{seen[name] - 1}"
