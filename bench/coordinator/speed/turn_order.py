"""In which order the lanes take their turns: balanced, so that no order effect favours a lane."""

import random


def rounds(lanes: int, count: int, seed: int) -> list[list[int]]:
    """Orders of `count` rounds over the lanes 0 ... `lanes` - 1.

    Each block of rounds is a Williams design: in it every lane stands equally often at every
    place and follows every other lane equally often. The rounds of a block come in random order,
    except that no lane ends one round and begins the next.

    Args:
        lanes: How many lanes take turns.
        count: How many rounds; whole blocks (as many as `williams` has) are balanced exactly.
        seed: Seed of the random order within blocks.

    Returns:
        One list of lanes per round.
    """
    generator = random.Random(seed)  # noqa: S311 - balance is wanted, not secrecy
    orders: list[list[int]] = []
    while len(orders) < count:
        block = williams(lanes)
        generator.shuffle(block)
        while block:
            last = orders[-1][-1] if orders else None
            # Where every order left begins with that lane, balance is worth more than the pause.
            fitting = next((i for i, order in enumerate(block) if order[0] != last), 0)
            orders.append(block.pop(fitting))
    return orders[:count]


def williams(lanes: int) -> list[list[int]]:
    """A Williams design: a Latin square balanced for neighbours; two squares for odd counts.

    Source: E. J. Williams, Experimental designs balanced for the estimation of residual effects
    of treatments, 1949.
    """
    # 0, 1, n-1, 2, n-2, ...: the differences of neighbours are all distinct modulo n.
    first = [(i + 1) // 2 if i % 2 else (lanes - i // 2) % lanes for i in range(lanes)]
    square = [[(place + shift) % lanes for place in first] for shift in range(lanes)]
    if lanes % 2 == 0 or lanes == 1:
        return square
    return square + [row[::-1] for row in square]
