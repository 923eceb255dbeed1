"""The models that are run: one file each, one `build()` in each.

This package is standard library only until `build` is called, so that the harness can
list the models without Keras. Adding a model means adding a file.
"""

import ast
import importlib
from pathlib import Path
from typing import Any


def names() -> tuple[str, ...]:
    """Names of the shipped models: the files of this folder that define `build()`, sorted."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple(file.stem for file in files if file.stem != "__init__" and _defines_build(file))


def build(name: str) -> Any:
    """Build and compile the model `name` with the Keras backend of this process.

    Args:
        name: One of `names()`.

    Returns:
        A compiled `keras.Model`.

    Raises:
        ValueError: No model has this name.
    """
    if name not in names():
        raise ValueError(f"unknown model {name!r}; choose from {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}").build()


def _defines_build(file: Path) -> bool:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "build" for node in tree.body)
