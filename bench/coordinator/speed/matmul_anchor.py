"""The anchor lane: a float32 matrix product in NumPy, what this machine can do at its best.

It takes part in every round. Its rate is the peak that utilisation is a share of, and its
spread, the work being always the same, grades the noise of the machine.
"""

import time
from typing import Any

import numpy as np

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

    def measure(self) -> dict[str, Any]:
        """`seconds` of the median product of a few, and its `flops`."""
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            np.matmul(self._a, self._b, out=self._out)
            seconds.append(time.perf_counter() - start)
        return {"seconds": sorted(seconds)[REPEATS // 2], "flops": FLOPS}
