"""Models in files of the user's own: `path/to/file.py`, or `path/to/file.py:function`.

Standard library only. The harness parses such a file, to see that the function is there; it is run
by workers alone.
"""

import ast
import hashlib
import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from models import neighbours

BUILD = "build"
MAX_NAME = 40


class ModelFileError(ValueError):
    """A file that cannot be a model's; the message says which and why."""


@dataclass(frozen=True)
class ModelFile:
    """Where a model is defined.

    Attributes:
        name: What tables call the model.
        path: The file; None for a shipped model.
        function: Its function that returns a Keras model.
        sha256: Of the file's bytes, or empty where nobody asked.
    """

    name: str
    path: Path | None
    function: str = BUILD
    sha256: str = ""

    @classmethod
    def of_source(cls, source: str) -> Self:
        """What `source` (below) stands for."""
        path, separator, function = source.rpartition(":")
        return cls(Path(path).stem, Path(path), function) if separator else cls(source, None)

    @classmethod
    def read(cls, text: str) -> Self:
        """The file that a user names, looked at but not run.

        Args:
            text: `path/to/file.py` or `path/to/file.py:function`.

        Raises:
            ModelFileError: It is missing, no Python, or has no such function.
        """
        path, separator, function = text.rpartition(":")
        if not separator or not function.isidentifier():
            path, function = text, BUILD
        file = Path(path)
        if file.suffix != ".py":
            raise ModelFileError(f"{path}: a Python file is wanted, whose name ends in .py")
        try:
            path.encode()  # it is kept with the results, as text
        except UnicodeEncodeError:
            raise ModelFileError(f"{path!r}: rename it, its path is not UTF-8") from None
        try:
            content = file.read_bytes()
            tree = ast.parse(content)
        except OSError as error:
            raise ModelFileError(f"{path}: {error.strerror}") from error
        except (SyntaxError, ValueError) as error:
            number = getattr(error, "lineno", None)
            line = f", line {number}" if number else ""
            raise ModelFileError(f"{path}: not Python{line}: {error.args[0]}") from error
        if not defines(tree, function):
            raise ModelFileError(
                f"{path}: it has no function {function}(); define one that returns a Keras model, "
                "or name another as FILE:FUNCTION"
            )
        name = file.stem if function == BUILD else f"{file.stem}-{function}"
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:MAX_NAME] or "model"
        return cls(name, file, function, hashlib.sha256(content).hexdigest())

    @property
    def source(self) -> str:
        """What a worker is told: the absolute path and the function, or a shipped model's name."""
        return f"{self.path.resolve()}:{self.function}" if self.path else self.name

    def load(self) -> Any:
        """Run the file as a module, once; it may import what lies in its folder."""
        assert self.path is not None  # noqa: S101 - the caller has asked
        name = f"own_{hashlib.sha256(bytes(self.path)).hexdigest()[:16]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None  # noqa: S101 - the name ends in .py
        assert spec.loader is not None  # noqa: S101 - and so it has one
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        with neighbours.found(self.path.parent):
            spec.loader.exec_module(module)
        return module


def defines(tree: ast.Module, function: str) -> bool:
    """Whether a module has a function, or any other thing, of this name."""
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.ClassDef() if node.name == function:
                return True
            case ast.Assign() if any(getattr(t, "id", "") == function for t in node.targets):
                return True
            case ast.ImportFrom() if any((a.asname or a.name) == function for a in node.names):
                return True
    return False
