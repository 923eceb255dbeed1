"""What a user's file imports from its own folder, also by names that this project uses itself.

Standard library only, and for workers alone.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

OURS = ("bench", "models", "reports", "tests")
"""Top-level names of this project."""

_THEIRS: dict[Path, dict[str, ModuleType]] = {}
"""By folder: modules of these names, as its files have imported them."""


@contextlib.contextmanager
def found(folder: Path) -> Iterator[None]:
    """Have imports and relative paths find what lies in a folder, as if Python was started there.

    Where it has modules with names of ours, ours are put aside meanwhile.
    """
    with contextlib.chdir(folder), _imported(folder):
        yield


@contextlib.contextmanager
def _imported(folder: Path) -> Iterator[None]:
    shared = {name for name in OURS if _has(folder, name)}
    if not shared:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        yield
        return
    ours = _taken(shared)
    sys.modules.update(_THEIRS.get(folder, {}))
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _THEIRS[folder] = _taken(shared)
        sys.modules.update(ours)


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def _taken(names: set[str]) -> dict[str, ModuleType]:
    """Modules of these names, and what lies in them, taken out of what is imported."""
    chosen = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in chosen}
