"""Two networks from Keras's own collection."""

import keras


def mobile() -> keras.Model:
    return keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), classes=10)


def resnet() -> keras.Model:
    return keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10)
