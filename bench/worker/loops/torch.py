"""PyTorch below Keras."""

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import keras
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from bench.worker.loops.adam import KerasAdam
from bench.worker.loops.epochs import made_ready, results
from bench.worker.loops.state import loss_scale, place, readable
from models.native.torch import FusedAdam


def device() -> str:
    """Where Keras really puts a variable: `cpu` or `gpu`."""
    where = keras.Variable([0.0]).value.device.type
    return "gpu" if where == "cuda" else str(where)


def settings() -> dict[str, Any]:
    """What changes speed or rounding: devices, TF32, threads."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "devices": gpus or ["cpu"],
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_convolution": torch.backends.cudnn.allow_tf32,
        "intra_op_threads": torch.get_num_threads(),
        "inter_op_threads": torch.get_num_interop_threads(),
    }


def disable_tf32() -> None:
    """Switch off what trades digits for speed: TF32, which GPUs multiply with."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def enable_float64() -> None:
    """Allow float64: PyTorch always does."""


def wait() -> None:
    """Return when all that was dispatched has been computed; on the CPU nothing is pending."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def compilations(model: keras.Model) -> int:
    """How many graphs have been compiled in this process so far: none where Keras runs eagerly."""
    if not model.jit_compile:
        return 0
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def forward_flops(model: keras.Model, x: Any) -> int | None:
    """Operations of matrix products for predicting one example, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
    return _of_one_example(counter, x)


def train_flops(model: keras.Model, x: Any, y: Any) -> int | None:
    """The same for training on one example."""
    inputs, targets = keras.tree.map_structure(keras.ops.convert_to_tensor, (x, y))
    model.zero_grad()
    with FlopCounterMode(display=False) as counter:
        outputs = model(inputs, training=True)
        model.compute_loss(x=inputs, y=targets, y_pred=outputs, training=True).backward()
    model.zero_grad()
    return _of_one_example(counter, x)


def _of_one_example(counter: FlopCounterMode, x: Any) -> int | None:
    return counter.get_total_flops() // len(keras.tree.flatten(x)[0]) or None


def gradients(
    model: keras.Model,
    starts: Iterable[list[NDArray[Any]]],
    batches: Iterable[tuple[Any, Any]],
) -> Iterator[tuple[float, list[NDArray[Any]]]]:
    """Loss of each batch and its gradient at its start, as in Keras's own step."""
    for weights, batch in zip(starts, batches, strict=False):
        inputs, targets = keras.tree.map_structure(keras.ops.convert_to_tensor, batch)
        place(model, weights)
        model.zero_grad()
        outputs = model(inputs, training=True)
        loss = model.compute_loss(x=inputs, y=targets, y_pred=outputs, training=True)
        loss = model.optimizer.scale_loss(loss)
        loss.backward()
        values = [weight.value for weight in model.trainable_weights]
        found = [torch.zeros_like(each) if each.grad is None else each.grad for each in values]
        scale = loss_scale(model)
        arrays = map(keras.ops.convert_to_numpy, found)
        yield float(loss.detach()) / scale, [readable(each) / scale for each in arrays]
    model.zero_grad()


def traced(functions: Mapping[Any, Any]) -> int:
    """How many graphs have been captured so far."""
    return len(functions)


def on_device(data: Any) -> Any:
    """Arrays where they are needed."""
    return keras.tree.map_structure(keras.ops.convert_to_tensor, data)


METRICS_EVERY = 32
"""Steps whose outputs are kept until Keras's metrics take them, all at once: each call costs as
much as a convolution's gradient."""


