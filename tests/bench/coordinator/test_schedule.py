from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.coordinator.speed import turn_order


def neighbours(orders: list[list[int]]) -> Counter[tuple[int, int]]:
    return Counter((a, b) for order in orders for a, b in pairwise(order))


@pytest.mark.parametrize("lanes", range(2, 9))
def test_a_block_is_balanced_in_places_and_in_neighbours(lanes: int) -> None:
    block = turn_order.williams(lanes)
    for place in range(lanes):
        counts = Counter(order[place] for order in block)
        assert set(counts.values()) == {len(block) // lanes}
    pairs = neighbours(block)
    assert len(pairs) == lanes * (lanes - 1)
    assert len(set(pairs.values())) == 1


def test_three_lanes_are_the_six_orders() -> None:
    orders = {"".join("ABC"[lane] for lane in order) for order in turn_order.williams(3)}
    assert orders == {"ABC", "BCA", "CAB", "ACB", "CBA", "BAC"}


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 1000))
def test_rounds_keep_the_balance_of_their_blocks(lanes: int, count: int, seed: int) -> None:
    orders = turn_order.rounds(lanes, count, seed)
    assert len(orders) == count
    assert all(sorted(order) == list(range(lanes)) for order in orders)
    size = len(turn_order.williams(lanes))
    for start in range(0, count - size + 1, size):
        block = sorted(orders[start : start + size])
        assert block == sorted(turn_order.williams(lanes))


@given(st.integers(3, 6), st.integers(0, 1000))
def test_a_lane_rarely_follows_itself(lanes: int, seed: int) -> None:
    orders = turn_order.rounds(lanes, 60, seed)
    repeats = sum(a[-1] == b[0] for a, b in pairwise(orders))
    assert repeats <= 60 // len(turn_order.williams(lanes)) * 2


def test_the_order_is_that_of_its_seed() -> None:
    assert turn_order.rounds(4, 20, 1) == turn_order.rounds(4, 20, 1)
    assert turn_order.rounds(4, 20, 1) != turn_order.rounds(4, 20, 2)


def test_one_lane_is_a_schedule_too() -> None:
    assert turn_order.rounds(1, 3, 0) == [[0], [0], [0]]
