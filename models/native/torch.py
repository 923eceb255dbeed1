"""The CNNs in PyTorch alone: modules in the channels-last layout, and the fused Adam."""

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from models.native import Adam, State, Weights, classes


def single_layer() -> nn.Sequential:
    """From images of shape (examples, 1, 28, 28) to logits of shape (examples, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 12 * 12, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def two_layer() -> nn.Sequential:
    """From images of shape (examples, 1, 28, 28) to logits of shape (examples, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 8, 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 5 * 5, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def _device() -> torch.device:
    """Where Keras is, which is put there by this variable."""
    return torch.device(os.environ.get("KERAS_TORCH_DEVICE", "cpu"))


def images(x: Any) -> Any:
    """NumPy's images where they are needed, rows and columns behind the channels."""
    first = torch.as_tensor(x).permute(0, 3, 1, 2)
    return first.to(_device(), memory_format=torch.channels_last)


def labels(y: Any) -> Any:
    """Class numbers of one-hot targets where they are needed."""
    return torch.as_tensor(classes(y)).to(_device())


class FusedAdam:
    """PyTorch's fused Adam, with Keras's epsilon.

    Attributes:
        steps: How many were taken.
    """

    def __init__(self, adam: Adam, weights: list[Any]) -> None:
        """Take weights, whose moments are still to be told."""
        self._adam, self._weights, self.steps = adam, weights, 0
        betas = adam.beta_1, adam.beta_2
        self._fused = torch.optim.Adam(weights, adam.rate, betas, adam.epsilon, fused=True)

    def go_on(self, weight: Any, steps: int, momentum: Any, velocity: Any) -> None:
        """Tell the moments of a weight after some steps; they are changed where they are."""
        self.steps = steps
        count = torch.tensor(float(steps), device=weight.device)
        moments = {"exp_avg": momentum, "exp_avg_sq": velocity}
        self._fused.state[weight] = {"step": count, **moments}

    def moments(self) -> tuple[list[Any], list[Any]]:
        """First and second moments of all weights."""
        states = [self._fused.state[weight] for weight in self._weights]
        return [each["exp_avg"] for each in states], [each["exp_avg_sq"] for each in states]

    def step(self) -> None:
        """From the gradients of the weights."""
        self.steps += 1
        (group,) = self._fused.param_groups
        # PyTorch adds epsilon to the root of what is corrected already, Keras before.
        group["eps"] = self._adam.epsilon / (1 - self._adam.beta_2**self.steps) ** 0.5
        self._fused.step()


class Network:
    """One of the CNNs, its weights and its optimizer.

    Attributes:
        functions: What is compiled, once for each size of batches.
    """

    def __init__(self, model: str, state: State) -> None:
        """Build it.

        Args:
            model: Name of one of the functions above.
            state: Where training begins.
        """
        self._module = globals()[model]().to(_device(), memory_format=torch.channels_last)
        self._parameters = list(self._module.parameters())
        self._adam = FusedAdam(Adam(), self._parameters)
        self.functions = ()
        self.restore(state)

    def restore(self, state: State) -> None:
        """Go on from there."""
        with torch.no_grad():
            for parameter, *arrays in zip(
                self._parameters, state.weights, state.momentum, state.velocity, strict=True
            ):
                weight, *moments = map(self._own, arrays)
                parameter.copy_(weight)
                own = (torch.empty_like(parameter).copy_(moment) for moment in moments)
                self._adam.go_on(parameter, state.steps, *own)

    def state(self) -> State:
        """Where training stands."""
        momentum, velocity = self._adam.moments()
        return State(
            self._keras(self._parameters),
            self._keras(momentum),
            self._keras(velocity),
            self._adam.steps,
        )

    def fit(self, x: Any, y: Any, batch_size: int) -> tuple[float, float]:
        """Train over the examples once, in order; mean loss and accuracy on the way."""
        sums = torch.zeros(2, device=x.device)
        self._module.train()
        for images, labels in zip(x.split(batch_size), y.split(batch_size), strict=True):
            self._module.zero_grad()
            logits = self._module(images)
            loss = functional.cross_entropy(logits, labels)
            loss.backward()
            self._adam.step()
            _add(sums, loss, logits, labels)
        return _means(sums, len(x))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def evaluate(self, x: Any, y: Any, batch_size: int) -> tuple[float, float]:
        """Mean loss and accuracy."""
        sums = torch.zeros(2, device=x.device)
        self._module.eval()
        for images, labels in zip(x.split(batch_size), y.split(batch_size), strict=True):
            logits = self._module(images)
            _add(sums, functional.cross_entropy(logits, labels), logits, labels)
        return _means(sums, len(x))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def predict(self, x: Any, batch_size: int) -> NDArray[np.float32]:
        """Probabilities, shape (examples, 10)."""
        self._module.eval()
        found = [self._module(images).softmax(dim=1) for images in x.split(batch_size)]
        return np.asarray(torch.cat(found).cpu())

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def logits(self, x: Any) -> NDArray[np.float32]:
        """What the softmax is taken of."""
        return np.asarray(self._module(x).cpu())

    def gradients(self, x: Any, y: Any) -> tuple[float, Weights]:
        """Mean loss of one batch, and its gradient."""
        loss = functional.cross_entropy(self._module(x), y)
        return float(loss), self._keras(torch.autograd.grad(loss, self._parameters))

    def _own(self, array: NDArray[np.float32]) -> torch.Tensor:
        """An array of Keras's in the order of ours."""
        if array.ndim == 4:
            return torch.tensor(array.transpose(3, 2, 0, 1))
        if array.ndim == 2:
            return torch.tensor(self._behind_channels(array).T)
        return torch.tensor(array)

    def _keras(self, tensors: Any) -> list[NDArray[np.float32]]:
        """Tensors of ours in Keras's order."""
        arrays = []
        for tensor in tensors:
            array = tensor.detach().cpu().numpy()
            if array.ndim == 4:
                array = array.transpose(2, 3, 1, 0)
            elif array.ndim == 2:
                array = self._before_channels(array.T)
            arrays.append(np.array(array, order="C"))
        return arrays

    @property
    def _flattened(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the maps that are flattened."""
        return FLATTENED[len(self._parameters)]

    def _behind_channels(self, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows of the kernel after `Flatten`, from (rows, columns, channels) to ours."""
        channels, rows, columns = self._flattened
        if len(kernel) != channels * rows * columns:
            return kernel
        return (
            kernel.reshape(rows, columns, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        )

    def _before_channels(self, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        channels, rows, columns = self._flattened
        if len(kernel) != channels * rows * columns:
            return kernel
        return (
            kernel.reshape(channels, rows, columns, -1).transpose(1, 2, 0, 3).reshape(kernel.shape)
        )


FLATTENED = {6: (16, 12, 12), 8: (8, 5, 5)}
"""By the number of parameters."""


def _add(
    sums: torch.Tensor, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor
) -> None:
    correct = (logits.detach().argmax(dim=1) == labels).sum()
    sums += torch.stack([len(labels) * loss.detach(), correct])


def _means(sums: torch.Tensor, count: int) -> tuple[float, float]:
    loss, correct = (sums / count).tolist()
    return loss, correct
