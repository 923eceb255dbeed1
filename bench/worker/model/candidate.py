"""A model in one of its variants, in a worker: trained, asked, and given back as it was."""

import importlib

import keras

import models
from bench.contract import variants
from bench.contract.units import ModelRequest
from bench.inputs.examples import Examples
from bench.worker.model import building
from bench.worker.model.building import ModelError
from bench.worker.model.keras_fit import CustomLoop, KerasFit
from bench.worker.model.native import Native
from models.lowering import has_steps_of_its_own

Candidate = KerasFit | Native
"""What can be timed and compared, whoever computes it; they have the same methods."""


def build(request: ModelRequest, some: Examples | None) -> Candidate:
    """Build a model in its variant.

    Args:
        request: Which.
        some: Examples, as `bench.worker.model.building.build` takes them.

    Raises:
        ModelError: It cannot be used.
        DataError: The examples do not fit.
    """
    backend = keras.backend.backend()
    loop = importlib.import_module(f"bench.worker.loops.{backend}")
    built = building.build(request, some)
    if request.variant == variants.NATIVE:
        if request.source not in models.twins():
            raise ModelError(f"{request.name}: it has no native twin")
        return Native(built, request.source)
    switched_on = variants.settings(request.variant, backend, loop.device())
    lowering, model = variants.with_lowering(switched_on), built.model
    if lowering:
        model = building.lowered(request, model, lowering)
    if variants.COMPILED in switched_on:
        model.jit_compile = True
    # A loop would leave out what the model's own step does, and what `fit` does at its end.
    own = has_steps_of_its_own(model) or model.optimizer.use_ema
    looped = variants.LOOP in switched_on and not own
    return (CustomLoop if looped else KerasFit)(built, model)
