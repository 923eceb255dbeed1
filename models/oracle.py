"""Both CNNs in float64 NumPy: what the backends' float32 answers are measured against.

Written from the definitions (cross-correlation, maximum, affine map, softmax, cross-entropy; Adam
of Kingma & Ba, arXiv:1412.6980, in the form that Keras documents), not from any backend. Images
are (examples, rows, columns, channels); weights are lists in Keras's order, kernel then bias.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = Sequence[NDArray[np.floating]]
"""In any precision: they are made float64 before anything is computed."""

CLIP = 1e-7
"""`keras.config.epsilon()`: Keras takes no logarithm of a probability nearer to 0 or 1."""

CHUNK = 500
"""Examples that are worked on at once: a convolution's windows take 0.1 MB for each."""


@dataclass(frozen=True)
class Convolution:
    """Cross-correlation without padding in steps of one, then ReLU."""

    name: str
    filters: int
    window: tuple[int, int]

    def shapes(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Shapes of kernel and bias for inputs of `shape`."""
        return [(*self.window, shape[-1], self.filters), (self.filters,)]

    def forward(self, x: Array, kernel: Array, bias: Array) -> Array:
        """Outputs, shape (examples, rows, columns, filters)."""
        return np.asarray(np.maximum(np.tensordot(_windows(x, self.window), kernel, 3) + bias, 0))

    def of_weights(self, grad: Array, x: Array, y: Array) -> list[Array]:
        """Gradients with respect to kernel and bias."""
        grad = grad * (y > 0)
        kernel = np.tensordot(_windows(x, self.window), grad, ((0, 1, 2),) * 2)
        return [np.asarray(kernel), grad.sum((0, 1, 2))]

    def of_inputs(self, grad: Array, x: Array, y: Array, kernel: Array) -> Array:
        """Gradient with respect to the inputs."""
        grad = grad * (y > 0)
        rows, columns = y.shape[1:3]
        inputs = np.zeros_like(x)
        for row, column in np.ndindex(self.window):
            inputs[:, row : row + rows, column : column + columns] += grad @ kernel[row, column].T
        return inputs


@dataclass(frozen=True)
class MaxPooling:
    """The largest of each window; windows do not overlap, a rest at the edge is left out."""

    name: str
    window: tuple[int, int]

    def shapes(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """No weights."""
        return []

    def forward(self, x: Array) -> Array:
        """Outputs, shape (examples, rows, columns, channels)."""
        return np.asarray(functools.reduce(np.maximum, self._elements(x)))

    def of_weights(self, grad: Array, x: Array, y: Array) -> list[Array]:
        """No weights."""
        return []

    def of_inputs(self, grad: Array, x: Array, y: Array) -> Array:
        """The gradient goes to the first largest of a window."""
        inputs = np.zeros_like(x)
        waiting = np.ones(y.shape, bool)
        for each, into in zip(self._elements(x), self._elements(inputs), strict=True):
            largest = waiting & (each == y)
            into[...] = grad * largest
            waiting &= ~largest
        return inputs

    def _elements(self, x: Array) -> list[Array]:
        """Views of the first element of all windows, of the second and so on, row by row."""
        rows, columns = (
            size // step * step for size, step in zip(x.shape[1:3], self.window, strict=True)
        )
        height, width = self.window
        return [
            x[:, row:rows:height, column:columns:width] for row, column in np.ndindex(self.window)
        ]


@dataclass(frozen=True)
class Flatten:
    """All of an example in one row."""

    name: str

    def shapes(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """No weights."""
        return []

    def forward(self, x: Array) -> Array:
        """Outputs, shape (examples, elements)."""
        return x.reshape(len(x), -1)

    def of_weights(self, grad: Array, x: Array, y: Array) -> list[Array]:
        """No weights."""
        return []

    def of_inputs(self, grad: Array, x: Array, y: Array) -> Array:
        """The same numbers in the old shape."""
        return grad.reshape(x.shape)


@dataclass(frozen=True)
class Dense:
    """An affine map, with ReLU or, for logits, without."""

    name: str
    units: int
    relu: bool

    def shapes(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Shapes of kernel and bias for inputs of `shape`."""
        return [(shape[-1], self.units), (self.units,)]

    def forward(self, x: Array, kernel: Array, bias: Array) -> Array:
        """Outputs, shape (examples, units)."""
        y = x @ kernel + bias
        return np.maximum(y, 0) if self.relu else y

    def of_weights(self, grad: Array, x: Array, y: Array) -> list[Array]:
        """Gradients with respect to kernel and bias."""
        grad = self._through_relu(grad, y)
        return [x.T @ grad, grad.sum(0)]

    def of_inputs(self, grad: Array, x: Array, y: Array, kernel: Array) -> Array:
        """Gradient with respect to the inputs."""
        return np.asarray(self._through_relu(grad, y) @ kernel.T)

    def _through_relu(self, grad: Array, y: Array) -> Array:
        return grad * (y > 0) if self.relu else grad


Layer = Convolution | MaxPooling | Flatten | Dense


@dataclass(frozen=True)
class Network:
    """A model: layers from images to logits. Its probabilities are the softmax of those."""

    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]

    def shapes(self) -> list[list[tuple[int, ...]]]:
        """Shapes of the weights of each layer."""
        x = np.zeros((1, *self.input_shape))
        found = []
        for layer in self.layers:
            found.append(layer.shapes(x.shape))
            x = layer.forward(x, *map(np.zeros, found[-1]))
        return found

    def outputs(self, weights: Weights, x: NDArray[np.floating]) -> list[Array]:
        """Output of each layer, of the last one logits."""
        y = x.astype(np.float64)
        found = []
        for layer, own in self._with_weights(weights):
            y = layer.forward(y, *own)
            found.append(y)
        return found

    def logits(self, weights: Weights, x: NDArray[np.floating]) -> Array:
        """Logits, shape (examples, classes), of however many examples."""
        chunks = (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))
        return np.concatenate([self.outputs(weights, chunk)[-1] for chunk in chunks])

    def gradients(
        self,
        weights: Weights,
        x: NDArray[np.floating],
        y: NDArray[np.floating],
        clipped: bool = False,
    ) -> tuple[float, list[Array]]:
        """Loss, and its gradient with respect to each weight.

        Args:
            weights: Kernels and biases.
            x: Images.
            y: One-hot targets, shape (examples, classes).
            clipped: Take the loss from clipped probabilities, as Keras does where it cannot
                recover the logits: an example whose probability is clipped has no gradient.
        """
        outputs = self.outputs(weights, x)
        probabilities = softmax(outputs[-1])
        grad = (probabilities - y) / len(x)
        loss = loss_from_logits(outputs[-1], y)
        if clipped:
            chosen = (probabilities * y).sum(axis=1, keepdims=True)
            grad = grad * ((chosen > CLIP) & (chosen < 1 - CLIP))
            loss = loss_from_probabilities(probabilities, y)
        found: list[Array] = []
        inputs = [x.astype(np.float64), *outputs[:-1]]
        steps = zip(self._with_weights(weights), inputs, outputs, strict=True)
        for (layer, own), into, out in reversed(list(steps)):
            found = layer.of_weights(grad, into, out) + found
            if into is not inputs[0]:  # nobody needs the gradient of images
                grad = layer.of_inputs(grad, into, out, *own[:1])
        return loss, found

    def _with_weights(self, weights: Weights) -> list[tuple[Layer, list[Array]]]:
        rest = [weight.astype(np.float64) for weight in weights]
        found = []
        for layer in self.layers:
            count = 2 if isinstance(layer, Convolution | Dense) else 0
            found.append((layer, rest[:count]))
            rest = rest[count:]
        return found


