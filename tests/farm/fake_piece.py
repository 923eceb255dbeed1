"""Stands for `python -m bench.farm.piece` on a node of a test: quick, and it says when it ran.

Every node has its own raylet, whose process stands for the machine.
"""

import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path


def greeting(unit: dict[str, object]) -> dict[str, object]:
    machine = f"raylet{os.environ['RAY_RAYLET_PID']}"
    told = {"id": machine, "cpu_model": "CPU", "cores": 1, "memory_mib": 8000, "system": "Linux"}
    environments = unit["environments"]
    if Path(os.environ["FARM_TEST"], "odd").exists():  # one node is installed otherwise
        Path(os.environ["FARM_TEST"], "odd").unlink(missing_ok=True)
        environments = {"jax": "f" * 64}
    return {
        "python": "3.11",
        "machine": told,
        "disk_bytes": 1 << 40,
        "environments": environments,
        "errors": {},
    }


def main() -> None:
    unit = json.loads(Path(sys.argv[-3]).read_bytes())
    files = {"result": b"done"}
    if unit["kind"] == "greeting":
        files = {"greeting.json": json.dumps(greeting(unit)).encode()}
    else:
        begun = time.time()
        time.sleep(float(Path(os.environ["FARM_TEST"], "seconds").read_text()))
        line = {"raylet": os.environ["RAY_RAYLET_PID"], "begun": begun, "ended": time.time()}
        line |= {"kind": unit["kind"], "part": unit["part"], "pid": os.getpid()}
        with Path(os.environ["FARM_TEST"], "stamps").open("a") as file:
            file.write(json.dumps(line) + "\n")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    Path(sys.argv[-1]).write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main()
