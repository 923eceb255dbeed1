"""What a worker says of itself."""

import importlib.metadata
from typing import NoReturn

import keras
import numpy as np
import pytest

from bench.worker import __main__


def test_versions_are_those_of_the_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend's distribution may have another name than its module: tensorflow-cpu, nightly."""

    def unknown(name: str) -> NoReturn:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)
    versions = __main__.hello({}, lambda _: None)["versions"]
    backend = keras.backend.backend()
    framework = importlib.import_module(backend)
    assert versions["keras"] == keras.__version__
    assert versions["numpy"] == np.__version__
    assert versions[backend] == str(framework.__version__)
