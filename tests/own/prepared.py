"""Images and ages as they come: what prepares them is part of the model."""

import keras
import numpy as np
from keras import layers


def build() -> keras.Model:
    image = keras.Input((24, 24, 3), name="image")
    age = keras.Input((1,), name="age")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.RandomFlip("horizontal")(x)
    x = layers.Resizing(16, 16)(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = layers.GaussianNoise(0.1)(x)
    x = layers.Flatten()(x)
    ages = layers.Normalization()
    ages.adapt(np.array([[20.0], [40.0], [60.0]]))  # it counts, in a weight of shape ()
    y = ages(age)
    z = layers.Discretization([20.0, 40.0, 60.0], output_mode="one_hot")(age)
    x = layers.concatenate([x, y, z])
    return keras.Model([image, age], layers.Dense(4, activation="softmax", name="kind")(x))