NETWORKS = {
    "single_layer": Network(
        (28, 28, 1),
        (
            Convolution("convolution", 16, (5, 5)),
            MaxPooling("pooling", (2, 2)),
            Flatten("flatten"),
            Dense("hidden", 100, relu=True),
            Dense("output", 10, relu=False),
        ),
    ),
    "two_layer": Network(
        (28, 28, 1),
        (
            Convolution("convolution_1", 16, (5, 5)),
            MaxPooling("pooling_1", (2, 2)),
            Convolution("convolution_2", 8, (2, 2)),
            MaxPooling("pooling_2", (2, 2)),
            Flatten("flatten"),
            Dense("hidden", 100, relu=True),
            Dense("output", 10, relu=False),
        ),
    ),
}


def softmax(logits: Array) -> Array:
    """Probabilities, rows that sum up to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def loss_from_logits(logits: Array, y: NDArray[np.floating]) -> float:
    """Mean categorical cross-entropy in nats, as exact as float64 is."""
    largest = logits.max(axis=1)
    log_sum = largest + np.log(np.exp(logits - largest[:, np.newaxis]).sum(axis=1))
    return float((log_sum - (logits * y).sum(axis=1)).mean())


def loss_from_probabilities(probabilities: Array, y: NDArray[np.floating]) -> float:
    """The same as Keras takes it from probabilities, clipped to `CLIP` from either side."""
    return float(-(y * np.log(np.clip(probabilities, CLIP, 1 - CLIP))).sum(axis=1).mean())


def sgd(weights: Weights, gradients: Sequence[Array], learning_rate: float) -> list[Array]:
    """Weights after one step of plain gradient descent."""
    pairs = zip(weights, gradients, strict=True)
    return [weight - learning_rate * gradient for weight, gradient in pairs]


@dataclass
class Adam:
    """Adam with Keras's defaults. It remembers both moments and the number of steps.

    Keras rounds both betas to float32 before it raises them to a power. Of 1 - 0.999 that changes
    1.3e-5, which would be nearly all of a backend's distance from an oracle that did not.
    """

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    steps: int = 0
    moments: list[tuple[Array, Array]] = field(default_factory=list)

    def step(self, weights: Weights, gradients: Sequence[Array]) -> list[Array]:
        """Weights after one more step."""
        self.steps += 1
        old = self.moments or [(np.zeros_like(each), np.zeros_like(each)) for each in gradients]
        self.moments = [
            (
                self.beta_1 * first + (1 - self.beta_1) * gradient,
                self.beta_2 * second + (1 - self.beta_2) * gradient**2,
            )
            for (first, second), gradient in zip(old, gradients, strict=True)
        ]
        beta_1, beta_2 = (float(np.float32(beta)) for beta in (self.beta_1, self.beta_2))
        rate = self.learning_rate * np.sqrt(1 - beta_2**self.steps) / (1 - beta_1**self.steps)
        return [
            weight - rate * first / (np.sqrt(second) + self.epsilon)
            for weight, (first, second) in zip(weights, self.moments, strict=True)
        ]


def _windows(x: Array, window: tuple[int, int]) -> Array:
    """Shape (examples, rows, columns, window rows, window columns, channels)."""
    views = np.lib.stride_tricks.sliding_window_view(x, window, axis=(1, 2))
    return views.transpose(0, 1, 2, 4, 5, 3)
