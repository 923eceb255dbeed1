"""A worker process as seen from the coordinator: start, call, time out, kill.

Every worker leads a process group of its own. Whatever happens to it is told as a
`WorkerError` with a status; nothing of it outlives the handle.
"""

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from bench.contract.errors import WorkerError
from bench.contract.units import Lane
from bench.process import wire
from bench.process.system import kernel_file
from bench.process.temp_folders import scratch_folder
from bench.process.worker_environment import worker_environment

ROOT = Path(__file__).resolve().parents[2]
LOG_BYTES = 1 << 16
GRACE_SECONDS = 5
# Errors of ours, whose words need no class before them.
EXPECTED = {"DataError", "ModelError"}
# How often the coordinator looks whether a silent worker still lives. Its death closes the
# pipe and is seen at once, unless a child of the worker holds the pipe open.
POLL_SECONDS = 1.0


class Worker:
    """A running worker; a context manager that leaves no process behind.

    Attributes:
        lane: What it was started for.
        scratch: A folder that lives as long as the worker.
    """

    def __init__(self, lane: Lane, timeout_seconds: float) -> None:
        """Start the process, without waiting for it.

        The kernel kills it when the thread that started it ends (`bench.worker`), so start it in
        one that outlives it.

        Args:
            lane: What to start.
            timeout_seconds: Longest silence while it works.

        Raises:
            WorkerError: It did not start.
        """
        self.lane = lane
        self._timeout = timeout_seconds
        self._id = 0
        # Held while pipes are in use: another thread may end the process, not close them under us.
        self._pipes = threading.Lock()
        self._splitter = wire.Splitter()
        self._messages: Iterator[dict[str, Any]] = iter(())
        self._folder = scratch_folder()
        self.scratch = Path(self._folder.name)
        self._oom_kills = _oom_kills()
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        try:
            self._process = subprocess.Popen(
                [lane.python, "-m", "bench.worker", str(requests), str(replies)],
                cwd=ROOT,
                env=worker_environment(lane, self.scratch, os.environ),
                pass_fds=(requests, replies),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._requests)
            os.close(self._replies)
            self._folder.cleanup()
            raise WorkerError(
                "wrong_environment",
                f"{lane.id}: cannot start {lane.python}: {error.strerror}",
            ) from error
        finally:
            os.close(requests)
            os.close(replies)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._replies, selectors.EVENT_READ)
        self._log = _LogTail(self._process)

    def __enter__(self) -> Self:
        """Give the worker itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the process: by its own will after success, else by force."""
        if kind is None:
            self.close()
        else:
            self.kill()

    def greet(self) -> dict[str, Any]:
        """Hear who it is; see `bench.worker.hello`.

        Raises:
            WorkerError: It is not the backend, on the device, that was asked for.
        """
        hello = self.call("hello", {"precision": self.lane.precision})
        self._check_identity(hello)
        return hello

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group too."""
        return self._process.pid

    def call(
        self,
        name: str,
        arguments: dict[str, Any],
        on_event: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Have the worker do `name` and wait for the result.

        Args:
            name: A function of the worker.
            arguments: Its arguments, JSON values.
            on_event: Takes each event that comes before the result.

        Raises:
            WorkerError: It failed, died, fell silent or answered nonsense.
        """
        with self._pipes:
            if self._requests < 0:
                raise self._fault("crashed", "was ended by the harness")
            return self._answer(name, arguments, on_event)

    def _answer(
        self,
        name: str,
        arguments: dict[str, Any],
        on_event: Callable[[dict[str, Any]], None],
    ) -> dict[str, Any]:
        self._id += 1
        try:
            os.write(
                self._requests,
                wire.encode({"id": self._id, "call": name, "arguments": arguments}),
            )
        except BrokenPipeError:
            raise self._death() from None
        while True:
            message = self._next_message()
            if message.get("id") != self._id:
                raise self._fault("protocol_error", f"answers another request: {message!r:.80}")
            match message:
                case {"event": dict(event)}:
                    on_event(event)
                case {"result": dict(result)}:
                    return result
                case {"error": {"type": str(kind), "message": str(text)}}:
                    trace = str(message["error"].get("traceback", ""))
                    told = text if kind in EXPECTED else f"{kind}: {text}"
                    raise self._fault("python_error", told, trace, kind)
                case _:
                    raise self._fault("protocol_error", f"unknown message {message!r:.80}")

    def close(self) -> None:
        """Let the worker end by itself: it leaves when its requests end."""
        with self._pipes:
            if self._requests >= 0:
                os.close(self._requests)
                self._requests = -1
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the whole process group, by SIGTERM first; then free pipes and folder.

        Any thread may call it: a call that waits in another one ends as the process does.
        """
        if self._replies < 0:
            return  # done already
        if self._process.poll() is None:
            self._signal_group(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
        # Also after a good end: a child of the worker may still be there.
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._log.join()
        with self._pipes:
            if self._replies < 0:
                return  # done already
            self._selector.close()
            for descriptor in (self._requests, self._replies):
                if descriptor >= 0:
                    os.close(descriptor)
            self._requests = self._replies = -1
            self._folder.cleanup()

    def _next_message(self) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                for message in self._messages:
                    return message
            except wire.WireError as error:
                raise self._fault("protocol_error", str(error)) from error
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._silence()
            alive = self._process.poll() is None
            if self._selector.select(min(remaining, POLL_SECONDS) if alive else 0):
                chunk = os.read(self._replies, 1 << 16)
                if not chunk:
                    raise self._death()
                self._messages = self._splitter.feed(chunk)
            elif not alive:
                raise self._death()

    def _check_identity(self, hello: dict[str, Any]) -> None:
        expected = {
            "backend": self.lane.backend,
            "device": self.lane.device,
            "floatx": "float32",
            "epsilon": 1e-7,
            "image_data_format": "channels_last",
        }
        for name, value in expected.items():
            if hello.get(name) != value:
                raise WorkerError(
                    "wrong_environment",
                    f"{self.lane.id} on {self.lane.device}: {name} is "
                    f"{hello.get(name)!r}, wanted {value!r} ({self.lane.python})",
                    self._log.text(),
                )

    def _silence(self) -> WorkerError:
        self._signal_group(signal.SIGUSR1)  # faulthandler writes all stacks to the log
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return self._fault("timed_out", f"silent for {self._timeout:.0f} s")

    def _death(self) -> WorkerError:
        try:
            code = self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return self._fault("protocol_error", "closed its pipe before answering")
        self._log.join()
        if code == -signal.SIGKILL and _oom_kills() > self._oom_kills:
            largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10  # Linux alone
            return self._fault(
                "out_of_memory",
                f"killed by the system: out of memory (the largest worker so far had {largest:,} "
                "MiB); take a smaller --batch-size or a machine with more",
            )
        if code < 0:
            return self._fault("crashed", f"killed by {signal.Signals(-code).name}")
        if code == 0:
            return self._fault("protocol_error", "left before answering")
        return self._fault("crashed", f"left with exit code {code}")

    def _fault(self, status: str, what: str, log: str = "", kind: str = "") -> WorkerError:
        lane = f"{self.lane.name} on {self.lane.device}"
        return WorkerError(status, f"{lane}: {what}", log or self._log.text(), kind)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class _LogTail:
    """Reads what a process prints, so that it never blocks, and keeps the end of it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._tail = bytearray()
        self._stream = process.stdout
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def text(self) -> str:
        return self._tail.decode("utf-8", "backslashreplace")

    def join(self) -> None:
        # Bounded: something that left the group may hold the pipe open for ever.
        self._thread.join(GRACE_SECONDS)

    def _drain(self) -> None:
        assert self._stream is not None  # noqa: S101 - Popen was given a pipe
        with self._stream as stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                self._tail = (self._tail + chunk)[-LOG_BYTES:]


def _oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started."""
    for line in (kernel_file("/proc/vmstat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0
