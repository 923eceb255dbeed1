"""What is installed beside a worker: an environment is what is in it, not what was asked for."""

import csv
import hashlib
import importlib.metadata


def distributions() -> dict[str, str]:
    """Version of every installed distribution, by its name in lower case.

    Of one that came from a folder or a file the version says little; a hash of what was installed
    stands behind it.
    """
    found: dict[str, str] = {}
    for each in importlib.metadata.distributions():
        name = str(each.metadata["Name"]).lower().replace("_", "-")
        local = each.read_text("direct_url.json")
        # Of the files themselves alone: names of a cache's folder change with every installation.
        files = sorted(",".join(row) for row in _files(each) if ".dist-info/" not in row[0])
        digest = hashlib.sha256("\n".join(files).encode()).hexdigest()[:12]
        found.setdefault(name, f"{each.version} ({digest})" if local else each.version)
    return dict(sorted(found.items()))


def mebibytes() -> float:
    """Size of all files that were installed, as their installer noted it."""
    every = importlib.metadata.distributions()
    return sum(int(row[2]) for each in every for row in _files(each)) / 2**20


def _files(distribution: importlib.metadata.Distribution) -> list[list[str]]:
    """Path, hash and size of each file; those that the installer knows no hash of are left out."""
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    return [row for row in rows if len(row) == 3 and row[1].startswith("sha256=") and row[2]]
