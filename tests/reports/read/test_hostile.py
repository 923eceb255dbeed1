"""Whatever shards claim, with hashes that fit: it is refused with a line, or stands in a report."""

import contextlib
import copy
import io
import json
import shutil
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract.envelopes import sealed
from bench.contract.limits import MOST_LANES
from reports.judging.comparison import compare
from reports.pages import markdown
from reports.read import shards
from reports.tables import comparable
from tests.support import hostile

Change = Callable[[Any, Any], Any]
"""Alters a payload and its arrays."""

KINDS = ("plan", "images", "accuracy", "speed", "parity", "reference")
# `nox -s endurance` tries the same for minutes.
a_few = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = hostile.store(tmp_path_factory.mktemp("good")).path
    found = shards.read([folder])
    assert found.problems == []
    markdown.render(compare(found))
    return folder


def of_kind(folder: Path, kind: str) -> list[tuple[Path, dict[str, Any]]]:
    contents = [(path, json.loads(path.read_bytes())) for path in folder.glob("shards/*.json")]
    return sorted((pair for pair in contents if pair[1]["kind"] == kind), key=lambda pair: pair[0])


def read_with(good: Path, name: str, shard: bytes, arrays: bytes | None) -> shards.Shards:
    """The good run with this in the place of one of its shards."""
    folder = good.parent / "hostile" / good.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    path = folder / "shards" / name
    path.write_bytes(shard)
    if arrays is not None:
        path.with_suffix(".npz").write_bytes(arrays)
    return shards.read([folder])


def is_read_or_refused(good: Path, name: str, shard: bytes, arrays: bytes | None) -> None:
    found = read_with(good, name, shard, arrays)
    with contextlib.suppress(comparable.NotComparableError):
        markdown.render(compare(found))


def retold(good: Path, name: str, alter: Change) -> tuple[bytes, bytes]:
    """A shard and its arrays, altered, with hashes that fit."""
    content = json.loads((good / "shards" / f"{name}.json").read_bytes())
    with np.load(good / "shards" / f"{name}.npz") as archive:
        arrays = dict(archive)
    alter(content["payload"], arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    payload = content["payload"] | {"arrays_sha256": sha256(buffer.getvalue()).hexdigest()}
    return sealed(content["kind"], good.name, name, payload), buffer.getvalue()


def identity(payload: Any) -> Any:
    return payload["facts"]["identity"]


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda p, _: identity(p).update(trainable=[7]), "trained weights that there are not"),
        (lambda p, _: identity(p).update(trainable=[0, 0]), "trained weights that there are not"),
        (lambda p, _: identity(p).update(weights=["one"]), "2 weights, of which 1 have names"),
        (lambda p, _: identity(p).update(compile_config="[]"), "compile_config is no JSON object"),
        (lambda p, _: identity(p).update(compile_config="{"), "compile_config is no JSON object"),
        (lambda _, a: a.update({"gradients.gradient0": np.ones(3)}), "gradients.gradient is not"),
        (lambda _, a: a.update({"gradients.gradient1": np.ones(3)}), "gradients.gradient is not"),
        (lambda _, a: a.pop("update.sgd1"), "update.sgd is not of the weights' shapes"),
        (lambda _, a: a.update({"update.adam0": np.ones(3)}), "update.adam is not"),
        (lambda _, a: a.pop("trajectory.step1.weight1"), "trajectory.step1.weight is not"),
        (lambda _, a: a.pop("forward.one.output0"), "forward.one has no logits"),
        (lambda _, a: a.update({"forward.b.logits": np.ones((2, 3))}), "no probabilities"),
        (lambda _, a: a.pop("predictions.output0"), "predictions has no logits"),
        (lambda _, a: a.update({"update.near0.sgd0": np.ones(3)}), "near0.sgd0 is like nothing"),
        (lambda _, a: a.update({"update.near0.sgd9": np.ones(3)}), "near0.sgd9 is like nothing"),
        (lambda _, a: a.update({"gradients.near0.fact.loss": np.ones(3)}), "fact.loss is like"),
        (lambda _, a: a.pop("gradients.near0.gradient0"), "not 1 gradients of near0"),
    ],
)
def test_a_reference_that_does_not_hold_together_is_refused(
    good: Path, alter: Change, words: str
) -> None:
    name = "reference-mine-jax.try1"
    found = read_with(good, f"{name}.json", *retold(good, name, alter))
    (problem,) = found.problems
    assert words in problem


def test_a_model_that_declares_no_graph_has_a_reference_without_layers(good: Path) -> None:
    def whole(payload: Any, arrays: Any) -> None:
        identity(payload)["layers"] = []
        for name in [name for name in arrays if "forward." in name and ".layer" in name]:
            del arrays[name]

    name = "reference-mine-jax.try1"
    assert read_with(good, f"{name}.json", *retold(good, name, whole)).problems == []
    name = "reference-single_layer-numpy.try1"
    (problem,) = read_with(good, f"{name}.json", *retold(good, name, whole)).problems
    assert "an oracle without layers" in problem


