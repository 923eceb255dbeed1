"""`python -m tests.endurance.fuzz shards|arrays|datasets [libFuzzer's options]`.

Coverage-guided fuzzing. A finding ends it with a traceback; its input stays in a file of the
working folder and belongs, mended, into the tests of the loader.
"""

import contextlib
import hashlib
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["reports", "bench"]):
    from bench.contract.envelopes import sealed
    from bench.contract.errors import DataError
    from bench.inputs import datasets, user_models
    from reports.judging.comparison import compare
    from reports.pages import markdown
    from reports.read import shards
    from reports.tables import comparable

from tests.support import hostile

SCRATCH = Path(tempfile.mkdtemp(prefix="fuzz-"))
GOOD = hostile.store(SCRATCH / "good").path
RUN = SCRATCH / GOOD.name
OF_ARRAYS = "reference-mine-jax.try1"


def read_shard(content: bytes) -> None:
    """As a shard of a good run, with a hash that fits: a hostile author can compute one."""
    name, shard = "speed-launch01", content
    with contextlib.suppress(ValueError, RecursionError, LookupError, TypeError):
        told = json.loads(content)
        if (GOOD / "shards" / f"{told['shard_id']}.json").is_file():
            name = told["shard_id"]
        shard = sealed(told["kind"], GOOD.name, name, told["payload"])
    _read(name, shard, None)


def read_arrays(content: bytes) -> None:
    """As the arrays of a good shard, which states their hash."""
    told = json.loads((GOOD / "shards" / f"{OF_ARRAYS}.json").read_bytes())
    told["payload"]["arrays_sha256"] = hashlib.sha256(content).hexdigest()
    _read(OF_ARRAYS, sealed("reference", GOOD.name, OF_ARRAYS, told["payload"]), content)


def _read(name: str, shard: bytes, arrays: bytes | None) -> None:
    """Read it with its plan and arrays, and report what is not refused.

    Nothing else is there to read: what good shards do would hide what this one does.
    """
    shutil.rmtree(RUN, ignore_errors=True)
    folder = RUN / "shards"
    folder.mkdir(parents=True)
    for each in ("plan.json", f"{name}.npz"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(GOOD / "shards" / each, folder)
    (folder / f"{name}.json").write_bytes(shard)
    if arrays is not None:
        (folder / f"{name}.npz").write_bytes(arrays)
    found = shards.read([RUN])
    if not found.problems:
        with contextlib.suppress(comparable.NotComparableError):
            markdown.render(compare(found))


def read_dataset(content: bytes) -> None:
    path = SCRATCH / "data.npz"
    path.write_bytes(content)
    for load in (lambda: datasets.read_npz(path), lambda: user_models.load(path, SCRATCH / "kept")):
        with contextlib.suppress(DataError):
            load()


def change(content: bytes, most: int, seed: int) -> bytes:
    """What is JSON changes in its fields; bytes changed at random seldom stay JSON."""
    random = Random(seed)
    with contextlib.suppress(ValueError, RecursionError, LookupError, TypeError):
        told = json.loads(content)
        if random.random() < 0.9:
            hostile.change(told["payload"], random)
            changed = json.dumps(told).encode()
            if len(changed) <= most:
                return changed
    return bytes(atheris.Mutate(content, most))


def seeds(target: str) -> Path:
    """Good inputs to begin with, without which it would look for a JSON object for hours."""
    import numpy as np

    folder = SCRATCH / "seeds"
    folder.mkdir()
    if target == "shards":
        for path in (GOOD / "shards").glob("*.json"):
            content = json.loads(path.read_bytes())
            (folder / path.name).write_text(json.dumps(content), encoding="utf-8")
    elif target == "arrays":
        shutil.copy(GOOD / "shards" / f"{OF_ARRAYS}.npz", folder)
    else:
        arrays = {name: np.arange(4, dtype=np.uint8) for name in datasets.ARRAYS}
        for number, save in enumerate((np.savez, np.savez_compressed)):
            buffer = io.BytesIO()
            save(buffer, **arrays)  # type: ignore[arg-type]
            (folder / f"{number}.npz").write_bytes(buffer.getvalue())
    return folder


def main() -> None:
    target, *options = sys.argv[1:]
    functions = {"shards": read_shard, "arrays": read_arrays, "datasets": read_dataset}
    mutators = {"custom_mutator": change} if target == "shards" else {}
    arguments = [sys.argv[0], "-len_control=0", "-max_len=100000", *options, str(seeds(target))]
    atheris.Setup(arguments, functions[target], **mutators)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
