"""Puts this process where a worker would be, before Keras is imported."""

import os
import tempfile
from pathlib import Path

import pytest

from bench.contract.backends import BACKENDS
from bench.contract.units import Lane
from bench.process.worker_environment import worker_environment


def pytest_configure(config: pytest.Config) -> None:
    """Take the backend from `KERAS_BACKEND`, and fail where none was chosen."""
    backend = os.environ.get("KERAS_BACKEND")
    if backend not in BACKENDS:
        pytest.exit(f"error: set KERAS_BACKEND to one of {', '.join(BACKENDS)}", returncode=2)
    home = tempfile.TemporaryDirectory(prefix="bench-keras-")
    config.add_cleanup(home.cleanup)
    device = os.environ.get("BENCH_DEVICE") or "cpu"
    # As in the launches of a run; most tests compile what another has compiled.
    lane = Lane(backend, device, "", compiled=f"{home.name}/compiled")
    environment = worker_environment(lane, Path(home.name), os.environ)
    os.environ.clear()
    os.environ.update(environment)
