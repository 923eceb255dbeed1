"""Times steps from before the first until the last has really been done."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras


class StepClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Times the steps of one call, as a callback of Keras or around a loop without it.

    It can work on for a share of that time, as slower code would: `bench.selfcheck` does so. It
    listens to no batch, which would end Keras's asynchronous dispatch on JAX and torch.

    Attributes:
        seconds: The result, after the call.
    """

    def __init__(self, wait: Callable[[], None], slowdown: float) -> None:
        """Time with `wait`, which returns when all that was dispatched is done."""
        super().__init__()
        self._wait = wait
        self._slowdown = slowdown
        self._start = self.seconds = math.nan

    def begin(self, *_: object) -> None:
        """Start timing."""
        self._start = time.perf_counter()

    def end(self, *_: object) -> None:
        """Wait, and stop."""
        self._wait()
        self.seconds = needed = time.perf_counter() - self._start
        while self.seconds < self._slowdown * needed:
            self.seconds = time.perf_counter() - self._start

    on_epoch_begin = on_test_begin = on_predict_begin = begin
    on_epoch_end = on_test_end = on_predict_end = end


@contextmanager
def timing(clock: StepClock | None) -> Iterator[None]:
    """Time what is done inside, if somebody wants to know."""
    if clock is None:
        yield
        return
    clock.begin()
    yield
    clock.end()
