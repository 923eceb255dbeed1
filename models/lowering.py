"""Layers replaced by equivalent ones that some backend computes faster.

All of them are about a convolution that max-pooling follows, and each computes the same numbers in
another way:

- `late`: pool first, then add the bias and apply the activation. Both are monotone, so the largest
  stays the largest, and there is only a part of the numbers left to work on.
- `channels_first`: the same with rows and columns behind the channels, transposed at both ends.
- `reshape`: windows that do not overlap are axes of a reshaped array, along which the maximum is
  taken. Its gradient is a comparison, where that of max-pooling scatters.
- `product`: all places of a pooling window at once, as one matrix product of shifted copies of the
  kernel with patches, and the largest of them. Where the patches would be more than `MOST_WASTE`
  times as large as the kernel, `reshape`.

The last three are `late`, too. Which of them is faster depends on the backend and the device
(docs/tuning.md).
"""

import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

LOWERINGS = ("late", "channels_first", "reshape", "product")

MONOTONE = tuple(
    keras.activations.get(name)
    for name in ("elu", "leaky_relu", "linear", "relu", "relu6", "sigmoid", "softplus", "tanh")
)
"""Activations that never fall: the largest of a window is the largest of them, too."""

STEPS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")
"""Methods of a model by which it may train in a way of its own."""

MOST_WASTE = 2
"""Most multiplications by zero: a kernel of 5 x 5 under a window of 2 x 2 sees 6 x 6 pixels (1.44
times as many), one of 2 x 2 sees 3 x 3, in whole windows 4 x 4 (4 times)."""


