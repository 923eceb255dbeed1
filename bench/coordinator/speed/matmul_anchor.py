"""The anchor lane: a float32 matrix product in NumPy, what this machine can do at its best.

It takes part in every round. Its rate is the peak that utilisation is a share of, and its
spread, the work being always the same, grades the noise of the machine.
"""

import time

import numpy as np

from bench.contract.speed_schema import Anchor as AnchorRecord

SIZE = 768
FLOPS = 2 * SIZE**3
REPEATS = 5


class Anchor:
    """Two matrices, made once."""

    def __init__(self) -> None:
        """Draw them, and let the library start its threads."""
        generator = np.random.default_rng(0)
        self._a, self._b = generator.random((2, SIZE, SIZE), dtype=np.float32)
        self._out = np.empty_like(self._a)
        self.measure()

    def measure(self, number: int = 1) -> AnchorRecord:
        """The median product of a few, in round `number`."""
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            np.matmul(self._a, self._b, out=self._out)
            seconds.append(time.perf_counter() - start)
        return AnchorRecord(number, sorted(seconds)[REPEATS // 2], FLOPS)
