"""The models that are run: one file each, one `build()` in each.

This package is standard library only until `build` is called, so that the harness can
list the models without Keras. Adding a model means adding a file; one that lies elsewhere is
named by its path (`models.files`).
"""

import ast
import importlib
from pathlib import Path
from typing import Any

from models import neighbours
from models.files import BUILD, ModelFile, defines

OPTIONS = "compile_options"


def names() -> tuple[str, ...]:
    """Names of the shipped models: the files of this folder that define `build()`, sorted."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple(
        file.stem
        for file in files
        if file.stem not in {"__init__", "files"}
        and defines(ast.parse(file.read_text(encoding="utf-8")), BUILD)
    )


def twins() -> tuple[str, ...]:
    """Names of the shipped models that every framework has a native twin of."""
    folder = Path(__file__).parent / "native"
    trees = [
        ast.parse(file.read_text(encoding="utf-8"))
        for file in folder.glob("*.py")
        if file.stem != "__init__"
    ]
    return tuple(name for name in names() if all(defines(tree, name) for tree in trees))


def build(source: str) -> Any:
    """Build a model with the Keras backend of this process.

    Args:
        source: One of `names()`, or the `source` of a `ModelFile`.

    Returns:
        A `keras.Model`; those that are shipped are compiled.

    Raises:
        ValueError: No model has this name.
    """
    return _called(source, ModelFile.of_source(source).function)


def compile_options(source: str) -> Any:
    """Arguments of `compile` that a user's file gives beside its model; None if it gives none."""
    return _called(source, OPTIONS) if hasattr(module(source), OPTIONS) else None


def _called(source: str, name: str) -> Any:
    """What a function of the file gives, which may import and read what lies beside it."""
    file, function = ModelFile.of_source(source), getattr(module(source), name)
    if file.path is None:
        return function()
    with neighbours.found(file.path.parent):
        return function()


def module(source: str) -> Any:
    """The module that builds a model; a user's file is run here, and only in workers.

    Raises:
        ValueError: No model has this name.
    """
    file = ModelFile.of_source(source)
    if file.path is not None:
        return file.load()
    if source not in names():
        raise ValueError(f"unknown model {source!r}; choose from {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{source}")
