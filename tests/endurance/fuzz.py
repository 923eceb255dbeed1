"""`python -m tests.endurance.fuzz shards|datasets [libFuzzer's options]`: coverage-guided fuzzing.

A finding ends it with a traceback; its input stays in a file of the working folder and belongs,
mended, into the tests of the loader.
"""

import contextlib
import hashlib
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["reports", "bench"]):
    from bench import data, own
    from bench.errors import DataError
    from reports import shards

GOLDEN = Path(__file__).parent.parent / "data" / "golden" / "shards"
SCRATCH = Path(tempfile.mkdtemp(prefix="fuzz-"))
RUN = SCRATCH / "golden"


def read_shard(content: bytes) -> None:
    """As a shard of a good run, with a hash that fits: a hostile author can compute one."""
    with contextlib.suppress(ValueError, RecursionError):
        shard = json.loads(content)
        if isinstance(shard, dict) and "sha256" in shard:
            rest = {name: value for name, value in shard.items() if name != "sha256"}
            canonical = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
            content = json.dumps(rest | {"sha256": hashlib.sha256(canonical).hexdigest()}).encode()
            name = str(shard.get("shard_id"))
            if (GOLDEN / f"{name}.json").is_file():
                _read(name, content)
                return
    _read("speed-launch01", content)


def _read(name: str, content: bytes) -> None:
    """With its arrays and the plan, if it is not the plan itself, and nothing else to read."""
    folder = RUN / "shards"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(GOLDEN / "plan.json", folder)
    if (GOLDEN / f"{name}.npz").exists():
        shutil.copy(GOLDEN / f"{name}.npz", folder)
    (folder / f"{name}.json").write_bytes(content)
    shards.read([RUN])


def read_dataset(content: bytes) -> None:
    path = SCRATCH / "data.npz"
    path.write_bytes(content)
    for load in (lambda: data.read_npz(path), lambda: own.load(path, SCRATCH / "kept")):
        with contextlib.suppress(DataError):
            load()


def seeds(target: str) -> Path:
    """Good inputs to begin with, without which it would look for a JSON object for hours."""
    import numpy as np

    folder = SCRATCH / "seeds"
    folder.mkdir()
    if target == "shards":
        for path in GOLDEN.glob("*.json"):
            if path.stat().st_size < 8_000:
                (folder / path.name).write_text(
                    json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8"
                )
        return folder
    arrays = {name: np.arange(4, dtype=np.uint8) for name in data.ARRAYS}
    for number, save in enumerate((np.savez, np.savez_compressed)):
        buffer = io.BytesIO()
        save(buffer, **arrays)  # type: ignore[arg-type]
        (folder / f"{number}.npz").write_bytes(buffer.getvalue())
    return folder


def main() -> None:
    target, *options = sys.argv[1:]
    functions = {"shards": read_shard, "datasets": read_dataset}
    arguments = [sys.argv[0], "-len_control=0", *options, str(seeds(target))]
    atheris.Setup(arguments, functions[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
