"""The variables that a worker starts with."""

from collections.abc import Mapping
from pathlib import Path

from bench.contract.backends import BACKENDS
from bench.contract.units import Lane

# Everything else is left behind: OMP_*, XLA_FLAGS, TF_*, JAX_*, MALLOC_* change speed, and
# KERAS_MAX_EPOCHS and KERAS_MAX_STEPS_PER_EPOCH silently shorten training.
INHERITED = (
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
)


def worker_environment(lane: Lane, scratch: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables for a worker.

    Args:
        lane: Whose; variables that it declares itself are let in.
        scratch: An empty folder: no keras.json of the user's changes defaults, no compiler finds
            what an earlier worker cached, and what TensorFlow leaves is gone with it.
        environ: The coordinator's own variables.
    """
    known = BACKENDS[lane.backend]
    cache = known.compile_cache.get(lane.device, {}) if lane.compiled else {}
    inherited = {name: environ[name] for name in INHERITED if name in environ}
    return inherited | {
        "KERAS_BACKEND": lane.backend,
        "KERAS_HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONHASHSEED": "0",
        **known.environment[lane.device],
        **{name: value.format(folder=lane.compiled) for name, value in cache.items()},
        **dict(lane.environment),
    }
