"""In what precision a model computes, as its layers' policies say."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from bench.contract.rungs import UNIT_ROUNDOFF
from bench.worker.loops.state import all_layers


def of(model: keras.Model) -> str:
    """The least precision that a layer was told to compute in; of float64, float32.

    In a reference it computes in float64 all the same: see `bench.worker.parity.float64`.
    """
    names = (layer.dtype_policy.name.removeprefix("mixed_") for layer in all_layers(model))
    found = set(names) & UNIT_ROUNDOFF.keys()
    return max(found, key=lambda dtype: UNIT_ROUNDOFF[dtype], default="float32")


@contextmanager
def policy_restored() -> Iterator[None]:
    """Give back the policy that new layers get: a user's file may set one, for itself alone."""
    before = keras.config.dtype_policy()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
