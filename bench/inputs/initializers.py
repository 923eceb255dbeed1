"""The distributions of Keras's random initializers, drawn by NumPy: the same on every backend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRUNCATED_STDDEV = 0.87962566103423978
"""Of a normal distribution of variance 1 that is cut off at two standard deviations."""


@dataclass(frozen=True)
class Initializer:
    """Where a weight comes from.

    Attributes:
        distribution: `uniform`, `normal`, `truncated_normal` or `orthogonal`.
        centre: Mean.
        spread: Half of a uniform distribution's width, a normal one's standard deviation (of a
            truncated one's, before it is cut off at two of them), an orthogonal matrix's gain; or
            with `mode` the numerator of the variance.
        mode: `fan_in`, `fan_out` or `fan_avg` divides the variance by so many connections; empty
            for none.
        axes: Which axes of the weight are inputs and which are outputs; None where they are the
            last two, and those before them a window.
    """

    distribution: str
    centre: float = 0.0
    spread: float = 1.0
    mode: str = ""
    axes: tuple[Sequence[int], Sequence[int]] | None = None

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A float32 array of this shape."""
        spread = self._spread(shape)
        match self.distribution:
            case "uniform":
                drawn = generator.uniform(self.centre - spread, self.centre + spread, shape)
            case "normal":
                drawn = generator.normal(self.centre, spread, shape)
            case "truncated_normal":
                drawn = self.centre + spread * _truncated(generator, shape)
            case _:
                drawn = spread * _orthogonal(generator, shape)
        return drawn.astype(np.float32)

    def _spread(self, shape: tuple[int, ...]) -> float:
        if not self.mode:
            return self.spread
        if self.axes is None:
            inputs, outputs = _fans(shape)
        else:
            inputs, outputs = (math.prod(shape[n] for n in axes) for axes in self.axes)
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        variance = self.spread / max(1.0, fan)
        if self.distribution == "uniform":
            return float(np.sqrt(3 * variance))
        cut = TRUNCATED_STDDEV if self.distribution == "truncated_normal" else 1.0
        return float(np.sqrt(variance) / cut)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Connections into and out of a unit: the last two axes, times the window before them."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = int(np.prod(shape[:-2]))
    return window * shape[-2], window * shape[-1]


def _truncated(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    drawn = generator.standard_normal(shape)
    while (beyond := np.abs(drawn) > 2).any():
        drawn[beyond] = generator.standard_normal(int(beyond.sum()))
    return drawn


def _orthogonal(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    tall = generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diag(r))
    return np.asarray((q if rows >= columns else q.T).reshape(shape))
