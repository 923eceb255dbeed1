"""What a backend and the oracle have answered, what is found by comparing, and how bad that is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import rungs

Array = NDArray[np.float64]

UNIT_ROUNDOFF = rungs.UNIT_ROUNDOFF["float32"]
"""Relative error of the best float32 answer: the rounding floor that errors are told in."""

TOLERANCES = {
    "P2 output": (5e-6, 5e-5),
    "P3 loss": (1e-6, 1e-5),
    "P3 gradient": (1e-5, 1e-4),
    "P4 sgd": (1e-5, 1e-4),
    "P4 adam": (1e-4, 1e-3),
    "P5 distance": (5.0, 10.0),
    "P5 steps": (1e-3, 1e-2),
    "P6 output": (5e-6, 5e-5),
    "P8 loss": (1e-6, 1e-5),
    # Sums over a large batch, whose terms may cancel: see docs/parity.md.
    "P9 gradient": (1e-3, 1e-2),
    "P3 dropout": (5.0, 8.0),
    # A fault of Keras's that is known: see `reports.ladder.file_rungs`.
    "known": (0.0, np.inf),
    "exact": (0.0, 0.0),
}
"""Warn and fail above these; docs/parity.md says how they were calibrated."""

HALF_ROUNDINGS = (4.0, 16.0)
"""Warn and fail for half precision, in roundings of that, where they are more."""

HALF_SPREADS = (2.0, 4.0)
"""Or in spreads, where that is more: what so many roundings do to an error that grows with their
root, as that of a gradient does whose ReLUs change sides."""

ROUNDED = frozenset(TOLERANCES) - {"P5 distance", "P3 dropout", "known", "exact"}
"""Tolerances of what is rounded."""

SPREADS = (1.0, 10.0)
"""Or in float32 above so many spreads, where that is more: a model may magnify what rounding does
to it. A spread is what `SPREAD_UNITS` roundings of the weights do, in half precision one.
"""

SPREAD_UNITS = 10


@dataclass(frozen=True)
class Answers:
    """What was answered: facts by probe, and arrays by `<probe>.<name>`."""

    facts: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, NDArray[Any]]

    def numbered(self, name: str) -> list[Array]:
        """Arrays `<name>0`, `<name>1` ... in float64; a single number is one of shape (1,)."""
        found: list[Array] = []
        while (key := f"{name}{len(found)}") in self.arrays:
            found.append(np.atleast_1d(self.arrays[key]).astype(np.float64))
        return found


@dataclass(frozen=True)
class Finding:
    """One quantity of one rung.

    Attributes:
        rung: `P0` to `P9`.
        quantity: What was compared.
        value: How far it is off; `docs/parity.md` says in what.
        tolerance: Key of `TOLERANCES`.
        floor: The value that rounding alone would give, in the precision in question; NaN where
            there is none.
        spread: What becomes of the exact answer when the weights are moved by ten roundings of
            float32, or one of half precision, told as `value` is; 0 where nobody has measured it.
        unit: Rounding of the precision that the model computes in.
    """

    rung: str
    quantity: str
    value: float
    tolerance: str
    floor: float = field(default=float("nan"))
    spread: float = 0.0
    unit: float = UNIT_ROUNDOFF

    @property
    def warn(self) -> float:
        """Above this it is a warning."""
        return self._limit(0)

    @property
    def fail(self) -> float:
        """Above this it is a failure."""
        return self._limit(1)

    def _limit(self, which: int) -> float:
        limit = TOLERANCES[self.tolerance][which]
        if self.unit == UNIT_ROUNDOFF:
            return max(limit, SPREADS[which] * self.spread)
        rounding = np.nanmax([self.unit, self.floor]) if self.tolerance in ROUNDED else 0.0
        spread = HALF_SPREADS[which] * self.spread
        return max(limit, spread, HALF_ROUNDINGS[which] * float(rounding))

    @property
    def floors(self) -> float:
        """The value in what one rounding gives, be it of the answer or of the weights."""
        if np.isnan(self.floor):
            return np.nan
        unit = max(self.floor, self.spread / (SPREAD_UNITS if self.unit == UNIT_ROUNDOFF else 1))
        return self.value / unit if unit else np.inf if self.value else 0.0

    @property
    def status(self) -> str:
        """`pass`, `warn` or `fail`; a value that is no number fails."""
        if self.value <= self.warn:
            return "pass"
        return "warn" if self.value <= self.fail else "fail"


def count_of(rung: str, quantity: str, differences: float) -> Finding:
    """A finding that is a number of differences, of which none is allowed."""
    return Finding(rung, quantity, float(differences), "exact")


def largest_error(own: NDArray[Any], true: NDArray[Any]) -> float:
    """Largest absolute error over the largest value; what is finite on one side only is infinite.

    A model may make something else of zeros than numbers, and does so everywhere.
    """
    known = np.isfinite(true)
    if not np.array_equal(np.isfinite(own), known):
        return np.inf
    scale = np.abs(true[known]).max(initial=0.0) or 1.0
    return float(np.abs(own[known].astype(np.float64) - true[known]).max(initial=0.0) / scale)


def norm(array: Array) -> float:
    """Euclidean norm of all elements."""
    return float(np.linalg.norm(array))


def or_infinite(value: float) -> float:
    """The value; infinity for what is no number, so that it is worse than all else."""
    return float(value) if np.isfinite(value) else np.inf
