"""The oracle against independent sources: finite differences, SciPy, loops plainly right."""

import numpy as np
import pytest
from scipy import optimize, signal, special

from models import oracle

GENERATOR = np.random.default_rng(0)


def weights_of(network: oracle.Network) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    shapes = [shape for layer in network.shapes() for shape in layer]
    return [generator.normal(0, 0.3, shape) for shape in shapes]


def test_every_shipped_model_has_an_oracle() -> None:
    import models

    assert set(oracle.NETWORKS) == set(models.names())


@pytest.mark.parametrize(("name", "parameters"), [("single_layer", 231_926), ("two_layer", 22_046)])
def test_it_has_the_published_number_of_parameters(name: str, parameters: int) -> None:
    assert sum(weight.size for weight in weights_of(oracle.NETWORKS[name])) == parameters


def test_a_convolution_is_a_cross_correlation_over_all_channels() -> None:
    x, kernel = GENERATOR.normal(size=(2, 7, 6, 3)), GENERATOR.normal(size=(3, 2, 3, 4))
    bias = GENERATOR.normal(size=4)
    y = oracle.Convolution("c", 4, (3, 2)).forward(x, kernel, bias)
    for example in range(2):
        for output in range(4):
            summed = sum(
                signal.correlate(x[example, :, :, i], kernel[:, :, i, output], "valid")
                for i in range(3)
            )
            expected = np.maximum(summed + bias[output], 0)
            assert y[example, :, :, output] == pytest.approx(expected, abs=1e-12)


def test_pooling_takes_the_largest_and_leaves_the_rest_at_the_edge() -> None:
    x = GENERATOR.normal(size=(2, 5, 7, 3))
    y = oracle.MaxPooling("p", (2, 2)).forward(x)
    assert y.shape == (2, 2, 3, 3)
    for row, column in np.ndindex(2, 3):
        window = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert (y[:, row, column] == window.max(axis=(1, 2))).all()


@pytest.mark.parametrize("name", sorted(oracle.NETWORKS))
@pytest.mark.parametrize("clipped", [False, True])
def test_gradients_are_those_of_finite_differences(name: str, clipped: bool) -> None:
    """Of random sums of weights of each array, by central differences that SciPy steps."""
    network = oracle.NETWORKS[name]
    weights = weights_of(network)
    x = GENERATOR.random((3, 28, 28, 1))
    y = np.eye(10)[[3, 1, 4]]
    _, gradients = network.gradients(weights, x, y, clipped)
    for number, gradient in enumerate(gradients):
        direction = GENERATOR.normal(size=gradient.shape)

        def loss(
            step: np.ndarray, number: int = number, direction: np.ndarray = direction
        ) -> float:
            moved = list(weights)
            moved[number] = weights[number] + step[0] * direction
            return network.gradients(moved, x, y, clipped)[0]

        slope = optimize.approx_fprime(np.zeros(1), loss, 1e-7)[0]
        assert (gradient * direction).sum() == pytest.approx(slope, rel=2e-4, abs=1e-6)


def test_losses_against_scipy() -> None:
    logits = GENERATOR.normal(0, 3, (5, 10))
    y = np.eye(10)[GENERATOR.integers(0, 10, 5)]
    assert oracle.softmax(logits) == pytest.approx(special.softmax(logits, axis=1))
    expected = -(special.log_softmax(logits, axis=1) * y).sum(axis=1).mean()
    assert oracle.loss_from_logits(logits, y) == pytest.approx(expected)
    assert oracle.loss_from_probabilities(special.softmax(logits, axis=1), y) == pytest.approx(
        expected
    )


def test_a_clipped_example_costs_16_nats_and_has_no_gradient() -> None:
    network = oracle.Network((2,), (oracle.Dense("output", 2, relu=False),))
    weights, x = [np.eye(2), np.zeros(2)], np.array([[30.0, 0.0]])
    y = np.array([[0.0, 1.0]])
    loss, gradient = network.gradients(weights, x, y)
    assert loss == pytest.approx(30)
    assert np.abs(gradient[0]).max() > 1
    clipped_loss, clipped_gradient = network.gradients(weights, x, y, clipped=True)
    assert clipped_loss == pytest.approx(-np.log(1e-7))
    assert np.abs(clipped_gradient[0]).max() == 0


def test_adam_and_sgd_by_hand() -> None:
    weights, gradient = [np.array([1.0, -2.0])], [np.array([0.5, -0.25])]
    assert oracle.sgd(weights, gradient, 0.1)[0] == pytest.approx([0.95, -1.975])
    adam = oracle.Adam()
    first = adam.step(weights, gradient)
    # The first step is the sign of the gradient, but for epsilon.
    assert first[0] == pytest.approx([1 - 1e-3, -2 + 1e-3], abs=2e-8)
    second = adam.step(first, [np.array([-0.5, -0.25])])
    mean = (0.9 * 0.1 * 0.5 - 0.1 * 0.5) / (1 - 0.9**2)
    size = np.sqrt((0.999 * 0.001 * 0.25 + 0.001 * 0.25) / (1 - 0.999**2))
    assert second[0][0] - first[0][0] == pytest.approx(-1e-3 * mean / size, rel=1e-4)


def test_chunks_change_nothing() -> None:
    network = oracle.NETWORKS["two_layer"]
    weights, x = weights_of(network), GENERATOR.random((oracle.CHUNK + 3, 28, 28, 1))
    assert network.logits(weights, x)[-1] == pytest.approx(network.outputs(weights, x[-1:])[-1][0])
