"""What may be said of a mean of paired differences: its t-interval, and two one-sided tests."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Paired:
    """Differences of the errors of paired trainings, at least two, in points.

    Their standard deviation is never taken for less than `one_image`: three trainings that happen
    to differ by the same count would else prove anything.
    """

    differences: NDArray[np.float64]
    one_image: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """t-interval of their mean."""
        low, high = stats.t.interval(confidence, self._freedom(), self._mean(), self._error())
        return float(low), float(high)

    def p_value(self) -> float:
        """Two-sided, of "their mean is 0"."""
        return float(2 * stats.t.sf(abs(self._mean()) / self._error(), self._freedom()))

    def equivalence_p(self, margin: float) -> float:
        """The larger p-value of two one-sided tests of "their mean is `margin` or more from 0"."""
        return float(stats.t.sf((margin - abs(self._mean())) / self._error(), self._freedom()))

    def _freedom(self) -> int:
        return len(self.differences) - 1

    def _mean(self) -> float:
        return float(self.differences.mean())

    def _error(self) -> float:
        sd = max(self.differences.std(ddof=1), self.one_image)
        return float(sd / np.sqrt(len(self.differences)))
