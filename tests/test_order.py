import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench import order

SHAPES = [(5, 5, 1, 16), (16,)]


def test_kernels_are_glorot_uniform_and_biases_zero() -> None:
    kernel, bias = order.initial_weights(0, 0, [(3, 3, 64, 128), (128,)])
    limit = np.sqrt(6 / (9 * (64 + 128)))
    uniform = stats.kstest(kernel.ravel(), stats.uniform(-limit, 2 * limit).cdf)
    assert uniform.pvalue > 0.001
    assert abs(kernel).max() <= limit
    assert not bias.any()
    assert kernel.dtype == bias.dtype == np.float32


def test_dense_kernel_counts_inputs_and_outputs() -> None:
    (kernel,) = order.initial_weights(0, 0, [(300, 100)])
    assert abs(kernel).max() == pytest.approx(np.sqrt(6 / 400), rel=1e-3)


def test_weights_depend_on_seed_and_layer_alone() -> None:
    first = order.initial_weights(0, 0, SHAPES)[0]
    assert np.array_equal(first, order.initial_weights(0, 0, SHAPES)[0])
    assert not np.array_equal(first, order.initial_weights(1, 0, SHAPES)[0])
    assert not np.array_equal(first, order.initial_weights(0, 1, SHAPES)[0])


def test_batch_order_is_a_permutation_of_its_own_for_each_seed_and_epoch() -> None:
    orders = [order.batch_order(seed, epoch, 1000) for seed in (0, 1) for epoch in (0, 1)]
    for one in orders:
        assert sorted(one) == list(range(1000))
    assert len({one.tobytes() for one in orders}) == 4


def test_draws_are_the_same_in_another_process() -> None:
    code = (
        "from bench import order;"
        f"print(order.arrays_sha256([*order.initial_weights(3, 2, {SHAPES}),"
        " order.batch_order(3, 1, 500)]))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here: list[NDArray[Any]] = [*order.initial_weights(3, 2, SHAPES), order.batch_order(3, 1, 500)]
    assert told.stdout.strip() == order.arrays_sha256(here)


def test_hash_sees_values_types_shapes_and_order() -> None:
    a = np.arange(6, dtype=np.float32)
    b = np.ones(2, np.float32)
    variants: list[list[NDArray[Any]]] = [
        [a, b],
        [b, a],
        [a.reshape(2, 3), b],
        [a.astype(np.float64), b],
        [a + 1, b],
    ]
    assert len({order.arrays_sha256(arrays) for arrays in variants}) == len(variants)


def test_hash_does_not_see_the_memory_layout() -> None:
    a: NDArray[Any] = np.arange(6.0).reshape(2, 3)
    assert order.arrays_sha256([a]) == order.arrays_sha256([np.asfortranarray(a)])


def test_a_nudge_is_one_unit_in_the_last_place_and_drawn_anew_each_time() -> None:
    weights = [np.linspace(-1, 1, 1000, dtype=np.float32), np.zeros(3, np.float32)]
    nudged = order.nudged(weights, 0, 5)
    for before, after in zip(weights, nudged, strict=True):
        assert after.dtype == np.float32
        up, down = (np.nextafter(before, np.float32(end)) for end in (np.inf, -np.inf))
        assert ((after == up) | (after == down)).all()
    moved_up = (nudged[0] > weights[0]).mean()
    assert 0.4 < moved_up < 0.6
    for neighbour, step in ((1, 5), (0, 10)):
        other = order.nudged(weights, neighbour, step)[0]
        assert 0.4 < (other == nudged[0]).mean() < 0.6
    assert np.array_equal(order.nudged(weights, 0, 5)[0], nudged[0])


def test_probe_weights_are_initial_ones_with_biases_that_show() -> None:
    kernels = [(5, 5, 1, 16)], [(200, 10)]
    shapes = [[*kernels[0], (16,)], [], [*kernels[1], (10,)]]
    drawn = order.probe_weights(3, shapes)
    assert [weight.shape for weight in drawn] == [(5, 5, 1, 16), (16,), (200, 10), (10,)]
    assert np.array_equal(drawn[0], order.initial_weights(3, 0, shapes[0])[0])
    assert np.array_equal(drawn[2], order.initial_weights(3, 2, shapes[2])[0])
    assert all((np.abs(bias) > 0).all() and np.abs(bias).max() <= 0.1 for bias in drawn[1::2])
    assert all(weight.dtype == np.float32 for weight in drawn)
