"""A model that is a class of its own, declares no inputs and gives logits."""

from typing import Any

import keras
from keras import layers


class Mixture(keras.Model):  # type: ignore[misc]
    """Two branches that share their first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = layers.Dense(16, activation="relu")
        self.left = layers.Dense(8, kernel_initializer="he_normal")
        self.right = layers.Dense(8, kernel_initializer="orthogonal")
        self.drop = layers.Dropout(0.2)
        self.answer = layers.Dense(3)

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.shared(x)
        x = keras.ops.relu(self.left(x)) + keras.ops.tanh(self.right(x))
        return self.answer(self.drop(x, training=training))


def build() -> keras.Model:
    return Mixture()
