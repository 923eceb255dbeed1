"""What every layer of a model gives, asked through a second model over the same graph."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from numpy.typing import NDArray

from bench.inputs.parity_questions import numbered
from bench.worker.loops.input_pipeline import leaves
from bench.worker.loops.state import readable
from bench.worker.model.candidate import Candidate
from bench.worker.model.native import Native
from models.lowering import PooledConvolution

Array = NDArray[Any]


@dataclass(frozen=True)
class Told:
    """Answers to one input.

    Attributes:
        given: What the model gives: `logits` and `probabilities` where its last layer is a softmax
            over them, else `output0` and so on.
        layers: Output of each layer but such a last one, by its place in `EveryLayer.names`
            (`layer0` and so on), but of those that are unlike.
    """

    given: dict[str, Array]
    layers: dict[str, Array]


class EveryLayer:
    """A model with the output of each of its layers.

    A model that declares no graph, as a subclassed one does, gives its own outputs alone. So does a
    native twin, which has none of Keras's layers, and of a layer that was lowered the output is
    another one; their names are the definition's.

    Attributes:
        names: Of the layers; of one with several outputs, of each of them.
        unlike: Those of which the candidate gives no output that could be compared.
        head: The last layer, if it is a softmax over logits that a dense layer makes.
    """

    def __init__(self, candidate: Candidate) -> None:
        """Build it; its weights stay those of the candidate."""
        self._candidate = candidate
        self._whole = None
        self.names: list[str] = []
        self.unlike: list[str] = []
        self.head: keras.layers.Dense | None = None
        model = candidate.model
        if not getattr(model, "inputs", None):
            return
        # Of words there is no distance; what is made of them comes after.
        outputs = [each for each in _outputs(model) if each[1].dtype != "string"]
        if not _within(model, [tensor for _, tensor in outputs]):
            outputs = [each for each in outputs if _within(model, each[1])]
        self.head = _softmax(model)
        asked = [tensor for _, tensor in outputs]
        if self.head is not None:
            policy = self.head.dtype_policy
            self._logits = keras.layers.Dense(self.head.units, dtype=policy, name="logits")
            asked.append(self._logits(self.head.input))
            outputs = [each for each in outputs if each[1] is not self.head.output]
            outputs.append((self.head.name, self.head.output))
            asked = [*(tensor for _, tensor in outputs), asked[-1]]
        self.names = [name for name, _ in outputs]
        if isinstance(candidate, Native):
            self.unlike = self.names[:-1]
            return
        pooled = {each.name for each in model.layers if isinstance(each, PooledConvolution)}
        self.unlike = [name for name in self.names if name in pooled]
        self._whole = keras.Model(model.inputs, [*asked, *model.outputs])

    def predict(self, x: Any) -> Told:
        """Answers from the candidate's weights as they are."""
        arrays = leaves(x)
        if isinstance(self._candidate, Native):
            logits, probabilities = self._candidate.logits(x), self._candidate.predict_one(x)
            return Told({"logits": logits, "probabilities": probabilities}, {})
        if self._whole is None:
            outputs = numbers(self._candidate.predict_one(x))
            return Told(numbered("output", outputs), {})
        if self.head is not None:
            self._logits.set_weights(self.head.get_weights())
        told = self._whole.predict(
            arrays if len(arrays) > 1 else arrays[0], batch_size=len(arrays[0]), verbose=0
        )
        count = len(self.names)
        told = numbers(told)
        layers, others = told[:count], told[count:]
        if self.head is None:
            return Told(numbered("output", others), self._alike(layers))
        given = {"logits": others[0], "probabilities": layers[-1]}
        return Told(given, self._alike(layers[:-1]))

    def _alike(self, layers: list[Array]) -> dict[str, Array]:
        found = zip(self.names, numbered("layer", layers).items(), strict=False)
        return {key: array for name, (key, array) in found if name not in self.unlike}


def numbers(structure: Any) -> list[Array]:
    """Arrays of a structure, in Keras's order, as NumPy knows them."""
    return [readable(each) for each in leaves(structure)]


def _outputs(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Each layer's output in this graph, and its name; of a layer called twice, the first."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        tensors = keras.tree.flatten(getattr(layer, "output", []))
        for number, tensor in enumerate(tensors):
            yield layer.name if len(tensors) == 1 else f"{layer.name}[{number}]", tensor


def _within(model: keras.Model, tensors: Any) -> bool:
    """Whether layers were called first in this model, and not in another one before."""
    try:
        keras.Model(model.inputs, tensors)
    except ValueError:
        return False
    return True


def _softmax(model: keras.Model) -> keras.layers.Dense | None:
    last = model.layers[-1]
    plain = (
        isinstance(last, keras.layers.Dense)
        and last.activation is keras.activations.softmax
        and last.use_bias
        and len(last.output.shape) == 2
        and [id(weight) for weight in model.weights[-2:]] == [id(last.kernel), id(last.bias)]
    )
    alone = [id(output) for output in model.outputs] == [id(last.output)] if plain else False
    return last if alone else None
