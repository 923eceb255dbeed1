"""What a model is, told by a worker before anything is measured: ports, weights, losses."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from bench.contract.errors import DataError
from bench.contract.units import Description, Input, ModelRequest, Output, Port, Weight
from bench.inputs import draws
from bench.inputs.examples import Examples
from bench.worker.loops.state import all_layers
from bench.worker.model import building, initial_weights
from bench.worker.model.building import Built

BUILDS = (0, 1)
"""Seeds of two builds: what they have in common is not random."""

FEW = 8
"""Examples of a kind that a model is asked before anything is measured."""


def describe(request: ModelRequest) -> Description:
    """Build a model, twice, and see that it takes its data.

    Returns:
        `inputs` and `outputs` (`name`, `shape` of one example, `dtype`; of an input `values`, the
        number of different integers that may be fed, or None; of an output `loss`), `chosen` (what
        was chosen for a model that is not compiled), `classes`, `batch` (the only size of a batch
        that it takes, or None), `rows` (outputs whose classes become one-hot rows), and for each
        weight its `path`, `sha256` as built, `random` (whether two builds differ, or a seed was
        given), and `drawn` (whether NumPy knows its distribution).

    Raises:
        ModelError: The file cannot be used.
        DataError: The dataset does not fit.
    """
    some = building.examples(request)["train"].take(slice(2)) if request.data else None
    builds = []
    for seed in BUILDS:
        keras.utils.set_random_seed(seed)
        builds.append(building.build(request, some))
    one = builds[0]
    if some is not None:
        given = building.examples(request)
        one.x(some)
        for split, each in given.items():
            one.y(each)
            _check_words(one, split, each)
            _check_numbers(request.name, one, split, each)
    return {
        "inputs": [
            Input(**_port(port), values=_vocabulary(one) if "int" in port.dtype else None)
            for port in one.feed.inputs
        ],
        "outputs": [
            Output(**_port(port), loss=loss.name)
            for port, loss in zip(one.feed.outputs, one.losses, strict=True)
        ],
        "chosen": one.chosen,
        "classes": one.classes,
        "batch": one.feed.batch,
        "rows": one.feed.in_rows(some, one.losses) if some is not None else [],
        "weights": _weights(builds),
    }


def share(request: ModelRequest, numbers: Sequence[int], seeds: int, path: str) -> None:
    """Write weights as this backend draws them, `<seed>.<number>` for each seed.

    Args:
        request: Of what.
        numbers: Of the weights.
        seeds: How many seeds.
        path: Of the npz.
    """
    some = building.examples(request)["train"].take(slice(1))
    arrays: dict[str, Any] = {}
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        values = building.build(request, some).model.get_weights()
        arrays |= {f"{seed}.{number}": values[number] for number in numbers}
    np.savez(path, **arrays)


def _port(port: Any) -> Port:
    return {"name": port.name, "shape": list(port.shape), "dtype": port.dtype}


def _vocabulary(built: Built) -> int:
    """Integers below this may be fed: every embedding of the model must know them."""
    sizes = [
        layer.input_dim
        for layer in all_layers(built.model)
        if isinstance(layer, keras.layers.Embedding)
    ]
    return int(min(sizes, default=2))


def _check_words(built: Built, split: str, given: Examples) -> None:
    """Refuse integers that an embedding right behind an input does not know.

    One backend raises, another gives NaN, the third something else.
    """
    tensors = keras.tree.flatten(getattr(built.model, "inputs", None) or [])
    ports = {id(t): port.name for t, port in zip(tensors, built.feed.inputs, strict=False)}
    for layer in all_layers(built.model):
        for node in layer._inbound_nodes if isinstance(layer, keras.layers.Embedding) else ():
            for tensor in node.input_tensors:
                array = given.inputs.get(ports.get(id(tensor), ""), given.inputs.get(""))
                if id(tensor) not in ports or array is None or not array.size:
                    continue
                low, high = int(array.min()), int(array.max())
                if low < 0 or high >= layer.input_dim:
                    named = f".{ports[id(tensor)]}" * (len(given.inputs) > 1)
                    raise DataError(
                        f"x_{split}{named} has integers {low} to {high}, and the model's embedding "
                        f"{layer.name} knows 0 to {layer.input_dim - 1}"
                    )


def _check_numbers(name: str, built: Built, split: str, given: Examples) -> None:
    """Refuse data for which the model gives no numbers as it is built.

    Beside the first examples those of nothing but zeros are asked, which a mask may leave nothing
    of. What cannot be computed at all is told where it is asked for.
    """
    rows = (array.reshape(len(array), -1) for array in given.inputs.values())
    blank = np.all([(row == 0).all(axis=1) for row in rows], axis=0)
    asked = [*range(min(FEW, len(given))), *np.flatnonzero(blank)[:FEW]]
    some = given.take(np.array(asked)).repeated(built.feed.batch or len(asked))
    try:
        told = built.model(built.x(some), training=False)
        outputs = [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(told)]
        finite = [np.isfinite(each).reshape(len(each), -1).all(axis=1) for each in outputs]
    except Exception:  # noqa: BLE001 - a layer may raise anything
        return
    odd = np.flatnonzero(~np.all(finite, axis=0))
    if len(odd):
        first = asked[odd[0] % len(asked)]
        raise DataError(
            f"{name} gives no finite numbers for example {first} of x_{split}, before any training"
            + (", of which all is 0" if blank[first] else "")
        )


def _weights(builds: list[Built]) -> list[Weight]:
    one, other = (built.model.get_weights() for built in builds)
    model = builds[0].model
    drawn = initial_weights.draw(model, 0)
    seeded = initial_weights.seeded(model)
    return [
        {
            "path": weight.path,
            "sha256": draws.arrays_sha256([value]),
            "random": not np.array_equal(value, again, equal_nan=True) or with_seed,
            "drawn": array is not None,
        }
        for weight, value, again, array, with_seed in zip(
            model.weights, one, other, drawn, seeded, strict=True
        )
    ]
