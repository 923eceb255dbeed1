"""What the harness must know of each backend before it starts one: a row per backend.

Everything that needs the framework itself lives in `bench/worker/loops/<backend>.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

DEVICES = ("cpu", "gpu")


@dataclass(frozen=True)
class Backend:
    """One value of `KERAS_BACKEND`.

    Attributes:
        name: The value itself.
        title: The framework as people write it.
        environment: For each device, the variables that put the backend on it.
        compile_cache: For each device, the variables that keep what was compiled in `{folder}`;
            none where there is no such cache, or where compilations differ from launch to launch.
        epoch_seconds: A rough training time of one reference epoch on two cores. It only
            feeds the estimate that is printed before anything has been measured.
    """

    name: str
    title: str
    environment: Mapping[str, Mapping[str, str]]
    epoch_seconds: float
    compile_cache: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "tensorflow",
            "TensorFlow",
            # On a GPU each framework would take all the memory, and lanes live side by side.
            {
                "cpu": {"CUDA_VISIBLE_DEVICES": "-1"},
                "gpu": {"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
            },
            epoch_seconds=2.5,
        ),
        Backend(
            "jax",
            "JAX",
            # Hiding the GPUs instead would crash a CUDA build of jaxlib (jax#37668). With
            # "cuda", JAX raises where it would else fall back to the CPU with a warning.
            {
                "cpu": {"JAX_PLATFORMS": "cpu"},
                "gpu": {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            },
            epoch_seconds=12.7,
            # On a CPU two compilations gave the same instructions (docs/measuring.md); on a GPU
            # each tunes its kernels anew.
            compile_cache={
                "cpu": {
                    "JAX_COMPILATION_CACHE_DIR": "{folder}",
                    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
                }
            },
        ),
        Backend(
            "torch",
            "PyTorch",
            # Without it Keras takes CUDA, MPS or XPU by itself where torch has one.
            {"cpu": {"KERAS_TORCH_DEVICE": "cpu"}, "gpu": {"KERAS_TORCH_DEVICE": "cuda"}},
            epoch_seconds=6.5,
        ),
    )
}


def backend_of(lane: str) -> str:
    """The backend of a lane, by its name: `jax`, or `jax@0.10.2`, or `jax+bfloat16`."""
    return re.split("[@+]", lane, maxsplit=1)[0]


def place(lane: str) -> tuple[int, str]:
    """Where a lane stands among others: its backend in the order of `BACKENDS`, then its name."""
    known = list(BACKENDS)
    backend = backend_of(lane)
    return known.index(backend) if backend in known else len(known), lane
