"""The oracle's answers to the questions of the parity ladder, under the names that workers use.

The inputs are scaled and the targets made anew here: what worker and oracle had in common could be
wrong in both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import order, questions
from models import oracle

Arrays = dict[str, NDArray[Any]]
Answer = tuple[dict[str, Any], Arrays]


class Reference:
    """One model in float64, asked as `bench.probes.Probes` is."""

    def __init__(
        self, model: str, seed: int, batch_size: int, data: Mapping[str, NDArray[np.uint8]]
    ) -> None:
        """Draw the weights and scale the inputs."""
        self._network = oracle.NETWORKS[model]
        self._batch_size = batch_size
        self._inputs = questions.inputs(data, batch_size)
        self._drawn = order.probe_weights(seed, self._network.shapes())
        self._x = {
            name: pixels / np.float32(1 if name == questions.UNSCALED else 255)
            for name, pixels in self._inputs.images.items()
        }
        self._y = self._targets(self._inputs.labels["train"])
        self._adams = {clipped: oracle.Adam() for clipped in (False, True)}
        self._paths: dict[bool, list[list[oracle.Array]]] = {False: [], True: []}

    def answer(self, rung: str) -> Answer:
        """Facts and arrays of one of `questions.RUNGS`."""
        return ANSWERS[rung](self)

    def identity(self) -> Answer:
        """P0 and P1: what the model should be and be fed, and the weights that were drawn."""
        fed = {name: order.arrays_sha256([x]) for name, x in self._x.items()}
        return {
            "layers": [layer.name for layer in self._network.layers],
            "weights": [
                f"{layer.name} {kind}"
                for layer, shapes in zip(self._network.layers, self._network.shapes(), strict=True)
                for kind, _ in zip(("kernel", "bias"), shapes, strict=False)
            ],
            "parameters": sum(weight.size for weight in self._drawn),
            "fed_sha256": fed | {"targets": order.arrays_sha256([self._y])},
        }, _numbered("weight", self._drawn)

    def forward(self) -> Answer:
        """P2: output of every layer, logits and probabilities."""
        arrays: Arrays = {}
        for name, x in self._x.items():
            *outputs, logits = self._network.outputs(self._drawn, x)
            arrays[f"{name}.logits"] = logits
            arrays[f"{name}.probabilities"] = oracle.softmax(logits)
            if name in questions.LAYERED:
                arrays |= _numbered(f"{name}.layer", outputs)
        return {}, arrays

    def gradients(self) -> Answer:
        """P3: loss and gradient; with saturated outputs also by the clipped definition."""
        x, saturated = (
            self._x["train"],
            [
                *self._drawn[:-2],
                *(np.float32(questions.SATURATION) * weight for weight in self._drawn[-2:]),
            ],
        )
        loss, gradient = self._network.gradients(self._drawn, x, self._y)
        exact, exact_gradient = self._network.gradients(saturated, x, self._y)
        clipped, clipped_gradient = self._network.gradients(saturated, x, self._y, clipped=True)
        facts = {"loss": loss, "saturated_loss": exact, "saturated_loss_clipped": clipped}
        return facts, {
            **_numbered("gradient", gradient),
            **_numbered("saturated_gradient", exact_gradient),
            **_numbered("saturated_gradient_clipped", clipped_gradient),
        }

    def update(self) -> Answer:
        """P4: weights after one step of SGD, and after one of Adam."""
        _, gradient = self._network.gradients(self._drawn, self._x["train"], self._y)
        drawn = [weight.astype(np.float64) for weight in self._drawn]
        return {"steps": {"sgd": 1, "adam": 1}}, {
            **_numbered("sgd", oracle.sgd(drawn, gradient, questions.SGD_RATE)),
            **_numbered("adam", oracle.Adam().step(drawn, gradient)),
        }

    def trajectory(self) -> Answer:
        """P5: weights along a training, by either definition of the loss.

        `clipped_since` is the first step that clipping changed; None if there is none.
        """
        arrays: Arrays = {}
        for name, clipped in (("", False), ("_clipped", True)):
            path = self._train_to(questions.CHECKPOINTS[-1], clipped)
            for checkpoint in questions.CHECKPOINTS:
                arrays |= _numbered(f"step{checkpoint}{name}.weight", path[checkpoint - 1])
        differ = [
            step
            for step, pair in enumerate(zip(*self._paths.values(), strict=True), start=1)
            if not all(map(np.array_equal, *pair))
        ]
        facts = {"steps": len(path), "clipped_since": differ[0] if differ else None}
        return facts, arrays

    def predictions(self) -> Answer:
        """P6: probabilities of the whole test set, from trained weights."""
        logits = self._network.logits(self.trained(), self._inputs.test / np.float32(255))
        return {}, {"logits": logits, "probabilities": oracle.softmax(logits)}

    def trained(self) -> list[NDArray[np.float32]]:
        """Weights after some steps, in float32: those from which every backend predicts."""
        path = self._train_to(questions.TRAINED_STEPS)
        return [weight.astype(np.float32) for weight in path[questions.TRAINED_STEPS - 1]]

    def _train_to(self, steps: int, clipped: bool = False) -> list[list[oracle.Array]]:
        """Weights after each step of Adam; kept, since two rungs go the same way."""
        images, labels = self._inputs.path
        path, adam = self._paths[clipped], self._adams[clipped]
        for step in range(len(path), steps):
            part = slice(step * self._batch_size, (step + 1) * self._batch_size)
            weights: oracle.Weights = path[-1] if path else self._drawn
            _, gradient = self._network.gradients(
                weights, images[part] / np.float32(255), self._targets(labels[part]), clipped
            )
            path.append(adam.step(weights, gradient))
        return path

    def _targets(self, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
        classes = self._network.shapes()[-1][-1][0]
        return np.asarray(labels[:, np.newaxis] == np.arange(classes), np.float32)


ANSWERS: Mapping[str, Callable[[Reference], Answer]] = {
    rung: getattr(Reference, rung) for rung in questions.RUNGS
}


def _numbered(name: str, arrays: Sequence[NDArray[Any]]) -> Arrays:
    return {f"{name}{number}": array for number, array in enumerate(arrays)}
