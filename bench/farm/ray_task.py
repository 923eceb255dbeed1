"""What a Ray task does on a node: it is sent there by value, and knows the standard library alone.

The node needs a checkout of this project whose environments nox has built, where the machine that
farms has its own, or where `BENCH_FARM_ROOT` said when the node joined.
"""

import hashlib
import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

MOST_LOG = 1 << 20


def perform(
    root: str,
    name: str,
    unit: bytes,
    inputs: Mapping[str, Sequence[Any]],
    get: Callable[[Any], Any],
) -> tuple[int, bytes, bytes]:
    """Do a piece as a process: its exit code, archive and words.

    Args:
        root: Checkout of the machine that farms.
        name: Of the unit.
        unit: Its file.
        inputs: References of archives by their hash, each in a list: Ray would fetch it else.
        get: Gives what a reference stands for.
    """
    # Ray ignores it, and then nobody knows what a process left with.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    home = Path(os.environ.get("BENCH_FARM_ROOT") or root)
    kept = Path(tempfile.gettempdir(), f"keras-backend-bench-farm-{os.getuid()}")
    kept.mkdir(mode=0o700, exist_ok=True)
    found = kept.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return 4, b"", f"error: {kept} is not ours alone; remove it there\n".encode()
    for part in ("units", "inputs"):
        (kept / part).mkdir(exist_ok=True)
    for sha256, (reference,) in inputs.items():
        path = kept / "inputs" / f"{sha256}.tar"
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            partial = path.with_suffix(f".{os.getpid()}")
            partial.write_bytes(get(reference))
            partial.replace(path)
    # Ray hides GPUs from a task that has asked for none; lanes on a CPU hide them by themselves.
    variables = {k: v for k, v in os.environ.items() if v or k != "CUDA_VISIBLE_DEVICES"}
    with tempfile.TemporaryDirectory(dir=kept / "units") as scratch:
        file, archive, log = (Path(scratch, each) for each in ("units/unit.json", "out.tar", "log"))
        file.parent.mkdir()
        (Path(scratch) / "inputs").symlink_to(kept / "inputs")
        file.write_bytes(unit)
        python = home / ".nox" / "harness" / "bin" / "python"
        command = [str(python), "-m", "bench.process.parent_death", str(os.getpid())]
        command += ["bench.farm.piece", str(file), "--archive", str(archive)]
        try:
            with log.open("wb") as words:
                code = subprocess.run(
                    command,
                    cwd=home,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    start_new_session=True,
                    check=False,
                ).returncode
        except OSError as error:
            told = f"error: {name[:12]}: {error.filename}: {error.strerror}; run nox -s harness"
            return 4, b"", f"{told} worker there\n".encode()
        data = archive.read_bytes() if archive.exists() else b""
        return code, data, log.read_bytes()[-MOST_LOG:]
