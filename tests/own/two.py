"""Two inputs by name, two outputs: a class and a number, each with its own loss."""

from typing import Any

import keras
from keras import layers


def build() -> keras.Model:
    image = keras.Input((16, 16, 1), name="image")
    table = keras.Input((5,), name="table")
    x = layers.Conv2D(8, 3, activation="relu")(image)
    x = layers.Concatenate()([layers.Flatten()(x), layers.Dense(16, activation="tanh")(table)])
    x = layers.Dense(32, activation="relu")(x)
    return keras.Model(
        {"image": image, "table": table},
        {
            "kind": layers.Dense(4, activation="softmax", name="kind")(x),
            "size": layers.Dense(1, name="size")(x),
        },
    )


def compile_options() -> dict[str, Any]:
    return {
        "optimizer": "adam",
        "loss": {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        "loss_weights": {"kind": 1.0, "size": 0.5},
    }
