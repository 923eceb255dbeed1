"""Pieces as processes of this machine."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from bench.farm.engines import LostError, Node, Order
from bench.planning.plan import ROOT


class Local:
    """One node, this machine, with so many pieces at once."""

    def __init__(self, slots: int) -> None:
        """Start nothing yet."""
        self._slots = slots
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._closed = False

    def __enter__(self) -> "Local":
        """Nothing to begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs, with all that it has started."""
        with self._guard:
            self._closed = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    os.killpg(process.pid, signal.SIGTERM)  # it ends its workers before it goes

    def nodes(self) -> Sequence[Node]:
        """This machine."""
        return [Node(platform.node() or "here", self._slots)]

    def run(self, node: Node, order: Order) -> int:
        """A process in a session of its own, which dies with this one."""
        tied = ("-m", "bench.process.parent_death", str(os.getpid()))
        command = [sys.executable, *tied, "bench.farm.piece", str(order.unit.resolve())]
        with order.log.open("wb") as log, self._guard:
            if self._closed:
                raise LostError(f"{node.name}: the farm is closed")
            process = subprocess.Popen(
                [*command, "--archive", str(order.archive.resolve())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self._running.add(process)
        code = process.wait()
        with self._guard:
            self._running.discard(process)
        if code < 0:
            raise LostError(f"{node.name}: killed by {signal.Signals(-code).name}")
        return code
