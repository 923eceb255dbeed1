"""What the harness must know of each backend before it starts one: a row per backend.

Everything that needs the framework itself lives in `bench/worker/loops/<backend>.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DEVICES = ("cpu", "gpu")


@dataclass(frozen=True)
class Backend:
    """One value of `KERAS_BACKEND`.

    Attributes:
        name: The value itself.
        environment: For each device, the variables that put the backend on it.
        epoch_seconds: A rough training time of one reference epoch on two cores. It only
            feeds the estimate that is printed before anything has been measured.
    """

    name: str
    environment: Mapping[str, Mapping[str, str]]
    epoch_seconds: float


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "tensorflow",
            # On a GPU each framework would take all the memory, and lanes live side by side.
            {
                "cpu": {"CUDA_VISIBLE_DEVICES": "-1"},
                "gpu": {"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
            },
            epoch_seconds=6,
        ),
        Backend(
            "jax",
            # Hiding the GPUs instead would crash a CUDA build of jaxlib (jax#37668). With
            # "cuda", JAX raises where it would else fall back to the CPU with a warning.
            {
                "cpu": {"JAX_PLATFORMS": "cpu"},
                "gpu": {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            },
            epoch_seconds=21,
        ),
        Backend(
            "torch",
            # Without it Keras takes CUDA, MPS or XPU by itself where torch has one.
            {"cpu": {"KERAS_TORCH_DEVICE": "cpu"}, "gpu": {"KERAS_TORCH_DEVICE": "cuda"}},
            epoch_seconds=15,
        ),
    )
}
