"""PyTorch below Keras."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode


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


def be_exact() -> None:
    """Switch off what trades digits for speed: TF32, which GPUs multiply with."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def be_wide() -> None:
    """Allow float64: PyTorch always does."""


def wait() -> None:
    """Return when all that was dispatched has been computed; on the CPU nothing is pending."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def compilations(model: keras.Model) -> int:
    """How many graphs have been compiled so far: none where Keras runs torch eagerly.

    Raises:
        NotImplementedError: The model is compiled, which "auto" never does with torch.
    """
    if model.jit_compile:
        raise NotImplementedError("compiled torch models are not counted yet")
    return 0


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
    starts: Sequence[list[NDArray[Any]]],
    x: Any,
    y: Any,
) -> Iterator[tuple[float, list[NDArray[np.float32]]]]:
    """Loss of a batch and its gradient at each of these weights, as in Keras's own step."""
    inputs, targets = keras.tree.map_structure(keras.ops.convert_to_tensor, (x, y))
    for weights in starts:
        model.set_weights(weights)
        model.zero_grad()
        outputs = model(inputs, training=True)
        loss = model.compute_loss(x=inputs, y=targets, y_pred=outputs, training=True)
        loss.backward()
        values = [weight.value for weight in model.trainable_weights]
        found = [torch.zeros_like(each) if each.grad is None else each.grad for each in values]
        yield float(loss.detach()), [keras.ops.convert_to_numpy(gradient) for gradient in found]
    model.zero_grad()
