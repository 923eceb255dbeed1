"""What the reference experiment published: one run of each CNN on MNIST.

Keras, Adam, 10 epochs, batch size 200, the test set as validation. One published run is one
draw: over seeds the error of such a model varies by about 0.1 to 0.2 percentage points.
"""

PROTOCOL = {"dataset": "mnist", "train_examples": 60_000, "epochs": 10, "batch_size": 200}

ERROR_PERCENT = {"single_layer": 1.40, "two_layer": 1.22}
"""Test error after the last epoch, in percent."""
