"""What is known to go wrong with versions of the packages, from `troubles.toml`."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Trouble:
    """One thing that is known.

    Attributes:
        package: Whose fault it is, as installed.
        versions: Those that have it.
        what: What goes wrong.
        threads: Where it is discussed.
        instead: What to take; empty where nothing is known.
        device: The only one that has it; empty for all.
        precision: The only one that has it; empty for all.
        backend: Of a finding of the ladder.
        rung: Of such a finding; empty where it is none.
        where: Pattern of the layer's class, or of the quantity.
    """

    package: str
    versions: tuple[str, ...]
    what: str
    threads: tuple[str, ...]
    instead: str = ""
    device: str = ""
    precision: str = ""
    backend: str = ""
    rung: str = ""
    where: str = ""

    def is_met(self, versions: Mapping[str, str], device: str) -> bool:
        """Whether these versions have it on this device."""
        version = versions.get(self.package, "").partition("+")[0]
        return version in self.versions and self.device in ("", device)

    def told(self, versions: Mapping[str, str]) -> str:
        """In a sentence."""
        instead = f"; take {self.instead}" if self.instead else ""
        return (
            f"Known of {self.package} {versions[self.package].partition('+')[0]}: {self.what} "
            f"({', '.join(self.threads)}){instead}."
        )


@cache
def known() -> tuple[Trouble, ...]:
    """All of them."""
    text = Path(__file__).with_name("troubles.toml").read_text(encoding="utf-8")
    return tuple(
        Trouble(**each | {name: tuple(each[name]) for name in ("versions", "threads")})
        for each in tomllib.loads(text)["trouble"]
    )


def of_versions(
    versions: Mapping[str, str], device: str, precision: str = "float32"
) -> list[Trouble]:
    """What may go wrong unseen: all but what the ladder finds by itself."""
    return [
        each
        for each in known()
        if not each.rung and each.precision in ("", precision) and each.is_met(versions, device)
    ]


def of_finding(
    versions: Mapping[str, str], device: str, backend: str, rung: str, where: str
) -> Trouble | None:
    """What is known of a finding of the ladder.

    Args:
        versions: Of the worker.
        device: Its own.
        backend: Its own.
        rung: Of the finding.
        where: Class of the layer and the quantity, in words.
    """
    found = (
        each
        for each in known()
        if each.rung == rung and each.backend == backend and re.search(each.where, where)
    )
    return next((each for each in found if each.is_met(versions, device)), None)
