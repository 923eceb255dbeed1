"""The distributions of Keras's initializers, on samples large enough to tell them apart."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.inputs.initializers import Initializer

SHAPE = (3, 3, 64, 128)
INPUTS, OUTPUTS = 9 * 64, 9 * 128
CUT = stats.truncnorm(-2, 2).std()


def drawn(*given: Any, shape: tuple[int, ...] = SHAPE, **named: Any) -> NDArray[np.float32]:
    return Initializer(*given, **named).draw(np.random.default_rng(0), shape)


@pytest.mark.parametrize(
    ("initializer", "cdf"),
    [
        # Glorot uniform: within sqrt(6 / (inputs + outputs)).
        (
            Initializer("uniform", mode="fan_avg"),
            stats.uniform(
                -np.sqrt(6 / (INPUTS + OUTPUTS)), 2 * np.sqrt(6 / (INPUTS + OUTPUTS))
            ).cdf,
        ),
        # He normal: variance 2 / inputs after the cut.
        (
            Initializer("truncated_normal", spread=2.0, mode="fan_in"),
            stats.truncnorm(-2, 2, scale=np.sqrt(2 / INPUTS) / CUT).cdf,
        ),
        (
            Initializer("normal", spread=1.0, mode="fan_out"),
            stats.norm(scale=np.sqrt(1 / OUTPUTS)).cdf,
        ),
        (Initializer("uniform", 0.2, 0.05), stats.uniform(0.15, 0.1).cdf),
        (Initializer("normal", 1.0, 0.5), stats.norm(1.0, 0.5).cdf),
        (Initializer("truncated_normal", 0.0, 0.02), stats.truncnorm(-2, 2, scale=0.02).cdf),
    ],
)
def test_draws_are_of_the_distribution(initializer: Initializer, cdf: Callable[..., Any]) -> None:
    sample = initializer.draw(np.random.default_rng(0), SHAPE)
    assert sample.shape == SHAPE
    assert sample.dtype == np.float32
    assert stats.kstest(sample.ravel(), cdf).pvalue > 0.001


@pytest.mark.parametrize("shape", [(64, 32), (32, 64), (3, 3, 8, 16)])
def test_an_orthogonal_matrix_has_rows_or_columns_of_the_gain(shape: tuple[int, ...]) -> None:
    matrix = drawn("orthogonal", spread=2.0, shape=shape).reshape(-1, shape[-1])
    small = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    assert small == pytest.approx(4 * np.eye(len(small)), abs=1e-5)


def test_a_dense_kernel_counts_inputs_and_outputs() -> None:
    kernel = drawn("uniform", mode="fan_avg", shape=(300, 100))
    assert abs(kernel).max() == pytest.approx(np.sqrt(6 / 400), rel=1e-3)


@pytest.mark.parametrize("shape", [(5,), ()])
def test_a_vector_is_its_own_fan(shape: tuple[int, ...]) -> None:
    limit = np.sqrt(3 / (shape[0] if shape else 1))
    assert np.abs(drawn("uniform", mode="fan_avg", shape=shape)).max() <= limit
