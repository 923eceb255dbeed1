"""Models that remember, draw when they predict, look numbers up, or compute in half precision."""

from typing import Any

import keras
from keras import layers, ops


def remembers() -> keras.Model:
    """Its state goes on from batch to batch, so a batch has one size."""
    series = keras.Input(batch_shape=(8, 5, 2), name="series")
    x = layers.LSTM(4, stateful=True, name="memory")(series)
    return keras.Model(series, layers.Dense(1, name="next")(x))


def averages() -> keras.Model:
    """Its weights are replaced by their moving means at the end of each `fit`."""
    row = keras.Input((8,), name="row")
    x = layers.Dense(6, activation="tanh", name="hidden")(row)
    model = keras.Model(row, layers.Dense(1, name="answer")(x))
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer=optimizer, loss="mse")
    return model


class Draw(layers.Layer):  # type: ignore[misc]
    """A point near what is given, also when it predicts."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, inputs: Any) -> Any:
        return inputs + keras.random.normal(ops.shape(inputs), seed=self.seed_generator)


def draws() -> keras.Model:
    """Nothing after the draw can be compared."""
    row = keras.Input((8,), name="row")
    x = layers.Dense(6, activation="relu", name="encode")(row)
    x = Draw(name="draw")(x)
    return keras.Model(row, layers.Dense(3, name="answer")(x))


class Constant(layers.Layer):  # type: ignore[misc]
    """Noise of one seed: the same in every call."""

    def call(self, inputs: Any) -> Any:
        return inputs + keras.random.normal(ops.shape(inputs), seed=42)


def constant() -> keras.Model:
    """What is drawn is found by moving examples in their batch."""
    row = keras.Input((8,), name="row")
    x = layers.Dense(6, name="encode")(row)
    return keras.Model(row, layers.Dense(3, name="answer")(Constant(name="noise")(x)))


class Centre(layers.Layer):  # type: ignore[misc]
    """Takes the mean of the batch off."""

    def call(self, inputs: Any) -> Any:
        return inputs - ops.mean(inputs, axis=0, keepdims=True)


class Alike(layers.Layer):  # type: ignore[misc]
    """How alike each example is to each other, shape (examples, examples)."""

    def call(self, inputs: Any) -> Any:
        return ops.matmul(inputs, ops.transpose(inputs))

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], shape[0])


def depends() -> keras.Model:
    """What an example gives depends on those beside it, in prediction and in training."""
    row = keras.Input((8,), name="row")
    x = Centre(name="centre")(layers.Dense(6, name="encode")(row))
    x = layers.BatchNormalization(name="norm")(x)
    near = layers.Lambda(lambda a: ops.mean(a, axis=1, keepdims=True), name="near")(
        Alike(name="alike")(x)
    )
    return keras.Model(row, layers.Dense(3, name="answer")(layers.Concatenate()([x, near])))


class DropPath(layers.Layer):  # type: ignore[misc]
    """Drops whole examples while it trains, from a source under a name of its own."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.source = keras.random.SeedGenerator(3)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        drawn = keras.random.uniform((ops.shape(inputs)[0], 1), seed=self.source)
        return inputs * ops.cast(drawn >= 0.2, inputs.dtype) / 0.8


def drops() -> keras.Model:
    """What draws in training alone is still on the ladder, whoever wrote it."""
    row = keras.Input((8,), name="row")
    x = DropPath(name="drop")(layers.Dense(6, name="encode")(row))
    return keras.Model(row, layers.Dense(3, name="answer")(x))


def logarithm() -> keras.Model:
    """Of 0 it makes no number."""
    row = keras.Input((8,), name="row")
    x = layers.Lambda(lambda a: ops.log(a), name="log")(row)
    return keras.Model(row, layers.Dense(3, name="answer")(x))


class Table(layers.Layer):  # type: ignore[misc]
    """A look-up of its own, of nine words."""

    def build(self, _: Any) -> None:
        self.table = self.add_weight(shape=(9, 4), name="table")

    def call(self, words: Any) -> Any:
        return ops.mean(ops.take(self.table, words, axis=0), axis=1)


def looks_up() -> keras.Model:
    """Words beyond its table are an error or no number."""
    words = keras.Input((5,), dtype="int32", name="words")
    return keras.Model(words, layers.Dense(3, name="answer")(Table(name="table")(words)))


def counts() -> keras.Model:
    """A layer in the middle gives integers, another booleans."""
    row = keras.Input((8,), name="row")
    ranks = layers.Lambda(lambda x: ops.argsort(x), name="ranks")(row)
    above = layers.Lambda(lambda x: x > 0, name="above")(row)
    x = layers.Lambda(
        lambda both: ops.cast(both[0], "float32") * ops.cast(both[1], "float32"), name="product"
    )([ranks, above])
    return keras.Model(row, layers.Dense(2, name="answer")(x))


def pooled_under_a_mask() -> keras.Model:
    """Of a text without a word it makes 0 / 0."""
    words = keras.Input((5,), dtype="int32", name="words")
    x = layers.Embedding(9, 4, mask_zero=True, name="embed")(words)
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    return keras.Model(words, layers.Dense(3, name="answer")(x))


def half() -> keras.Model:
    """Two layers in bfloat16, the last in float32."""
    row = keras.Input((16,), name="row")
    x = layers.Dense(32, activation="relu", name="first", dtype="mixed_bfloat16")(row)
    x = layers.Dense(32, activation="relu", name="second", dtype="mixed_bfloat16")(x)
    return keras.Model(row, layers.Dense(3, name="answer", dtype="float32")(x))


def half_of_images() -> keras.Model:
    """Kernels in float32, and a convolution in float16."""
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="first", dtype="mixed_float16")(image)
    x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model(image, layers.Dense(3, name="answer", dtype="float32")(x))


def stubborn() -> keras.Model:
    """In float32 whatever the policy is."""
    row = keras.Input((16,), name="row", dtype="float32")
    return keras.Model(row, layers.Dense(3, name="answer", dtype="float32")(row))


def half_by_policy() -> keras.Model:
    """The same by a policy that is left behind."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    return half()
