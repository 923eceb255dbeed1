"""Workers side by side: started together, and ended together whatever happens."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from bench.contract.errors import WorkerError
from bench.contract.schema import WorkerInfo
from bench.contract.units import Lane
from bench.coordinator.records import checked, ended, greeted
from bench.process.worker_process import Worker

T = TypeVar("T")


@dataclass
class Member:
    """A worker of a fleet, and how it does.

    Attributes:
        lane: What it is started for.
        info: Who it says it is, once it was greeted.
        error: How it failed; None while it does not.
        worker: There if it was started.
    """

    lane: Lane
    info: WorkerInfo | None = None
    error: WorkerError | None = None
    worker: Worker = field(init=False, repr=False)

    @property
    def scratch(self) -> Path:
        """A folder that lives as long as the worker."""
        return self.worker.scratch

    def start(self, timeout_seconds: float, workers: ExitStack) -> None:
        """Start it, to live as long as `workers` do."""
        try:
            self.worker = workers.enter_context(Worker(self.lane, timeout_seconds))
        except WorkerError as error:
            self.error = error

    def greet(self) -> None:
        """Hear who it is."""
        if self.error is None:
            try:
                self.info = greeted(self.worker)
            except WorkerError as error:
                self.fail(error)

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """Have the worker do something; None if it has failed, now or before."""
        if self.error is not None:
            return None
        try:
            return self.worker.call(name, arguments)
        except WorkerError as error:
            self.fail(error)
            return None

    def ask(self, name: str, arguments: dict[str, Any], struct: type[T], **more: Any) -> T | None:
        """The same, with the result and what is known beside it as a struct."""
        told = self.call(name, arguments)
        if told is None:
            return None
        try:
            return checked({**told, **more}, struct, self.lane)
        except WorkerError as error:
            self.fail(error)
            return None

    def fail(self, error: WorkerError) -> None:
        """Keep why it is of no use any more, and end it."""
        self.error = error
        self.worker.kill()

    @property
    def ended(self) -> dict[str, Any]:
        """Status, error and log as a shard keeps them."""
        return ended(self.error)


M = TypeVar("M", bound=Member)


class Fleet(Generic[M]):
    """A context manager that starts its members and leaves none behind."""

    def __init__(self, members: Sequence[M], timeout_seconds: float) -> None:
        """Start nothing yet.

        Args:
            members: Whose workers there will be.
            timeout_seconds: Longest silence of a worker.
        """
        self.members = members
        self._timeout = timeout_seconds

    def __enter__(self) -> Self:
        """Start all workers, in this thread: the kernel ends them with the one that did."""
        self._workers = ExitStack()
        self._pool = ThreadPoolExecutor(max(1, len(self.members)))
        with ExitStack() as begun:
            begun.push(self.__exit__)
            for member in self.members:
                member.start(self._timeout, self._workers)
            begun.pop_all()
        return self

    def begin(self, work: Callable[[M], T]) -> Callable[[], list[T]]:
        """Have something done with all members side by side; gives what waits for it."""
        futures = [self._pool.submit(work, member) for member in self.members]
        return lambda: [future.result() for future in futures]

    def each(self, work: Callable[[Any], T], parts: Iterable[Any]) -> list[T]:
        """Do something with all parts, which are of different members, side by side."""
        return list(self._pool.map(work, parts))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all workers; after Ctrl-C first, or a call would keep the pool waiting."""
        if kind is None:
            self._pool.shutdown()
            self._workers.close()
        else:
            self._workers.__exit__(kind, error, traceback)
            self._pool.shutdown()
