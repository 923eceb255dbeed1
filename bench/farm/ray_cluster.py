"""Pieces as tasks of a Ray cluster that is there already."""

import importlib
import os
import signal
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contract.errors import UsageError
from bench.farm import ray_task
from bench.farm.engines import FarmError, LostError, Node, Order
from bench.planning.plan import ROOT

CONNECT_SECONDS = 5.0

LOOK_SECONDS = 1.0
"""How long a thread waits for a task before it looks whether the farm is closed."""

MANY = 2
"""Pieces that a node of one core does at once, too: most of the time one of them reads or waits."""


class Cluster:
    """All nodes of the cluster that `RAY_ADDRESS` names, or that was started on this machine."""

    def __init__(self) -> None:
        """Join nothing yet.

        Raises:
            UsageError: Ray is not installed here, or would let anybody in.
        """
        if os.environ.get("RAY_AUTH_MODE") != "token":
            raise UsageError(
                "--farm ray: a cluster without tokens runs what anybody sends it; set "
                "RAY_AUTH_MODE=token here and where nodes are started (docs/farm.md)"
            )
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise UsageError("--farm ray: Ray is not installed; run nox -s farm") from error
        self._sent: dict[str, Any] = {}
        self._running: set[Any] = set()
        self._guard = threading.Condition()
        self._closed = False

    def __enter__(self) -> "Cluster":
        """Join it.

        Raises:
            FarmError: There is none, or it does not let us in.
        """
        before = signal.getsignal(signal.SIGTERM)
        address = os.environ.get("RAY_ADDRESS") or "auto"
        host, _, port = address.rpartition(":")
        try:
            if host:  # Ray itself tries for ten minutes
                socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            self._ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError, self._ray.exceptions.RayError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise FarmError(f"--farm ray: no cluster ({said[0]}); see docs/farm.md") from error
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray has its own
        self._ray.cloudpickle.register_pickle_by_value(ray_task)
        self._task = self._ray.remote(num_cpus=0, max_retries=0, max_calls=1)(ray_task.perform)
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs: a piece dies with its task, and nobody waits for one in vain."""
        with self._guard:
            self._closed = True
            for reference in self._running:
                self._ray.cancel(reference, force=True)
            self._guard.wait_for(lambda: not self._running, 4 * LOOK_SECONDS)
        self._ray.shutdown()

    def nodes(self) -> Sequence[Node]:
        """Those that are alive."""
        return [
            Node(
                f"{each['NodeManagerHostname']}-{each['NodeID'][:8]}",
                max(MANY, int(each["Resources"]["CPU"]) // 2),
            )
            for each in self._ray.nodes()
            if each["Alive"] and each["Resources"].get("CPU")  # a head may be there for no work
        ]

    def run(self, node: Node, order: Order) -> int:
        """A task on that node alone, which Ray never repeats."""
        ids = {each["NodeID"][:8]: each["NodeID"] for each in self._ray.nodes() if each["Alive"]}
        if (found := ids.get(node.name.rpartition("-")[2])) is None:
            raise LostError(f"{node.name} is gone")
        there = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(found, False)
        with self._guard:
            if self._closed:
                raise LostError(f"{node.name}: the farm is closed")
            inputs = {path.stem: [self._reference(path)] for path in order.inputs}
            reference = self._task.options(scheduling_strategy=there).remote(
                str(ROOT), order.unit.stem, order.unit.read_bytes(), inputs, self._ray.get
            )
            self._running.add(reference)
        try:
            while not self._ray.wait([reference], timeout=LOOK_SECONDS)[0]:
                if self._closed:
                    raise LostError(f"{node.name}: the farm is closed")
            code, archive, words = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise LostError(f"{node.name}: {type(error).__name__}") from error
        finally:
            with self._guard:
                self._running.discard(reference)
                self._guard.notify_all()
        order.log.write_bytes(words)
        if code < 0:
            raise LostError(f"{node.name}: killed by {signal.Signals(-code).name}")
        if archive:
            order.archive.write_bytes(archive)
        return int(code)

    def _reference(self, path: Path) -> Any:
        """An archive in Ray's store, once for all nodes."""
        if path.stem not in self._sent:
            self._sent[path.stem] = self._ray.put(path.read_bytes())
        return self._sent[path.stem]