class PooledConvolution(keras.layers.Conv2D):  # type: ignore[misc]
    """A `Conv2D` and the `MaxPooling2D` after it; its weights are those of the convolution."""

    def __init__(self, pool_size: tuple[int, int], lowering: str, **convolution: Any) -> None:
        """Take the place of a convolution.

        Args:
            pool_size: Rows and columns of the window, which are its strides, too.
            lowering: One of `LOWERINGS`.
            convolution: What `Conv2D` takes.
        """
        super().__init__(**convolution)
        self.pool_size, self.lowering = tuple(pool_size), lowering

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "pool_size": self.pool_size, "lowering": self.lowering}

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Shape after pooling."""
        batch, *sizes, channels = super().compute_output_shape(input_shape)
        return (batch, *map(operator.floordiv, sizes, self.pool_size), channels)

    def call(self, inputs: Any) -> Any:
        """Convolve, pool, add the bias, and apply the activation."""
        match self.lowering:
            case "late":
                pooled = self._pooled(inputs, "channels_last")
            case "channels_first":
                first = self._pooled(ops.transpose(inputs, (0, 3, 1, 2)), "channels_first")
                pooled = ops.transpose(first, (0, 2, 3, 1))
            case "product" if self._waste <= MOST_WASTE:
                return self._largest_product(inputs)
            case _:
                pooled = self._largest_of_axes(inputs)
        return self._activated(pooled)

    def _activated(self, pooled: Any, *, filters_first: bool = False) -> Any:
        if self.use_bias:
            pooled = pooled + (self.bias[:, None] if filters_first else self.bias)
        return self.activation(pooled)

    def _pooled(self, inputs: Any, data_format: str) -> Any:
        maps = ops.conv(inputs, self.kernel, 1, "valid", data_format)
        return ops.max_pool(maps, self.pool_size, self.pool_size, "valid", data_format)

    def _largest_of_axes(self, inputs: Any) -> Any:
        maps = ops.conv(inputs, self.kernel, 1, "valid", "channels_last")
        rows, columns = map(operator.floordiv, maps.shape[1:3], self.pool_size)
        height, width = self.pool_size
        whole = maps[:, : rows * height, : columns * width]
        windows = ops.reshape(whole, (-1, rows, height, columns, width, self.filters))
        # One place after the other: XLA makes less of one maximum over two axes.
        lines = _largest([windows[:, :, row] for row in range(height)])
        return _largest([lines[:, :, :, column] for column in range(width)])

    def _largest_product(self, inputs: Any) -> Any:
        """What each pooled position sees is a patch; each place in the window, a shifted kernel.

        Positions are the last axis of the product, and stay it until all is done: so every
        operation goes along whole rows of memory.
        """
        height, width = self.pool_size
        _, rows, columns, _ = self.compute_output_shape(inputs.shape)
        high, wide = self._windows_of_a_patch
        blocks = self._in_windows(inputs, rows + high - 1, columns + wide - 1)
        patches = ops.concatenate(
            [
                blocks[:, row : row + rows, column : column + columns]
                for row in range(high)
                for column in range(wide)
            ],
            axis=-1,
        )
        patches = ops.reshape(patches, (-1, patches.shape[-1]))
        products = ops.matmul(
            ops.transpose(self._shifted_kernels(high, wide)), ops.transpose(patches)
        )
        places = ops.reshape(products, (height * width, self.filters, -1))
        largest = _largest([places[place] for place in range(height * width)])
        outputs = self._activated(largest, filters_first=True)
        return ops.reshape(ops.transpose(outputs), (-1, rows, columns, self.filters))

    @property
    def _windows_of_a_patch(self) -> tuple[int, int]:
        """A patch is as large as the kernel with room to shift it, rounded up to whole windows."""
        high, wide = (
            -(-(kernel + window - 1) // window)
            for kernel, window in zip(self.kernel_size, self.pool_size, strict=True)
        )
        return high, wide

    @property
    def _waste(self) -> float:
        sizes = (*self._windows_of_a_patch, *self.pool_size)
        return math.prod(sizes) / math.prod(self.kernel_size)

    def _in_windows(self, inputs: Any, rows: int, columns: int) -> Any:
        """Each window's pixels as channels of one position (space to depth)."""
        height, width = self.pool_size
        channels = inputs.shape[3]
        inputs = inputs[:, : rows * height, : columns * width]
        missing = (rows * height - inputs.shape[1], columns * width - inputs.shape[2])
        if any(missing):  # only zeros of the shifted kernels meet what is added
            inputs = ops.pad(inputs, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
        windows = ops.reshape(inputs, (-1, rows, height, columns, width, channels))
        windows = ops.transpose(windows, (0, 1, 3, 2, 4, 5))
        return ops.reshape(windows, (-1, rows, columns, height * width * channels))

    def _shifted_kernels(self, high: int, wide: int) -> Any:
        """Matrix of shape (pixels of a patch, places in a window x filters)."""
        height, width = self.pool_size
        free = (high * height - self.kernel_size[0], wide * width - self.kernel_size[1])
        shifted = [
            ops.pad(
                self.kernel,
                ((row, free[0] - row), (column, free[1] - column), (0, 0), (0, 0)),
            )
            for row in range(height)
            for column in range(width)
        ]
        channels = self.kernel.shape[2]
        kernels = ops.reshape(
            ops.concatenate(shifted, axis=-1),
            (high, height, wide, width, channels, height * width * self.filters),
        )
        kernels = ops.transpose(kernels, (0, 2, 1, 3, 4, 5))
        return ops.reshape(kernels, (-1, height * width * self.filters))


def lower(model: keras.Model, lowering: str) -> keras.Model:
    """A model that computes the same, with every pooled convolution lowered.

    Layers keep their names and weights their order, shapes and values, so that weights go from the
    one to the other and back; where pooling was, a layer of its name passes on what it gets.

    Args:
        model: Built; compiled or not.
        lowering: One of `LOWERINGS`.

    Returns:
        Another model, compiled as `model` is; `model` itself where there is nothing to lower.

    Raises:
        ValueError: No lowering has this name.
    """
    if lowering not in LOWERINGS:
        raise ValueError(f"unknown lowering {lowering!r}; choose from {', '.join(LOWERINGS)}")
    pairs = dict(_pairs(model))
    if not pairs:
        return model
    convolutions = {pool: convolution for convolution, pool in pairs.items()}

    def clone(layer: keras.Layer) -> keras.Layer:
        if layer in pairs:
            window = pairs[layer].pool_size
            return PooledConvolution(window, lowering, **layer.get_config())
        if layer in convolutions:
            return keras.layers.Identity(name=layer.name, dtype=layer.dtype_policy)
        return type(layer).from_config(layer.get_config())

    lowered = keras.models.clone_model(model, clone_function=clone)
    lowered.set_weights(model.get_weights())
    if model.compiled:
        lowered.compile_from_config(model.get_compile_config())
    return lowered


def has_steps_of_its_own(model: keras.Model) -> bool:
    """Whether its class trains, tests or predicts otherwise than Keras's does."""
    return any(getattr(type(model), name) is not getattr(keras.Model, name) for name in STEPS)


def _pairs(model: keras.Model) -> Iterator[tuple[keras.Layer, keras.Layer]]:
    """Convolutions that can be lowered, each with the pooling that alone takes its output.

    None where that cannot be told: a layer that is called twice, and a model within this one, do
    not say all that they take.
    """
    if not getattr(model, "inputs", None) or has_steps_of_its_own(model):
        return
    # Those that are no layers, as `keras.ops.mean` of a tensor, take outputs too.
    operations = getattr(model, "operations", model.layers)
    takers: dict[int, list[keras.Layer]] = {}
    for operation in operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        tensors = _tensors(operation, "input")
        if isinstance(operation, keras.Model) or not tensors:
            return
        for tensor in tensors:
            takers.setdefault(id(tensor), []).append(operation)
    given = {id(tensor) for tensor in model.outputs}
    for layer in model.layers:
        match [takers.get(id(tensor), []) for tensor in _tensors(layer, "output")]:
            case [[pool]] if id(layer.output) not in given and _fits(layer, pool):
                yield layer, pool


def _tensors(layer: keras.Layer, what: str) -> list[Any]:
    """What a layer takes or gives; nothing where it is called more than once."""
    try:
        return list(keras.tree.flatten(getattr(layer, what)))
    except (AttributeError, ValueError):
        return []


def _fits(layer: keras.Layer, pool: keras.Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and type(pool) is keras.layers.MaxPooling2D
        and layer.padding == pool.padding == "valid"
        and layer.data_format == pool.data_format == "channels_last"
        and (layer.strides, layer.dilation_rate, layer.groups) == ((1, 1), (1, 1), 1)
        and tuple(pool.pool_size) == tuple(pool.strides)
        and any(layer.activation is monotone for monotone in MONOTONE)
        and layer.activity_regularizer is None
        and None not in layer.output.shape[1:]
    )


def _largest(arrays: Sequence[Any]) -> Any:
    """Of arrays of one shape, each element's largest; in pairs, which are done side by side."""
    if len(arrays) == 1:
        return arrays[0]
    half = len(arrays) // 2
    return ops.maximum(_largest(arrays[:half]), _largest(arrays[half:]))
