"""In what precision a model computes: as its layers say, and in float64 where it is a reference."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from bench.contract.rungs import UNIT_ROUNDOFF
from bench.worker.loops.state import all_layers


def of(model: keras.Model) -> str:
    """The least precision that a layer computes in; float64 counts as float32, the lane's own."""
    found = {layer.compute_dtype for layer in all_layers(model)} & UNIT_ROUNDOFF.keys()
    return max(found, key=lambda dtype: UNIT_ROUNDOFF[dtype], default="float32")


def widen(model: keras.Model) -> None:
    """Have all layers compute in float64, whatever they were told when they were made."""
    for layer in all_layers(model):
        if layer.compute_dtype not in UNIT_ROUNDOFF:  # integers stay what they are
            continue
        layer.dtype_policy = keras.DTypePolicy("float64")


@contextmanager
def policy_restored() -> Iterator[None]:
    """Give back the policy that new layers get: a user's file may set one, for itself alone."""
    before = keras.config.dtype_policy()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
