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
    # A model around layers computes nothing itself, and has the policy that it was built under.
    whole = all_layers(model)
    around = (keras.Model, keras.layers.InputLayer)
    own = [layer for layer in whole if not isinstance(layer, around)] or whole
    names = (layer.dtype_policy.name.removeprefix("mixed_") for layer in own)
    found = set(names) & UNIT_ROUNDOFF.keys()
    return max(found, key=lambda dtype: UNIT_ROUNDOFF[dtype], default="float32")


def held(model: keras.Model) -> str:
    """The least precision that a weight is held in; of float64, float32."""
    found = {weight.dtype for weight in model.weights} & UNIT_ROUNDOFF.keys()
    return max(found, key=lambda dtype: UNIT_ROUNDOFF[dtype], default="float32")


_lane = ""


def of_lane(policy: str) -> None:
    """Build all models from now on with a dtype policy; none where it is empty."""
    global _lane
    _lane = policy


@contextmanager
def policy_restored() -> Iterator[None]:
    """Build with the lane's policy, and give back the one before.

    A user's file may set one too, for itself alone.
    """
    before = keras.config.dtype_policy()
    try:
        if _lane:
            keras.config.set_dtype_policy(_lane)
        yield
    finally:
        keras.config.set_dtype_policy(before)


def mistaken(model: keras.Model) -> str:
    """Why a model is not what its lane says; empty if it is."""
    wanted, found = _lane.removeprefix("mixed_"), of(model)
    if not wanted or wanted == found:
        return ""
    return f"its lane computes in {wanted}, and its layers in {found}"
