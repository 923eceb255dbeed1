"""The reference's two-layer CNN: two convolutions, published test error 1.22 %."""

import keras
from keras import layers


def build() -> keras.Model:
    """Build the compiled model: (28, 28, 1) images in, 10 class probabilities out.

    22,046 parameters. Adam with Keras's defaults and categorical cross-entropy on
    probabilities, as in the reference.
    """
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(16, (5, 5), activation="relu", name="convolution_1"),
            layers.MaxPooling2D((2, 2), name="pooling_1"),
            layers.Conv2D(8, (2, 2), activation="relu", name="convolution_2"),
            layers.MaxPooling2D((2, 2), name="pooling_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(100, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="output"),
        ],
        name="two_layer",
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model