def test_layers_and_inputs_beyond_number_are_refused_at_the_first_that_is_missing(
    good: Path,
) -> None:
    """A list of all their products would not fit into memory."""

    def many(payload: Any, arrays: Any) -> None:
        identity(payload)["layers"] = [""] * 1_000_000
        for number in range(300):
            identity(payload)["fed_sha256"][f"i{number}"] = "0" * 64
            arrays[f"forward.i{number}.layer0"] = np.zeros(1)
            for name in ("logits", "probabilities"):
                arrays[f"forward.i{number}.{name}"] = np.zeros((1, 2))

    stem = "reference-single_layer-numpy.try1"
    tracemalloc.start()
    try:
        (problem,) = read_with(good, f"{stem}.json", *retold(good, stem, many)).problems
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "not the outputs of all layers" in problem
    assert peak < 1 << 30


def test_a_ladder_without_answers_is_none(good: Path) -> None:
    content = json.loads((good / "shards" / "plan.json").read_bytes())
    content["payload"]["parity"]["probes"] = ["identity"]
    shard = sealed("plan", good.name, "plan", content["payload"])
    (problem,) = read_with(good, "plan.json", shard, None).problems
    assert "a parity ladder that asks for no answers" in problem


@pytest.mark.parametrize("name", ["cell-torch.try1", "parity-single_layer-torch-cpu.try1"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["machine"].update(id="other"), "machines differ"),
        (lambda p: p["worker"]["versions"].update(torch="9.9"), "torch on cpu: versions differ"),
    ],
)
def test_fault_15_parts_of_one_run_are_of_one_machine_and_one_version(
    good: Path, name: str, change: Callable[[Any], object], words: str
) -> None:
    found = read_with(good, f"{name}.json", *retold(good, name, lambda p, _: change(p)))
    assert found.problems == []
    with pytest.raises(comparable.NotComparableError, match=words):
        comparable.check(found)


def test_answers_beside_those_that_were_asked_for_fail(good: Path) -> None:
    """Of another step, or of a weight that there is not."""
    name = "parity-single_layer-jax-cpu.try1"
    for extra in ("trajectory.step9.weight0", "trajectory.step1.weight2", "update.sgd2"):
        told = retold(good, name, lambda _, arrays, key=extra: arrays.update({key: np.ones(3)}))  # type: ignore[misc]
        table = compare(read_with(good, f"{name}.json", *told)).parity
        failed = table[(table["status"] == "fail") & (table["rung"] != "P7")]
        assert failed["quantity"].str.startswith(extra).tolist() == [True]


@pytest.mark.parametrize(
    ("field", "claim", "refused"), [("precision", "x", True), ("restless", ["layerx"], False)]
)
def test_whatever_is_claimed_of_a_model_is_judged_or_refused(
    good: Path, field: str, claim: Any, refused: bool
) -> None:
    name = "parity-single_layer-jax-cpu.try1"
    told = retold(good, name, lambda p, _: p["facts"]["identity"].update({field: claim}))
    found = read_with(good, f"{name}.json", *told)
    assert bool(found.problems) is refused
    markdown.render(compare(found))


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_field_claims_nothing_is_raised(good: Path, kind: str) -> None:
    stored = of_kind(good, kind)

    @a_few
    @given(st.randoms(use_true_random=False), st.integers(1, 3))
    def check(random: Random, changes: int) -> None:
        path, content = copy.deepcopy(random.choice(stored))
        for _ in range(changes):
            hostile.change(content["payload"], random)
        shard = sealed(kind, good.name, path.stem, content["payload"])
        is_read_or_refused(good, path.name, shard, None)

    check()


@pytest.mark.parametrize("kind", ["images", "accuracy", "parity", "reference"])
def test_whatever_an_array_is_nothing_is_raised(good: Path, kind: str) -> None:
    stored = of_kind(good, kind)

    @a_few
    @given(st.randoms(use_true_random=False), st.integers(1, 2))
    def check(random: Random, changes: int) -> None:
        path, _ = random.choice(stored)

        def alter(_: Any, arrays: Any) -> None:
            for _ in range(changes):
                hostile.spoil(arrays, random)

        is_read_or_refused(good, path.name, *retold(good, path.stem, alter))

    check()


def test_a_plan_of_more_than_anybody_runs_is_refused(good: Path) -> None:
    """A few thousand pairs of lanes take minutes to report."""
    content = json.loads((good / "shards" / "plan.json").read_bytes())
    lanes = [{"lane": f"b{n}", "device": "cpu", "twin": False} for n in range(MOST_LANES + 1)]
    subject = content["payload"]["parity"]["subjects"][0]
    subjects = [subject | {"model": f"m{n}"} for n in range(501)]
    for part, change in (("speed", {"lanes": lanes}), ("parity", {"subjects": subjects})):
        plan = content["payload"] | {part: content["payload"][part] | change}
        found = read_with(good, "plan.json", sealed("plan", good.name, "plan", plan), None)
        assert found.plans == {}
        assert "of length <=" in found.problems[0]