class EpochLoop:
    """Keras's computations in a loop of our own, over data that is on the device.

    They are captured once as a graph of PyTorch's operations (`torch.compile` with the backend
    that runs them as they are, so nothing is generated and no compiler is needed): Keras's Python,
    a millisecond in each step, is left out. What cannot be captured as a whole runs as it is. Its
    Adam is PyTorch's fused one.

    Attributes:
        functions: What is compiled, for `traced`.
    """

    def __init__(self, model: keras.Model) -> None:
        """Capture nothing yet.

        Args:
            model: Built and compiled.
        """
        self._model = model
        self.functions: dict[tuple[str, int], Callable[..., Any]] = {}

    def fit(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        """Train over the examples once, in order; the metrics of the epoch."""
        model = self._model
        made_ready(model, x, y)
        model.train()
        weights = [weight.value for weight in model.trainable_variables]
        step, count = self._stepping(weights)

        def train(loss: torch.Tensor) -> None:
            loss.backward()
            step()
            for weight in weights:
                weight.grad = None

        model.zero_grad()
        self._epoch("training", (x, y), batch_size, train)
        count()
        return results(model)

    def _stepping(self, weights: list[Any]) -> tuple[Callable[[], None], Callable[[], None]]:
        """How to take a step, and how to have Keras count those that were taken."""
        model, adam = self._model, KerasAdam.of(self._model)
        if adam is None:
            return partial(_keras_step, model, weights), lambda: None
        fused = FusedAdam(adam.numbers, weights)
        steps = int(model.optimizer.iterations.value)
        for weight, momentum, velocity in zip(weights, adam.momentum, adam.velocity, strict=True):
            fused.go_on(weight, steps, momentum.value, velocity.value)
        return fused.step, lambda: model.optimizer.iterations.assign(fused.steps)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def evaluate(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        """The metrics of the examples."""
        made_ready(self._model, x, y)
        self._model.eval()
        self._epoch("test", (x, y), batch_size, lambda _: None)
        return results(self._model)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def predict(self, x: Any, batch_size: int) -> Any:
        """What the model gives, as NumPy arrays."""
        self._model.eval()
        given = list(self._each("prediction", (x,), batch_size))
        return keras.tree.map_structure(lambda *parts: torch.cat(parts).cpu().numpy(), *given)

    def _epoch(
        self, kind: str, data: Any, batch_size: int, then: Callable[[torch.Tensor], None]
    ) -> None:
        """Compute losses, do what comes of each, and tell Keras's metrics."""
        losses, outputs = [], []
        begin, count = 0, _count_of(data)
        for loss, given in self._each(kind, data, batch_size):
            then(loss)
            losses.append(loss.detach())
            outputs.append(given)
            end = min(begin + len(losses) * batch_size, count)
            if len(losses) == METRICS_EVERY or end == count:
                part = keras.tree.map_structure(lambda array, b=begin, e=end: array[b:e], data)
                self._measure(part, batch_size, losses, outputs)
                begin, losses, outputs = end, [], []

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _measure(self, data: Any, size: int, losses: list[Any], outputs: list[Any]) -> None:
        count = _count_of(data)
        sizes = [min(size, count - begin) for begin in range(0, count, size)]
        weights = torch.tensor(sizes, device=losses[0].device)
        self._model.metrics[0].update_state(torch.stack(losses), sample_weight=weights)
        whole = keras.tree.map_structure(lambda *parts: torch.cat(parts), *outputs)
        self._model.compute_metrics(*data, whole)

    def _each(self, kind: str, data: Any, size: int) -> Iterator[Any]:
        """One of `_computations` for each batch.

        In the first epoch PyTorch evaluates the guards of its graphs. After that, nothing changes
        that they watch, and evaluating them takes most of what is gained.
        """
        leaves = keras.tree.flatten(data)
        count = len(leaves[0])
        wanted = {min(size, count), count % size or size}
        known = all((kind, each) in self.functions for each in wanted)
        with torch.compiler.set_stance("default", skip_guard_eval_unsafe=known):
            for batch in zip(*(leaf.split(size) for leaf in leaves), strict=True):
                key = kind, len(batch[0])
                if key in self.functions:
                    yield self.functions[key](*batch)
                    continue
                plain = _computations(self._model, data)[kind]
                self.functions[key] = _captured(plain)
                try:
                    given = self.functions[key](*batch)
                except RuntimeError:  # a layer of which no graph can be made, as Rescaling
                    self.functions[key] = plain
                    given = plain(*batch)
                yield given


def _computations(model: keras.Model, like: Any) -> dict[str, Callable[..., Any]]:
    """What is captured: functions of the arrays of a structure `like` this."""

    def training(*arrays: Any) -> Any:
        x, y = keras.tree.pack_sequence_as(like, arrays)
        outputs = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=outputs, training=True)
        return loss, keras.tree.map_structure(torch.Tensor.detach, outputs)

    def test(*arrays: Any) -> Any:
        x, y = keras.tree.pack_sequence_as(like, arrays)
        outputs = model(x, training=False)
        return model.compute_loss(x=x, y=y, y_pred=outputs, training=False), outputs

    def prediction(*arrays: Any) -> Any:
        (x,) = keras.tree.pack_sequence_as(like, arrays)
        return model(x, training=False)

    return {each.__name__: each for each in (training, test, prediction)}


def _captured(plain: Callable[..., Any]) -> Callable[..., Any]:
    # Graphs are kept by code object, at most eight of each: so each gets one of its own.
    own = types.FunctionType(plain.__code__.replace(), plain.__globals__, closure=plain.__closure__)
    return torch.compile(own, fullgraph=True, backend="eager", dynamic=False)  # type: ignore[no-any-return]


@torch.no_grad()  # type: ignore[untyped-decorator]
def _keras_step(model: keras.Model, weights: list[Any]) -> None:
    """By Keras's own optimizer."""
    gradients = [weight.grad for weight in weights]
    model.optimizer.apply(gradients, model.trainable_variables)


def _count_of(data: Any) -> int:
    return len(keras.tree.flatten(data)[0])
