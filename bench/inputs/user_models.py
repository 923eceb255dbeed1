"""Models and data of the user's own: what they are, where data comes from, who draws weights.

No framework is imported here, and no file of the user's is run: workers describe the models
(`bench.worker.model.description`), and this module decides what all of them are given.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import DataError
from bench.contract.units import Description, Input, ModelRequest, Output, Port, Weight
from bench.inputs.datasets import ARRAYS, DRAWN, SHIPPED, Dataset, read_npz, store
from bench.inputs.examples import SPLITS, Examples
from bench.planning.plan import Plan

BATCHES = {"train": 2, "test": 1}
"""Drawn examples, in batches: slots and the ladder take them again and again."""

ANY_SIZE = 16
"""Drawn for an axis of which the model takes any size."""

NAME = re.compile(r"(?P<array>[xy]_(?:train|test))(?:\.(?P<port>[^/\\]{1,100}))?")


def load(path: Path, folder: Path) -> Dataset:
    """The user's dataset, checked and kept among the prepared ones.

    Args:
        path: An npz with `ARRAYS`; of a model with several inputs or outputs `x_train.<input>` and
            so on.
        folder: Where prepared datasets are kept.

    Raises:
        DataError: It cannot be used; the message says why.
        StorageError: It cannot be kept.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; --data wants an npz with {', '.join(ARRAYS)}")
    if path.suffix != ".npz":
        raise DataError(f"{path}: an npz file is wanted, as numpy.savez writes it")
    arrays = {name: _plain(path, name, array) for name, array in read_npz(path).items()}
    for split in SPLITS:
        one = Examples.of(arrays, split)
        for what, parts in (("x", one.inputs), ("y", one.targets)):
            if not parts:
                raise DataError(
                    f"{path}: no {what}_{split}; {', '.join(ARRAYS)} are wanted, and it has "
                    f"{', '.join(arrays) or 'nothing'}"
                )
        sizes = {len(array) for array in (*one.inputs.values(), *one.targets.values())}
        if len(sizes) != 1 or 0 in sizes:
            told = ", ".join(f"{size:,}" for size in sorted(sizes))
            raise DataError(f"{path}: its {split} arrays have {told} examples")
    for axis in ("x", "y"):
        _same_shapes(path, arrays, f"{axis}_train", f"{axis}_test")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_-")[:40] or "data"
    return store(f"own-{name}" if name in {*SHIPPED, DRAWN} else name, arrays, folder)


def _plain(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array in a byte order and precision that every backend knows."""
    if not NAME.fullmatch(name):
        raise DataError(f"{path}: an array {name!r}; {', '.join(ARRAYS)} are wanted")
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise DataError(f"{path}: {name} is {array.dtype} {array.shape}; numbers are wanted")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what becomes infinite is refused
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise DataError(f"{path}: {name} has values that are no finite numbers")
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.size and max(-int(array.min()), int(array.max())) >= 2**31:
        raise DataError(f"{path}: {name} has integers beyond 32 bits")
    return array if array.dtype == np.uint8 else array.astype(np.int32)


def _same_shapes(path: Path, arrays: Mapping[str, NDArray[Any]], one: str, other: str) -> None:
    named = [key for key in arrays if key.partition(".")[0] == one]
    others = [key for key in arrays if key.partition(".")[0] == other]
    if sorted(key.replace(one, other) for key in named) != sorted(others):
        raise DataError(f"{path}: {', '.join(named)} for training, and {', '.join(others)}")
    for key in named:
        twin = key.replace(one, other)
        if arrays[key].shape[1:] != arrays[twin].shape[1:] or (
            arrays[key].dtype != arrays[twin].dtype
        ):
            raise DataError(
                f"{path}: {key} is {arrays[key].dtype} {arrays[key].shape}, and {twin} is "
                f"{arrays[twin].dtype} {arrays[twin].shape}"
            )


def draw(models: Mapping[str, Description], batch_size: int, folder: Path) -> Dataset:
    """Inputs and targets made up from what the models say of themselves, for speed and parity.

    Args:
        models: What each says of itself.
        batch_size: Examples in a step.
        folder: Where prepared datasets are kept.
    """
    arrays = {}
    for model, description in models.items():
        for number, split in enumerate(SPLITS):
            count = BATCHES[split] * batch_size
            generator = np.random.default_rng([number])
            inputs, outputs = description["inputs"], description["outputs"]
            for into in inputs:
                name = f"{prefix(model)}x_{split}{_which(into, inputs)}"
                arrays[name] = _input(generator, into, count)
            for out in outputs:
                name = f"{prefix(model)}y_{split}{_which(out, outputs)}"
                arrays[name] = _target(generator, out, count)
    return store(DRAWN, arrays, folder)


def prefix(model: str) -> str:
    """What a model's arrays begin with in a drawn dataset."""
    return f"{model}/"


def _which(port: Port, ports: Sequence[Port]) -> str:
    return f".{port['name']}" if len(ports) > 1 else ""


def _input(generator: np.random.Generator, port: Input, count: int) -> NDArray[Any]:
    shape = (count, *(ANY_SIZE if size is None else size for size in port["shape"]))
    if port["values"] is not None:
        return generator.integers(0, port["values"], shape).astype(np.int32)
    return generator.normal(size=shape).astype(np.float32)


def _target(generator: np.random.Generator, port: Output, count: int) -> NDArray[Any]:
    shape = (count, *(ANY_SIZE if size is None else size for size in port["shape"]))
    if "crossentropy" not in port["loss"]:
        return generator.normal(size=shape).astype(np.float32)
    if port["loss"].startswith("binary"):
        return generator.integers(0, 2, shape).astype(np.int32)
    return generator.integers(0, shape[-1], shape[:-1]).astype(np.int32)


def request(plan: Plan, dataset: Dataset | None, model: str) -> ModelRequest:
    """What a worker is told of a model before anything is known of its weights."""
    return ModelRequest(
        name=model,
        source=plan.source(model),
        data=str(dataset.path.resolve()) if dataset else "",
        data_sha256=dataset.sha256 if dataset else "",
        scale=dataset.scale if dataset else 1,
        part=prefix(model) if dataset and dataset.is_drawn else "",
    )


def kept(descriptions: Sequence[Description]) -> tuple[int, ...]:
    """Numbers of the weights that NumPy does not draw.

    Args:
        descriptions: What the backends say of one model.
    """
    return tuple(
        number
        for number, weight in _weights(descriptions)
        if not (any(each["random"] for each in weight) and all(each["drawn"] for each in weight))
    )


def shared(descriptions: Sequence[Description]) -> tuple[int, ...]:
    """Numbers of the weights that one backend has to share, since others would have other ones."""
    own = set(kept(descriptions))
    return tuple(
        number
        for number, weight in _weights(descriptions)
        if number in own
        and len(weight) > 1
        and (any(each["random"] for each in weight) or len({e["sha256"] for e in weight}) > 1)
    )


def _weights(descriptions: Sequence[Description]) -> list[tuple[int, tuple[Weight, ...]]]:
    lists = [each["weights"] for each in descriptions]
    return list(enumerate(zip(*lists, strict=False)))


def with_models(dataset: Dataset, requests: Sequence[ModelRequest]) -> Dataset:
    """The dataset, knowing what workers are told of each model."""
    return replace(dataset, models={each.name: each for each in requests})
