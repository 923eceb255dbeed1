"""Keras's Adam as the frameworks' own fused kernels need it: numbers, and moments by weight."""

from dataclasses import dataclass
from typing import Any, Self

import keras

from models.native import Adam

NUMBERS = ("learning_rate", "beta_1", "beta_2", "epsilon")


@dataclass(frozen=True)
class KerasAdam:
    """An optimizer whose step a fused kernel can take.

    Attributes:
        numbers: Rate, decays and epsilon.
        momentum: First moment of each trained weight, a `keras.Variable`.
        velocity: Second moment of each.
    """

    numbers: Adam
    momentum: list[Any]
    velocity: list[Any]

    @classmethod
    def of(cls, model: keras.Model) -> Self | None:
        """That of a model; None if it is another, or one that does more than Kingma & Ba's."""
        optimizer, plain = model.optimizer, keras.optimizers.Adam()
        config = optimizer.get_config()
        usual = plain.get_config() | {name: config.get(name) for name in (*NUMBERS, "name")}
        is_schedule = not isinstance(config.get("learning_rate"), float)
        constrained = any(weight.constraint for weight in model.trainable_variables)
        # A backend has its own class behind the public name.
        own = type(optimizer) is not type(plain) or config != usual
        if own or is_schedule or constrained:
            return None
        named = {variable.path.rpartition("/")[2]: variable for variable in optimizer.variables}
        paths = [weight.path.replace("/", "_") for weight in model.trainable_variables]
        momentum, velocity = (
            [named[f"{path}_{name}"] for path in paths] for name in ("momentum", "velocity")
        )
        return cls(Adam(*(config[name] for name in NUMBERS)), momentum, velocity)
