import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.inputs import draws
from bench.inputs.initializers import Initializer

GLOROT = Initializer("uniform", mode="fan_avg")
WEIGHTS: list[tuple[Initializer | None, tuple[int, ...]]] = [(GLOROT, (5, 5, 1, 16)), (None, (16,))]


def drawn(seed: int, layer: int) -> NDArray[np.float32]:
    kernel, bias = draws.initial_weights(seed, layer, WEIGHTS)
    assert kernel is not None
    assert bias is None
    return kernel


def test_weights_depend_on_seed_and_layer_alone() -> None:
    first = drawn(0, 0)
    assert np.array_equal(first, drawn(0, 0))
    assert not np.array_equal(first, drawn(1, 0))
    assert not np.array_equal(first, drawn(0, 1))


def test_batch_order_is_a_permutation_of_its_own_for_each_seed_and_epoch() -> None:
    orders = [draws.batch_order(seed, epoch, 1000) for seed in (0, 1) for epoch in (0, 1)]
    for one in orders:
        assert sorted(one) == list(range(1000))
    assert len({one.tobytes() for one in orders}) == 4


def test_draws_are_the_same_in_another_process() -> None:
    code = (
        "from bench.inputs import draws;from tests.bench.inputs.test_order import drawn;"
        "print(draws.arrays_sha256([drawn(3, 2), draws.batch_order(3, 1, 500)]))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here: list[NDArray[Any]] = [drawn(3, 2), draws.batch_order(3, 1, 500)]
    assert told.stdout.strip() == draws.arrays_sha256(here)


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
    assert len({draws.arrays_sha256(arrays) for arrays in variants}) == len(variants)


def test_hash_does_not_see_the_memory_layout() -> None:
    a: NDArray[Any] = np.arange(6.0).reshape(2, 3)
    assert draws.arrays_sha256([a]) == draws.arrays_sha256([np.asfortranarray(a)])


def test_a_nudge_is_one_unit_in_the_last_place_and_drawn_anew_each_time() -> None:
    weights = [np.linspace(-1, 1, 1000, dtype=np.float32), np.zeros(3, np.float32)]
    perturbed = draws.perturbed(weights, 0, 5)
    for before, after in zip(weights, perturbed, strict=True):
        assert after.dtype == np.float32
        up, down = (np.nextafter(before, np.float32(end)) for end in (np.inf, -np.inf))
        assert ((after == up) | (after == down)).all()
    moved_up = (perturbed[0] > weights[0]).mean()
    assert 0.4 < moved_up < 0.6
    for neighbour, step in ((1, 5), (0, 10)):
        other = draws.perturbed(weights, neighbour, step)[0]
        assert 0.4 < (other == perturbed[0]).mean() < 0.6
    assert np.array_equal(draws.perturbed(weights, 0, 5)[0], perturbed[0])


def test_probe_weights_move_what_would_hide_a_fault_and_nothing_else() -> None:
    kernel, trained = drawn(3, 0), np.array([0.5, 1, 0], np.float32)
    zeros, ones = np.zeros(16, np.float32), np.ones(16, np.float32)
    count: NDArray[Any] = np.zeros(3, np.int32)
    scalar = np.zeros((), np.float32)
    moved = draws.probe_weights(3, [kernel, zeros, ones, trained, count, scalar])
    for before, after in zip(
        [kernel, trained, count, scalar], [*moved[:1], *moved[3:]], strict=True
    ):
        assert np.array_equal(before, after)
    for before, after in ((zeros, moved[1]), (ones, moved[2])):
        assert 0 < np.abs(after - before).min() <= np.abs(after - before).max() <= 0.1 + 1e-7
        assert after.dtype == np.float32


def test_a_nudge_leaves_whole_numbers_alone() -> None:
    count: NDArray[Any] = np.arange(3)
    assert np.array_equal(draws.perturbed([count], 0, 0)[0], count)
