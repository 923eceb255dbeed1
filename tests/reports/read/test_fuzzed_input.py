"""Whatever options and datasets hold, the answer is a plan or a dataset, or an error with a line.

Shards and messages have tests of their own (`test_shards`, `test_speed_shards`, `test_wire`).
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from bench.contract.errors import BenchError
from bench.inputs import datasets, user_models
from bench.inputs.datasets import ARRAYS
from bench.planning import resolving
from bench.planning.options import NOT_GIVEN

in_one_folder = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)

NUMBERS = ["", "0", "-1", "1", "1e9", "nan", "3%", "101%", "10m", "0s", ",", "9" * 400]
NAMES = ["all", "stock,tuned", "late+loop", "late+", "+", "smoke", "full", "mnist", "two_layer"]
WORDS = st.sampled_from([*NUMBERS, *NAMES])


@in_one_folder
@given(
    options=st.dictionaries(
        st.sampled_from(sorted(set(NOT_GIVEN) - {"resume"})), WORDS | st.text(max_size=20)
    ),
    workers=st.lists(st.text(max_size=20) | st.just("jax=/bin/true"), max_size=3),
    environ=st.dictionaries(
        st.sampled_from(["BENCH_BACKENDS", "BENCH_DEVICE", "BENCH_MNIST"]), st.text(max_size=12)
    ),
)
def test_any_options_are_a_plan_or_one_line(
    options: dict[str, str], workers: list[str], environ: dict[str, str]
) -> None:
    told = refusal(lambda: resolving.resolve({**NOT_GIVEN, **options}, workers, environ))
    assert told is None or (told and "\n" not in told)


@in_one_folder
@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_dataset_or_one_line(tmp_path: Path, content: bytes) -> None:
    is_refused_in_one_line(tmp_path, content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x_train.npy", content)
    is_refused_in_one_line(tmp_path, buffer.getvalue())


ANY_ARRAY = arrays.arrays(
    st.sampled_from([np.dtype(kind) for kind in ("u1", "i8", "f4", "f8", "?", "c8", "U3")]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@in_one_folder
@given(held=st.dictionaries(st.sampled_from([*ARRAYS, "x_train.a", "y_test.b", "z"]), ANY_ARRAY))
def test_any_arrays_are_a_dataset_or_one_line(
    tmp_path: Path, held: Mapping[str, NDArray[Any]]
) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **held)  # type: ignore[arg-type]
    is_refused_in_one_line(tmp_path, buffer.getvalue())


def is_refused_in_one_line(folder: Path, content: bytes) -> None:
    """Or accepted, by either loader."""
    path = folder / "data.npz"
    path.write_bytes(content)
    for told in (
        refusal(lambda: user_models.load(path, folder / "kept")),
        refusal(lambda: datasets.prepare("mnist", path, folder / "kept")),
    ):
        assert told is None or (str(path) in told and "\n" not in told)


def refusal(call: Callable[[], object]) -> str | None:
    """What an error of ours says; any other is one of the program's."""
    try:
        call()
    except BenchError as error:
        return str(error)
    return None
