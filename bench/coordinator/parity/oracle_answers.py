"""The oracle's answers to the questions of the parity ladder, under the names that workers use.

The inputs are scaled and the targets made anew here: what worker and oracle had in common could be
wrong in both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.contract.rungs import PROBES
from bench.inputs import draws, parity_questions
from bench.inputs.datasets import PIXEL_SCALE as SCALE
from bench.inputs.examples import SPLITS, Examples
from bench.inputs.initializers import Initializer
from bench.inputs.parity_questions import Answer, Arrays, numbered
from models import oracle

GLOROT = Initializer("uniform", mode="fan_avg")


@dataclass(frozen=True)
class State:
    """A training amid its steps, in float32, so that a backend can go on from the very same."""

    weights: list[NDArray[np.float32]]
    moments: list[tuple[NDArray[np.float32], NDArray[np.float32]]]

    @classmethod
    def rounded(cls, weights: oracle.Weights, adam: oracle.Adam) -> "State":
        """Of weights and an optimizer in float64."""
        return cls(
            [weight.astype(np.float32) for weight in weights],
            [(one.astype(np.float32), two.astype(np.float32)) for one, two in adam.moments],
        )

    def wide_moments(self) -> list[tuple[oracle.Array, oracle.Array]]:
        """Both moments of each weight, in float64."""
        return [(one.astype(np.float64), two.astype(np.float64)) for one, two in self.moments]

    def named(self) -> Arrays:
        """All of it by name."""
        momenta, velocities = zip(*self.moments, strict=True)
        return {
            **numbered("weight", self.weights),
            **numbered("momentum", momenta),
            **numbered("velocity", velocities),
        }


class Reference:
    """One model in float64, asked as `bench.worker.parity.probes.Probes` is."""

    def __init__(
        self,
        model: str,
        seed: int,
        batch_size: int,
        data: Mapping[str, NDArray[np.uint8]],
        halves: Sequence[str] = (),
    ) -> None:
        """Draw the weights and scale the inputs.

        Args:
            model: Key of `models.oracle.NETWORKS`.
            seed: Of the weights.
            batch_size: Of the lanes that are compared with it.
            data: Images and labels.
            halves: Half precisions that lanes compute in.
        """
        self._network = oracle.NETWORKS[model]
        self._batch_size = batch_size
        self._train, self._test = (Examples.of(data, split) for split in SPLITS)
        inputs = parity_questions.inputs(self._train, self._test, batch_size, SCALE)
        self._drawn = draws.probe_weights(seed, self._initial(seed))
        self._x = {
            name: examples.only_input
            / np.float32(1 if name == parity_questions.UNSCALED else SCALE)
            for name, examples in inputs.items()
        }
        self._y = self._targets(inputs["train"].only_target)
        self._adams = {clipped: oracle.Adam() for clipped in (False, True)}
        self._paths: dict[bool, list[list[oracle.Array]]] = {False: [], True: []}
        self._restarts: dict[int, State] = {}
        self._halves = halves
        self._move: Callable[[list[NDArray[np.float32]]], list[NDArray[np.float32]]] = list

    def answer(self, probe: str) -> Answer:
        """Facts and arrays of one of `bench.contract.rungs.PROBES`.

        Where lanes compute in half precision, also what becomes of them when the weights are moved
        by one rounding of it.
        """
        facts, arrays = ANSWERS[probe](self)
        for precision in self._halves if PROBES[probe].sensitive else ():
            for near in range(parity_questions.NEAR):
                self._move = partial(parity_questions.moved, near=near, precision=precision)
                arrays |= parity_questions.of_moved(near, precision, ANSWERS[probe](self))
        self._move = list
        return facts, arrays

    def identity(self) -> Answer:
        """P0 and P1: what the model should be and be fed, and the weights that were drawn."""
        fed = {name: draws.arrays_sha256([x]) for name, x in self._x.items()}
        return {
            "layers": [layer.name for layer in self._network.layers],
            "weights": [
                f"{layer.name} {kind}"
                for layer, shapes in zip(self._network.layers, self._network.shapes(), strict=True)
                for kind, _ in zip(("kernel", "bias"), shapes, strict=False)
            ],
            "parameters": sum(weight.size for weight in self._drawn),
            "fed_sha256": fed | {"targets": draws.arrays_sha256([self._y])},
        }, numbered("weight", self._drawn)

    def forward(self) -> Answer:
        """P2: output of every layer, logits and probabilities."""
        arrays: Arrays = {}
        for name, x in self._x.items():
            *outputs, logits = self._network.outputs(self._start(), x)
            arrays[f"{name}.logits"] = logits
            arrays[f"{name}.probabilities"] = oracle.softmax(logits)
            if name in parity_questions.LAYERED:
                arrays |= numbered(f"{name}.layer", outputs)
        return {}, arrays

    def gradients(self) -> Answer:
        """P3: loss and gradient; with saturated outputs also by the clipped definition."""
        x, saturated = self._x["train"], parity_questions.saturated(self._start())
        loss, gradient = self._network.gradients(self._start(), x, self._y)
        exact, exact_gradient = self._network.gradients(saturated, x, self._y)
        clipped, clipped_gradient = self._network.gradients(saturated, x, self._y, clipped=True)
        facts = {"loss": loss, "saturated_loss": exact, "saturated_loss_clipped": clipped}
        return facts, {
            **numbered("gradient", gradient),
            **numbered("saturated_gradient", exact_gradient),
            **numbered("saturated_gradient_clipped", clipped_gradient),
        }

    def update(self) -> Answer:
        """P4: weights after one step of SGD, and after one of Adam."""
        _, gradient = self._network.gradients(self._start(), self._x["train"], self._y)
        drawn = [weight.astype(np.float64) for weight in self._drawn]
        return {"steps": {"sgd": 1, "adam": 1}}, {
            **numbered("sgd", oracle.sgd(drawn, gradient, parity_questions.SGD_RATE)),
            **numbered("adam", oracle.Adam().step(drawn, gradient)),
        }

    def trajectory(self) -> Answer:
        """P5: weights along a training, by either definition of the loss.

        `clipped_since` is the first step that clipping changed; None if there is none.
        """
        arrays: Arrays = {}
        for name, clipped in (("", False), ("_clipped", True)):
            path = self._train_to(parity_questions.CHECKPOINTS[-1], clipped)
            for checkpoint in parity_questions.CHECKPOINTS:
                arrays |= numbered(f"step{checkpoint}{name}.weight", path[checkpoint - 1])
        differ = [
            step
            for step, pair in enumerate(zip(*self._paths.values(), strict=True), start=1)
            if not all(map(np.array_equal, *pair))
        ]
        for step, state in self._restarts.items():
            arrays |= numbered(f"restart{step}.start", state.weights)
            for name, clipped in (("", False), ("_clipped", True)):
                adam = oracle.Adam(steps=step, moments=state.wide_moments())
                weights: oracle.Weights = state.weights
                for number in range(step, step + parity_questions.RESTART_STEPS):
                    weights = self._step(weights, number, adam, clipped)
                arrays |= numbered(f"restart{step}{name}.weight", weights)
        facts = {"steps": len(path), "clipped_since": differ[0] if differ else None}
        return facts, arrays

    def predictions(self) -> Answer:
        """P6: probabilities of the whole test set, from trained weights."""
        x = self._test.only_input / np.float32(SCALE)
        logits = self._network.logits(self._move(self.trained()), x)
        return {}, {"logits": logits, "probabilities": oracle.softmax(logits)}

    def consistency(self) -> Answer:
        """P9 asks a backend whether it agrees with itself."""
        return {}, {}

    def trained(self) -> list[NDArray[np.float32]]:
        """Weights after some steps, in float32: those from which every backend predicts."""
        path = self._train_to(parity_questions.TRAINED_STEPS)
        return [weight.astype(np.float32) for weight in path[parity_questions.TRAINED_STEPS - 1]]

    def restarts(self) -> Arrays:
        """Where backends take over: `<step>.weight<n>`, `.momentum<n>`, `.velocity<n>`."""
        self._train_to(parity_questions.CHECKPOINTS[-1])
        return {
            f"{step}.{name}": array
            for step, state in self._restarts.items()
            for name, array in state.named().items()
        }

    def _start(self) -> list[NDArray[np.float32]]:
        """The weights that are probed."""
        return self._move(self._drawn)

    def _train_to(self, steps: int, clipped: bool = False) -> list[list[oracle.Array]]:
        """Weights after each step of Adam; kept, since two rungs go the same way."""
        path, adam = self._paths[clipped], self._adams[clipped]
        for number in range(len(path), steps):
            path.append(self._step(path[-1] if path else self._drawn, number, adam, clipped))
            if not clipped and len(path) in parity_questions.RESTARTS:
                self._restarts[len(path)] = State.rounded(path[-1], adam)
        return path

    def _step(
        self, weights: oracle.Weights, number: int, adam: oracle.Adam, clipped: bool
    ) -> list[oracle.Array]:
        """Weights after step `number` (from 0) of the trajectory."""
        fed = parity_questions.steps(self._train, number, number + 1, self._batch_size)
        x, y = fed.only_input / np.float32(SCALE), self._targets(fed.only_target)
        _, gradient = self._network.gradients(weights, x, y, clipped)
        return adam.step(weights, gradient)

    def _initial(self, seed: int) -> list[NDArray[np.float32]]:
        """Glorot uniform kernels, biases of zero, as both CNNs declare."""
        found = []
        for position, shapes in enumerate(self._network.shapes()):
            layer = [(GLOROT if len(shape) > 1 else None, shape) for shape in shapes]
            drawn = draws.initial_weights(seed, position, layer)
            found += [
                np.zeros(shape, np.float32) if array is None else array
                for array, shape in zip(drawn, shapes, strict=True)
            ]
        return found

    def _targets(self, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
        classes = self._network.shapes()[-1][-1][0]
        return np.asarray(labels[:, np.newaxis] == np.arange(classes), np.float32)


ANSWERS: Mapping[str, Callable[[Reference], Answer]] = {
    probe: getattr(Reference, probe) for probe in PROBES
}
