"""A model in a worker: built, compiled as its author says or by what its outputs are, and fed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import models
from bench.contract.errors import BenchError, ExitCode
from bench.contract.units import ModelRequest
from bench.inputs.datasets import read_verified
from bench.inputs.examples import Examples
from bench.worker.loops.input_pipeline import Feed
from models.files import ModelFile
from models.lowering import lower

OPTIONS = "compile_options"
OPTIMIZER = "adam"


class ModelError(BenchError):
    """A model file that cannot be used; the message says why."""

    exit_code = ExitCode.USAGE


@dataclass
class Built:
    """A model that is ready to be trained.

    Attributes:
        model: Built and compiled.
        feed: How it takes inputs and targets.
        chosen: Optimizer and losses that nobody has declared, in words; empty if all was declared.
        losses: Name of the loss of each output.
    """

    model: keras.Model
    feed: Feed
    chosen: str
    losses: list[str] = field(default_factory=list)

    def x(self, examples: Examples) -> Any:
        """Inputs as the model takes them."""
        return self.feed.x(examples)

    def y(self, examples: Examples) -> Any:
        """Targets as its losses take them."""
        return self.feed.y(examples, self.losses)

    @property
    def classes(self) -> int | None:
        """How many classes it tells apart; None if it is not a classifier of one output."""
        if len(self.feed.outputs) != 1 or "crossentropy" not in self.losses[0]:
            return None
        shape = self.feed.outputs[0].shape
        if len(shape) != 1 or shape[0] is None:
            return None
        if self.losses[0].startswith("binary"):
            return 2 if shape[0] == 1 else None
        return shape[0] if shape[0] > 1 else None

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float32]:
        """Of each class, shape (examples, classes), from what a classifier gives."""
        gives_logits = _from_logits(self.model.loss)
        if outputs.shape[1] == 1:
            sure = 1 / (1 + np.exp(-outputs)) if gives_logits else outputs
            return np.concatenate([1 - sure, sure], axis=1).astype(np.float32)
        if gives_logits:
            powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            outputs = powers / powers.sum(axis=1, keepdims=True)
        return np.asarray(outputs, np.float32)


def examples(request: ModelRequest) -> dict[str, Examples]:
    """The examples of `train` and `test` that a model is fed with.

    Raises:
        DataError: The dataset is not the one whose hash was sent.
    """
    arrays = read_verified(Path(request.data), request.data_sha256)
    return {split: Examples.of(arrays, split, request.part) for split in ("train", "test")}


def build(request: ModelRequest, some: Examples | None) -> Built:
    """Build and compile a model.

    Args:
        request: Which, and how its pixels are scaled.
        some: Examples, from which a model that declares no inputs learns its shapes.

    Raises:
        ModelError: The file cannot be used.
        DataError: The examples do not fit.
    """
    module, function = _loaded(request)
    try:
        model = getattr(module, function)()
    except (Exception, SystemExit) as error:
        raise ModelError(f"{request.name}: {function}() {_raised(error)}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"{request.name}: {function}() gives a {type(model).__name__}, where a Keras 3 model "
            "is wanted"
        )
    if not getattr(model, "inputs", None) and some is None:
        raise ModelError(
            f"{request.name}: the model does not say what it takes; begin it with a keras.Input, "
            "or give --data"
        )
    try:
        feed = Feed.of(model, some, request.scale)
        chosen = "" if model.compiled else _compile(model, module, feed, some)
    except BenchError:
        raise
    except Exception as error:
        raise ModelError(f"{request.name}: the model {_raised(error)}") from error
    if model.optimizer is None or not model.loss:
        raise ModelError(f"{request.name}: compiled without an optimizer or a loss")
    _check(request.name, model, feed)
    return Built(model, feed, chosen, _loss_names(model, feed))


def lowered(request: ModelRequest, model: keras.Model, lowering: str) -> keras.Model:
    """A model with layers in place of others; see `models.lowering`.

    Raises:
        ModelError: Keras cannot write the model down and build it again.
    """
    module, _ = _loaded(request)
    own = {name: each for name, each in vars(module).items() if callable(each)}
    try:
        with keras.saving.custom_object_scope(own):
            return lower(model, lowering)
    except Exception as error:
        raise ModelError(f"{request.name}: it cannot be lowered: it {_raised(error)}") from error


def _check(name: str, model: keras.Model, feed: Feed) -> None:
    """Refuse what cannot be trained at all, in words that say what is in the way."""
    if not model.trainable_weights:
        raise ModelError(f"{name}: the model has no weights that are trained")
    for port in feed.outputs:
        if "float" not in port.dtype:
            raise ModelError(
                f"{name}: output {port.name} is {port.dtype}, which nothing can be trained on; "
                "leave it out"
            )
    losses = model.loss if isinstance(model.loss, list | tuple | Mapping) else feed.outputs
    if len(keras.tree.flatten(losses)) != len(feed.outputs):
        raise ModelError(
            f"{name}: {len(keras.tree.flatten(losses))} losses for {len(feed.outputs)} outputs"
        )


def _loaded(request: ModelRequest) -> tuple[Any, str]:
    file = ModelFile.of_source(request.source)
    try:
        module = models.module(request.source)
    except (Exception, SystemExit) as error:
        raise ModelError(f"{request.name}: the file {_raised(error)}") from error
    if not callable(getattr(module, file.function, None)):
        raise ModelError(f"{request.name}: {file.function} is no function")
    return module, file.function


def _raised(error: BaseException) -> str:
    said = " ".join(str(error).split())[:300]
    hint = "; name its package in BENCH_REQUIREMENTS" * isinstance(error, ModuleNotFoundError)
    return f"raises {type(error).__name__}{': ' + said if said else ''}{hint}"


def _compile(model: keras.Model, module: Any, feed: Feed, some: Examples | None) -> str:
    if hasattr(module, OPTIONS):
        model.compile(**getattr(module, OPTIONS)())
        return ""
    losses = [_default_loss(model, number, feed, some) for number in range(len(feed.outputs))]
    several = len(losses) > 1
    structure = keras.tree.pack_sequence_as(feed.output_structure, losses)
    model.compile(optimizer=OPTIMIZER, loss=structure if several else losses[0])
    told = [
        _loss_name(loss)
        + (" from logits" if _from_logits(loss) else "")
        + (f" for {port.name}" if several else "")
        for loss, port in zip(losses, feed.outputs, strict=True)
    ]
    return f"optimizer {OPTIMIZER}, loss {', '.join(told)}"


def _default_loss(model: keras.Model, number: int, feed: Feed, some: Examples | None) -> Any:
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


def _loss_names(model: keras.Model, feed: Feed) -> list[str]:
    """Name of the loss of each output."""
    loss = model.loss
    if isinstance(loss, Mapping):
        return [_loss_name(loss.get(port.name)) for port in feed.outputs]
    if isinstance(loss, list | tuple):
        return [_loss_name(each) for each in keras.tree.flatten(loss)]
    return [_loss_name(loss)] * len(feed.outputs)


def _loss_name(loss: Any) -> str:
    """In Keras's lower case, with underscores."""
    return str(loss if isinstance(loss, str) else getattr(loss, "name", None) or loss.__name__)


def _from_logits(loss: Any) -> bool:
    return isinstance(loss, keras.losses.Loss) and bool(loss.get_config().get("from_logits"))


def told(config: Mapping[str, Any]) -> str:
    """A configuration as JSON; names are numbered by how many were made before."""
    named = {name: value for name, value in config.items() if name != "name"}
    return json.dumps(named, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    """What JSON knows: TensorFlow wraps dicts and lists, and losses are objects or functions."""
    match value:
        case Mapping():
            return dict(value)
        case Sequence():
            return list(value)
        case keras.losses.Loss():
            return {"class": type(value).__name__, **value.get_config()}
    return getattr(value, "__name__", type(value).__name__)
