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
from bench.contract.backends import BACKENDS
from bench.contract.errors import BenchError, ExitCode, in_one_line, shortened
from bench.contract.units import ModelRequest
from bench.inputs.datasets import read_verified
from bench.inputs.examples import Examples
from bench.worker.loops.input_pipeline import Feed, Loss
from bench.worker.model import losses, precision
from models.files import ModelFile
from models.lowering import lower

NO_REMEDY, OF_TENSORFLOW = (
    "Install it via `pip install tensorflow`.",
    "Under every backend it is TensorFlow that computes it.",
)
"""What Keras recommends for layers that need TensorFlow, and what that would mean here."""


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
        losses: That of each output.
    """

    model: keras.Model
    feed: Feed
    chosen: str
    losses: list[Loss] = field(default_factory=list)

    def x(self, examples: Examples) -> Any:
        """Inputs as the model takes them."""
        return self.feed.x(examples)

    def y(self, examples: Examples) -> Any:
        """Targets as its losses take them."""
        return self.feed.y(examples, self.losses)

    @property
    def classes(self) -> int | None:
        """How many classes it tells apart; None if it is not a classifier of one output."""
        if len(self.feed.outputs) != 1 or "crossentropy" not in self.losses[0].name:
            return None
        if self.losses[0].ignored is not None:  # a label that is none would count as an error
            return None
        shape = self.feed.outputs[0].shape
        if len(shape) != 1 or shape[0] is None:
            return None
        if self.losses[0].name.startswith("binary"):
            return 2 if shape[0] == 1 else None
        return shape[0] if shape[0] > 1 else None

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float32]:
        """Of each class, shape (examples, classes), from what a classifier gives."""
        gives_logits = losses.from_logits(self.model.loss)
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
    with precision.policy_restored():
        return _build(request, some)


def _build(request: ModelRequest, some: Examples | None) -> Built:
    _, function = _loaded(request)
    try:
        model = models.build(request.source)
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
        chosen = ""
        options = None if model.compiled else models.compile_options(request.source)
        if options is not None:
            model.compile(**options)
        elif not model.compiled:
            chosen = losses.compile_by_outputs(model, feed, some)
    except BenchError:
        raise
    except Exception as error:
        raise ModelError(f"{request.name}: the model {_raised(error)}") from error
    if model.optimizer is None or not model.loss:
        raise ModelError(f"{request.name}: compiled without an optimizer or a loss")
    if wrong := precision.mistaken(model):
        raise ModelError(f"{request.name}: {wrong}")
    _check(request.name, model, feed)
    return Built(model, feed, chosen, losses.of(model, feed))


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
    each = model.loss if isinstance(model.loss, list | tuple | Mapping) else feed.outputs
    if len(keras.tree.flatten(each)) != len(feed.outputs):
        raise ModelError(
            f"{name}: {len(keras.tree.flatten(each))} losses for {len(feed.outputs)} outputs"
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
    said = shortened(in_one_line(error).replace(NO_REMEDY, OF_TENSORFLOW))
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        # A framework beside another would only bring the next error, and a stranger one.
        package = (error.name or "").partition(".")[0]
        one = BACKENDS.get(package)
        hint = (
            f"; it is written for {one.title} alone, and keras.ops runs under all backends"
            if one
            else "; name its package in BENCH_REQUIREMENTS"
        )
    return f"raises {type(error).__name__}{': ' + said if said else ''}{hint}"


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
