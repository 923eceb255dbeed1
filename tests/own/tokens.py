"""Two models on sequences of tokens: an LSTM, and a block of a Transformer with tied weights."""

from typing import Any

import keras
from keras import layers, ops

VOCABULARY, LENGTH, WIDTH = 200, 20, 32


def lstm() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            layers.Embedding(VOCABULARY, 16),
            layers.LSTM(24, dropout=0.1),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model


class TiedEmbedding(layers.Layer):  # type: ignore[misc]
    """An embedding of tokens and places, whose table also makes the logits."""

    def build(self, _: Any) -> None:
        self.table = self.add_weight(shape=(VOCABULARY, WIDTH), name="table")
        self.places = self.add_weight(shape=(LENGTH, WIDTH), name="places")

    def call(self, x: Any, reverse: bool = False) -> Any:
        if reverse:
            return ops.matmul(x, ops.transpose(self.table))
        return ops.take(self.table, x, axis=0) + self.places


def transformer() -> keras.Model:
    tokens = keras.Input((LENGTH,), dtype="int32", name="tokens")
    embedding = TiedEmbedding(name="embedding")
    x = embedding(tokens)
    attended = layers.MultiHeadAttention(4, 8, dropout=0.1, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm_1")(x + attended)
    wide = layers.Dense(64, activation="gelu", name="wide")(x)
    x = layers.LayerNormalization(name="norm_2")(x + layers.Dense(WIDTH, name="narrow")(wide))
    model = keras.Model(tokens, embedding(x, reverse=True))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adamw", loss=loss)
    return model
