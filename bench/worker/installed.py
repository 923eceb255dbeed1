"""What is installed beside a worker: an environment is what is in it, not what was asked for."""

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
        files = each.read_text("RECORD") or ""
        # Of the files themselves alone: names of a cache's folder change with every installation.
        lines = sorted(line for line in files.splitlines() if "sha256=" in line)
        lines = [line for line in lines if ".dist-info/" not in line]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
        found.setdefault(name, f"{each.version} ({digest})" if local else each.version)
    return dict(sorted(found.items()))
