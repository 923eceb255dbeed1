"""Models that remember, draw when they predict, or compute in other numbers than float32."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from bench.contract.errors import DataError
from bench.contract.rungs import UNIT_ROUNDOFF
from bench.contract.units import ProbesRequest
from bench.inputs import draws, parity_questions
from bench.planning.plan import ROOT
from bench.worker.model import building, candidate, description, initial_weights, precision
from bench.worker.parity import consistency
from bench.worker.parity.probes import Probes
from reports.ladder import rungs
from reports.ladder.findings import Answers
from tests.backend import ladder
from tests.backend.test_own import described, fed, splits

CHEAP = ("identity", "forward", "gradients", "update", "consistency")
BATCH = 8
TORCH = keras.backend.backend() == "torch"
"""Under which Keras 3.15.1 cannot train a layer that remembers: it overwrites what its gradient
needs."""


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "LARGE", ladder.LARGE)
    monkeypatch.setattr(consistency, "CALLS", 5)


def opened(source: str, folder: Path) -> Probes:
    trained = str(folder / "trained.npz")
    return Probes(ProbesRequest(fed(source, folder), 0, BATCH, trained, ""))


def told(probes: Probes, asked: tuple[str, ...] = CHEAP) -> Answers:
    return ladder.answers(probes, asked)


def test_a_model_that_remembers_is_asked_in_its_own_size_and_forgets(tmp_path: Path) -> None:
    assert described("odd.py:remembers")["batch"] == BATCH
    probes = opened("odd.py:remembers", tmp_path)
    asked = ("identity", "forward") if TORCH else CHEAP
    first, second = told(probes, asked), told(probes, asked)
    assert first.facts["identity"]["restless"] == []
    assert TORCH or first.facts["consistency"]["large"] == 0
    assert {name.split(".")[1] for name in first.arrays if name.startswith("forward.")} == {
        *("train", "zeros", "whole")
    }
    assert {each.status for each in rungs.judge(first, second)} == {"pass"}


def test_a_trajectory_of_one_that_remembers_has_whole_batches_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity_questions, "CHECKPOINTS", (1, 3))
    monkeypatch.setattr(parity_questions, "NEIGHBOURS", 1)
    probes = opened("odd.py:remembers", tmp_path)
    if TORCH:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            told(probes, ("trajectory",))
        return
    answers = told(probes, ("identity", "trajectory"))
    assert answers.facts["trajectory"] == {"steps": 3}


def test_what_is_drawn_when_predicting_is_found_by_asking_twice(tmp_path: Path) -> None:
    answers = told(opened("odd.py:draws", tmp_path), ("identity",))
    # Names are encode, draw and answer; what comes before the draw is the same.
    assert set(answers.facts["identity"]["restless"]) == {"layer1", "layer2", "output0"}


def test_a_text_without_words_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(1, 9, (60, 5))
    labels = np.arange(60) % 3
    description.describe(fed("odd.py:pooled_under_a_mask", tmp_path, splits(words, labels)))
    words[30] = 0
    with pytest.raises(DataError, match=r"no finite numbers for example 30 of x_train.*all is 0"):
        description.describe(fed("odd.py:pooled_under_a_mask", tmp_path, splits(words, labels)))


def test_an_example_without_numbers_is_found_wherever_it_stands(tmp_path: Path) -> None:
    number = 579
    rows = np.random.default_rng(0).uniform(1, 2, (600, 8)).astype(np.float32)
    rows[number, 3] = -1
    with pytest.raises(DataError, match=f"no finite numbers for example {number} of x_train"):
        description.describe(fed("odd.py:logarithm", tmp_path, splits(rows, np.arange(600) % 3)))


def test_a_word_beyond_a_table_of_ones_own_is_no_data(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(0, 9, (60, 5))
    words[33, 2] = 1000
    with pytest.raises(DataError, match=r"(for example 33|for some of the examples .*) of x_train"):
        description.describe(fed("odd.py:looks_up", tmp_path, splits(words, np.arange(60) % 3)))


def test_a_dropout_of_ones_own_is_still(tmp_path: Path) -> None:
    answers = told(opened("odd.py:drops", tmp_path))
    assert answers.facts["identity"]["still"] == answers.facts["identity"]["random"] == ["drop"]
    assert {each.status for each in rungs.judge(answers, answers)} == {"pass"}


def test_what_is_drawn_from_a_constant_seed_is_found_by_moving_examples(tmp_path: Path) -> None:
    identity = told(opened("odd.py:constant", tmp_path), ("identity",)).facts["identity"]
    assert identity["restless"] == []
    assert set(identity["moved"]) == {"layer1", "layer2", "output0"}


def test_examples_that_depend_on_each_other_alike_are_no_draw_and_no_fault(tmp_path: Path) -> None:
    answers = told(opened("odd.py:depends", tmp_path))
    assert answers.facts["identity"]["restless"] == answers.facts["identity"]["moved"] == []
    assert answers.facts["consistency"]["large"] == ladder.LARGE
    assert {each.status for each in rungs.judge(answers, answers)} == {"pass"}


def test_a_model_whose_layers_do_not_say_their_size_is_not_asked_for_a_large_batch(
    tmp_path: Path,
) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    arrays = splits(rows, np.arange(40) % 3)
    request = fed("subclassed.py:build", tmp_path, arrays)
    probes = Probes(ProbesRequest(request, 0, BATCH, "", ""))
    answers = told(probes, ("identity", "consistency"))
    assert answers.facts["consistency"]["large"] == 0
    assert "consistency.eager.output0" in answers.arrays
    assert {each.status for each in rungs.judge(answers, answers)} == {"pass"}


def test_integers_and_booleans_are_numbers(tmp_path: Path) -> None:
    answers = told(opened("odd.py:counts", tmp_path))
    kinds = {array.dtype.kind for array in answers.arrays.values()}
    assert kinds <= set("fiub")
    names = answers.facts["identity"]["layers"]
    ranks = answers.arrays[f"forward.odd3.layer{names.index('ranks')}"]
    assert sorted(ranks[0]) == list(range(8))


@pytest.mark.parametrize("source", ["odd.py:half", "odd.py:half_by_policy"])
def test_half_precision_stays_with_its_model_and_is_told(source: str, tmp_path: Path) -> None:
    probes = opened(source, tmp_path)
    assert keras.config.dtype_policy().name == "float32"
    answers = told(probes)
    assert answers.facts["identity"]["precision"] == "bfloat16"
    assert {array.dtype.kind for array in answers.arrays.values()} <= set("fiub")
    (kernel, bias) = answers.numbered("identity.weight")[:2]
    x = building.examples(probes._request.model)["test"].repeated(3).only_input
    exact = np.maximum(x @ kernel + bias, 0)
    error = np.abs(answers.arrays["forward.odd3.layer0"] - exact).max() / exact.max()
    assert 2**-12 < error < 2**-6


def test_a_lane_computes_in_its_precision_or_says_that_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_lane", "mixed_bfloat16")
    probes = opened("odd.py:pooled_under_a_mask", tmp_path)
    kinds = {array.dtype.kind for array in told(probes).arrays.values()}
    assert kinds <= set("fiub")
    model = building.build(fed("odd.py:averages", tmp_path), None).model
    assert precision.of(model) == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"  # the lane's models alone
    with pytest.raises(building.ModelError, match="bfloat16, and its layers in float32"):
        building.build(fed("odd.py:stubborn", tmp_path), None)


@pytest.mark.parametrize("policy", ["bfloat16", "float16"])
def test_weights_in_half_precision_are_begun_with_as_they_round(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_lane", policy)
    probes = opened("odd.py:averages", tmp_path)
    answers = told(probes)
    facts = answers.facts["identity"]
    assert (facts["precision"], facts["held"]) == (policy, policy)
    assert facts["weights_sha256"] == draws.arrays_sha256(probes._drawn)
    assert {array.dtype.kind for array in answers.arrays.values()} <= set("fiub")
    held = probes._candidate.get_weights()
    errors = [np.abs(a - b).max() for a, b in zip(held, probes._drawn, strict=True)]
    assert {each.dtype.name for each in held} == {"float32"}
    assert 0 < max(errors) < UNIT_ROUNDOFF[policy]
    # What is no rounding of what was given stays as it is held.
    others = [weight * np.float32(1.02) for weight in held]
    kept = initial_weights.as_given(probes._model, held, others)
    assert all(a is b for a, b in zip(kept, held, strict=True))


@pytest.mark.parametrize("variant", ["stock", "tuned"])
def test_moving_means_of_weights_are_put_in_place_by_each_fit(variant: str, tmp_path: Path) -> None:
    request = replace(fed("odd.py:averages", tmp_path), variant=variant)
    examples = building.examples(request)["train"].take(slice(8))
    one = candidate.build(request, examples)
    x, y = one.built.x(examples), one.built.y(examples)
    moved = []
    for _ in range(2):  # JAX could not, for the second time
        before = one.get_weights()
        one.fit(one.inputs(x), one.targets(y), BATCH)
        moved.append(float(np.abs(one.get_weights()[0] - before[0]).max()))
    # The first step is Adam's, whose mean it is; of the second a tenth.
    assert moved == pytest.approx([0.01, 0.001], rel=0.2)


IN_FLOAT64 = """
import sys
import numpy as np
from bench.contract.units import ModelRequest, ProbesRequest
from bench.worker.parity import float64
float64.enable_float64()
from bench.worker.parity.probes import Probes
source, data, sha256, part, to = sys.argv[1:]
probes = Probes(ProbesRequest(ModelRequest("m", source, data, sha256, 1, part), 0, 8, "", ""))
arrays = {f"{p}.{n}": a for p in ("identity", "forward") for n, a in probes.answer(p)[1].items()}
np.savez(to, **arrays)
"""


def in_float64(source: str, folder: Path) -> Path:
    """Answers of a reference, which is a process of its own."""
    request = fed(source, folder)
    given = (request.source, request.data, request.data_sha256, request.part)
    command = [sys.executable, "-c", IN_FLOAT64, *given, str(folder / "wide.npz")]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder / "wide.npz"


def test_convolutions_in_half_precision_have_a_reference_too(tmp_path: Path) -> None:
    with np.load(in_float64("odd.py:half_of_images", tmp_path)) as wide:
        assert {wide[name].dtype.name for name in wide.files if "layer" in name} == {"float64"}


def test_the_reference_of_half_precision_is_float64(tmp_path: Path) -> None:
    request = fed("odd.py:half", tmp_path)
    with np.load(in_float64("odd.py:half", tmp_path)) as wide:
        kernel, bias = (wide[f"identity.weight{n}"].astype(np.float64) for n in (0, 1))
        x = building.examples(request)["test"].repeated(3).only_input.astype(np.float64)
        exact = np.maximum(x @ kernel + bias, 0)
        assert np.abs(wide["forward.odd3.layer0"] - exact).max() < 1e-12 * exact.max()
        # Weights are moved by a rounding of bfloat16, which changes more than one of float32.
        moved = wide["forward.near0_bfloat16.odd3.layer0"]
        assert np.abs(moved - exact).max() > 1e-4 * exact.max()
