"""A plugin for runs of tests: the disk takes no more shards once one training is stored.

What becomes of each call that fails is for `test_faulty_files.py`; here a whole run is to end well.
"""

import errno
import os
from pathlib import Path

_replace = Path.replace


def _refusing(path: Path, target: Path) -> Path:
    if target.parent.name == "shards" and list(target.parent.glob("two_layer*.json")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return _replace(path, target)


Path.replace = _refusing  # type: ignore[assignment, method-assign]
