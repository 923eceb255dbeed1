"""Puts this process where a worker would be, before Keras is imported."""

import os

import pytest

from bench.backends import BACKENDS


def pytest_configure() -> None:
    """Take the backend from `KERAS_BACKEND`, and fail where none was chosen."""
    backend = os.environ.get("KERAS_BACKEND")
    if backend not in BACKENDS:
        pytest.exit(f"error: set KERAS_BACKEND to one of {', '.join(BACKENDS)}", returncode=2)
    os.environ.update(BACKENDS[backend].environment[os.environ.get("BENCH_DEVICE") or "cpu"])
