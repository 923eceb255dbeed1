"""Hands seconds that were measured elsewhere to pytest-benchmark, which records them."""

from collections.abc import Sequence
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture


class ReplayClock:
    """A timer for pytest-benchmark that stands still except where a measured time is played."""

    def __init__(self) -> None:
        """Start at zero."""
        self._now = 0.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self._now

    def play(self, seconds: float) -> None:
        """Let this time pass."""
        self._now += seconds

    def rewind(self) -> None:
        """Back to zero, so that no sum ever rounds a measured value."""
        self._now = 0.0


CLOCK = ReplayClock()


def record(
    benchmark: BenchmarkFixture, group: str, seconds: Sequence[float], info: dict[str, Any]
) -> None:
    """Store measured rounds in the pytest-benchmark of a test marked with `timer=CLOCK`.

    Args:
        benchmark: The fixture.
        group: What belongs beside each other in `pytest-benchmark compare`.
        seconds: One value per round, in measured order.
        info: Goes to `extra_info`.
    """
    rounds = iter(seconds)
    benchmark.group = group
    benchmark.extra_info.update(info)
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: CLOCK.play(next(rounds)), setup=CLOCK.rewind, rounds=len(seconds), iterations=1
    )
