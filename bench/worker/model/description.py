"""What a model is, told by a worker before anything is measured: ports, weights, losses."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import DataError, in_one_line, shortened
from bench.contract.units import Description, Input, ModelRequest, Output, Port, Weight
from bench.inputs import draws
from bench.inputs.examples import Examples
from bench.worker.loops.state import all_layers, readable
from bench.worker.model import building, initial_weights
from bench.worker.model.building import Built

BUILDS = (0, 1)
"""Seeds of two builds: what they have in common is not random."""

FEW, MOST_NUMBERS = 8, 1 << 20
"""Examples of a kind that a model is asked before anything is measured, and numbers in all."""


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
        arrays |= {f"{seed}.{number}": readable(values[number]) for number in numbers}
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
    """Refuse data of which the model makes no numbers as it is built.

    All examples are asked, or of many a share; and those of nothing but zeros, which a mask may
    leave nothing of, and those with the least and the largest integer. What cannot be computed even
    of the first ones is told where it is asked for.
    """
    rows = [array.reshape(len(array), -1) for array in given.inputs.values()]
    blank = np.flatnonzero(np.all([(row == 0).all(axis=1) for row in rows], axis=0))
    whole = [row for row in rows if row.dtype.kind in "iu" and row.size]
    ends = [end // row.shape[1] for row in whole for end in (row.argmin(), row.argmax())]
    count = min(len(given), max(FEW, MOST_NUMBERS // sum(row.shape[1] for row in rows)))
    spread = np.linspace(0, len(given) - 1, count).astype(int)
    try:
        _finite(built, given, np.arange(min(FEW, len(given))))
    except Exception:  # noqa: BLE001 - a layer may raise anything
        return
    for asked in (np.array([*blank[:FEW], *ends], int), spread):
        try:
            odd = asked[~_finite(built, given, asked)]
        except Exception as error:
            raise DataError(
                f"{name} raises {type(error).__name__} for some of the examples {asked.min()} to "
                f"{asked.max()} of x_{split}: {shortened(in_one_line(error))}"
            ) from error
        if len(odd):
            raise DataError(
                f"{name} gives no finite numbers for example {odd[0]} of x_{split}, before any "
                f"training{', of which all is 0' if odd[0] in blank else ''}"
            )


def _finite(built: Built, given: Examples, asked: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Of which of the examples that are asked for all outputs are finite."""
    if not len(asked):
        return np.ones(0, bool)
    size = built.feed.batch or len(asked)
    found = np.ones(len(asked), bool)
    for first in range(0, len(asked), size):
        places = asked[np.arange(first, first + size) % len(asked)]
        told = built.model(built.x(given.take(places)), training=False)
        for each in keras.tree.flatten(told):
            output = keras.ops.convert_to_numpy(each)
            if len(output) == size:
                finite = np.isfinite(output).reshape(size, -1).all(axis=1)
                found[first : first + size] &= finite[: len(asked) - first]
    return found


def _weights(builds: list[Built]) -> list[Weight]:
    one, other = (list(map(readable, built.model.get_weights())) for built in builds)
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
