"""Who runs commands on nodes: what an engine offers."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.contract.errors import BenchError, ExitCode


class FarmError(BenchError):
    """There is no engine, or none of its nodes can go on."""

    exit_code = ExitCode.ENVIRONMENT


class LostError(BenchError):
    """A node went away with its piece."""

    exit_code = ExitCode.ENVIRONMENT


@dataclass(frozen=True)
class Node:
    """Where pieces run.

    Attributes:
        name: What the engine calls it.
        slots: How many pieces that time nothing it does at once.
    """

    name: str
    slots: int


@dataclass(frozen=True)
class Order:
    """A piece as an engine hands it on.

    Attributes:
        unit: Its file.
        inputs: The archives that it needs, each named by its hash.
        archive: Where what comes back is put.
        log: Where the command's words go.
    """

    unit: Path
    inputs: tuple[Path, ...]
    archive: Path
    log: Path


class Engine(AbstractContextManager["Engine"], Protocol):
    """What runs `python -m bench.farm.piece` elsewhere. Leaving it ends what still runs."""

    def nodes(self) -> Sequence[Node]:
        """Who is there now."""
        ...

    def run(self, node: Node, order: Order) -> int:
        """Have a node do a piece, and wait for it: the exit code of its command.

        Called from several threads at once.

        Raises:
            LostError: It will never end.
        """
        ...
