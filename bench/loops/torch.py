"""PyTorch below Keras."""

from typing import Any

import keras
import torch


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
