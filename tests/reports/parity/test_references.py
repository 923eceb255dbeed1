"""Which reference is trusted, and what a subject is compared with, on answers that are made up."""

from dataclasses import replace
from typing import Any

import numpy as np

from bench.contract.parity_schema import Facts, Reference
from reports.ladder import training_rungs
from reports.ladder.findings import Answers
from reports.parity import references
from reports.read.shards import ReferenceShard
from tests.support.stored_answers import SHA
from tests.support.stored_answers import answers_in_float64 as answers


def shard(backend: str, given: Answers, status: str = "ok") -> ReferenceShard:
    import msgspec

    payload = Reference(
        dataset="drawn",
        dataset_sha256=SHA,
        batch_size=4,
        seed=0,
        probes=["identity"],
        model="m",
        lane=backend,
        status=status,
        error=None if status == "ok" else "it crashed",
        log=None,
        facts=msgspec.convert(given.facts, Facts),
        arrays_sha256=SHA,
    )
    return ReferenceShard("run", f"reference-m-{backend}", payload, given.arrays)


def wrong() -> Answers:
    """One whose second layer gives something else."""
    layer = answers().arrays["forward.one.layer1"]
    return answers(forward__one__layer1=layer * 1.01)


def test_of_three_the_two_that_agree_are_trusted_and_the_third_is_named() -> None:
    chosen = references.choose(
        [
            shard("jax", wrong()),
            shard("tensorflow", answers()),
            shard("torch", answers()),
        ]
    )
    assert chosen.agreed
    assert chosen.shards[0].payload.lane in {"tensorflow", "torch"}
    odd = [each for each in references.in_float64(chosen, "jax") if each.status == "fail"]
    assert [(each.rung, each.quantity) for each in odd] == [("P2", "in float64, second")]
    for backend in ("tensorflow", "torch"):
        assert all(each.status == "pass" for each in references.in_float64(chosen, backend))


def test_of_two_layers_that_are_off_the_first_is_named() -> None:
    """The second is fed by it, and farther off."""
    arrays = answers().arrays
    off = answers(
        forward__one__layer0=arrays["forward.one.layer0"] * 1.001,
        forward__one__layer1=arrays["forward.one.layer1"] * 1.1,
    )
    chosen = references.choose(
        [
            shard("jax", off),
            shard("tensorflow", answers()),
            shard("torch", answers()),
        ]
    )
    odd = [each for each in references.in_float64(chosen, "jax") if each.status == "fail"]
    assert [each.quantity for each in odd] == ["in float64, first"]


def test_of_two_that_differ_neither_is_right() -> None:
    chosen = references.choose([shard("jax", wrong()), shard("torch", answers())])
    assert not chosen.agreed
    told = "JAX and PyTorch differ at second; with two there is no majority"
    for backend, own in (("jax", wrong()), ("torch", answers())):
        (found,) = references.in_float64(chosen, backend)
        assert (found.rung, found.quantity, found.status) == ("P2", told, "fail")
        # Each is compared with itself in float64, and not with the one that happens to be first.
        assert {each.status for each in references.judge(own, backend, chosen)} == {"pass"}


def test_references_that_were_asked_nothing_that_parts_them_are_undecided() -> None:
    """Whatever shards hold, and whoever made them."""
    asked = answers()
    facts = {"identity": asked.facts["identity"]}
    few = Answers(facts, {n: a for n, a in asked.arrays.items() if n.startswith("identity")})
    chosen = references.choose([shard("jax", few), shard("mine", few)])
    (found,) = references.in_float64(chosen, "jax")
    assert found.quantity == "JAX and mine differ; with two there is no majority"


def off(factor: float) -> Answers:
    layer = answers().arrays["forward.one.layer1"]
    return answers(forward__one__layer1=layer * factor)


def test_of_three_that_differ_only_who_is_far_from_both_others_is_blamed() -> None:
    near = references.choose(
        [
            shard("torch", off(1.5)),
            shard("jax", answers()),
            shard("tensorflow", off(1.001)),
        ]
    )
    assert set(near.undecided) == {"jax", "tensorflow"}
    for backend in near.undecided:
        (found,) = references.in_float64(near, backend)
        assert found.quantity.endswith("differ at second; with two there is no majority")
    far = [each.quantity for each in references.in_float64(near, "torch") if each.status == "fail"]
    assert far == ["in float64, second"]
    failed = references.judge(off(1.5), "torch", near)
    assert [each.quantity for each in failed if each.status == "fail"] == ["second"]
    alike = references.choose(
        [
            shard("torch", off(1.002)),
            shard("jax", answers()),
            shard("tensorflow", off(1.001)),
        ]
    )
    (found,) = references.in_float64(alike, "jax")
    assert found.quantity.endswith("and PyTorch differ at second; there is no majority")


def test_one_alone_is_told_to_be_unconfirmed_and_one_that_failed_why() -> None:
    chosen = references.choose([shard("jax", answers()), shard("torch", answers(), "crashed")])
    (alone,) = references.in_float64(chosen, "jax")
    assert (alone.status, alone.quantity) == (
        "warn",
        "answers in float64, which no other backend has confirmed",
    )
    (lost,) = references.in_float64(chosen, "torch")
    assert lost.status == "warn"
    assert "crashed, it crashed" in lost.quantity


def test_a_subject_in_float32_passes_and_a_wrong_layer_is_found() -> None:
    chosen = references.choose([shard("jax", answers()), shard("torch", answers())])
    rounded = {name: a.astype(np.float32) for name, a in answers().arrays.items()}
    found = references.judge(Answers(answers().facts, rounded), "jax", chosen)
    assert {each.status for each in found} == {"pass"}
    found = references.judge(wrong(), "jax", chosen)
    assert [each.quantity for each in found if each.status == "fail"] == ["second"]


def test_what_a_model_makes_of_rounding_is_no_fault() -> None:
    """The same error, of a layer that a rounding of the weights moves as far."""
    layer = answers().arrays["forward.one.layer1"]
    moved = {"forward.near0.one.layer1": layer * 1.02}
    others = {
        f"forward.near0.{name.removeprefix('forward.')}": array
        for name, array in answers().arrays.items()
        if name.startswith("forward.") and "layer1" not in name
    }
    true = replace(answers(), arrays={**answers().arrays, **moved, **others})
    chosen = references.choose([shard("jax", true), shard("torch", true)])
    (second,) = (f for f in references.judge(wrong(), "jax", chosen) if f.quantity == "second")
    assert second.status == "pass"
    assert second.spread > 1e-3
    (first,) = (f for f in references.judge(wrong(), "jax", chosen) if f.quantity == "first")
    assert first.warn == 5e-6


def test_half_precision_is_judged_by_what_a_rounding_of_it_does() -> None:
    """Whoever has measured it; what one of float32 does says nothing, and excuses nothing."""
    true = answers()
    gradient = true.arrays["gradients.gradient0"]
    forward = {name: a for name, a in true.arrays.items() if name.startswith("forward.")}

    def off(share: float, precision: str, **held: str) -> Answers:
        identity = {**true.facts["identity"], "precision": precision, **held}
        own = {"gradients.gradient0": gradient * (1 + share)}
        return Answers({**true.facts, "identity": identity}, {**true.arrays, **own})

    def moved(label: str, share: float) -> Answers:
        near = {
            f"gradients.{label}.gradient0": gradient * (1 + share),
            **{name.replace(".", f".{label}.", 1): array for name, array in forward.items()},
        }
        return Answers(true.facts, {**true.arrays, **near})

    def status(share: float, precision: str, reference: Answers) -> str:
        chosen = references.choose([shard("jax", true), shard("torch", reference)])
        found = references.judge(off(share, precision), "jax", chosen)
        return next(each.status for each in found if each.quantity == "gradient of kernel")

    half = moved("near0_float16", 0.01)
    assert [status(s, "float16", half) for s in (0.019, 0.039, 0.041)] == ["pass", "warn", "fail"]
    assert [status(s, "float16", true) for s in (0.0019, 0.007, 0.009)] == ["pass", "warn", "fail"]
    assert status(0.039, "float32", half) == "fail"
    assert status(0.09, "float32", moved("near0", 0.01)) == "warn"  # as schema 8 wrote it
    assert status(0.07, "bfloat16", half) == "fail"


def test_in_half_precision_a_gradient_in_parts_may_be_off_as_any_gradient_may() -> None:
    """Its sums have other lengths; what a rounding does to the ReLUs before it is told by P3."""
    given = answers()
    true = Answers({**given.facts, "consistency": {}}, given.arrays)
    gradient = true.arrays["gradients.gradient0"]
    forward = {name: a for name, a in true.arrays.items() if name.startswith("forward.")}
    near = {
        "gradients.near0_float16.gradient0": gradient * 1.01,
        **{name.replace(".", ".near0_float16.", 1): array for name, array in forward.items()},
    }
    measured = Answers(true.facts, {**true.arrays, **near})

    def status(share: float, precision: str) -> str:
        identity = {**true.facts["identity"], "precision": precision}
        facts = {**true.facts, "identity": identity, "consistency": {"large": 8}}
        own = {
            **{f"consistency.{name}.output0": np.ones(8) for name in ("parts", "whole")},
            "consistency.parts.gradient0": gradient,
            "consistency.whole.gradient0": gradient * (1 + share),
        }
        chosen = references.choose([shard("jax", true), shard("torch", measured)])
        found = references.judge(Answers(facts, {**true.arrays, **own}), "jax", chosen)
        kind = "8 examples at once and in parts: gradient"
        return next(each.status for each in found if each.quantity == kind)

    assert [status(s, "float16") for s in (0.019, 0.039, 0.041)] == ["pass", "warn", "fail"]
    assert [status(s, "float32") for s in (0.0009, 0.009, 0.019)] == ["pass", "warn", "fail"]


def test_a_step_is_rounded_as_weights_are_held() -> None:
    """Of weights of about 1 that move by 0.1, a rounding of float16 is half a percent."""
    true = answers()
    weight, after = (true.arrays[name] for name in ("identity.weight0", "update.sgd0"))

    def status(share: float, held: str) -> str:
        identity = {**true.facts["identity"], "precision": "float16", "held": held}
        own = {"update.sgd0": after + share * (after - weight)}
        subject = Answers({**true.facts, "identity": identity}, {**true.arrays, **own})
        chosen = references.choose([shard("jax", true), shard("torch", true)])
        found = references.judge(subject, "jax", chosen)
        return next(each.status for each in found if each.quantity == "SGD on kernel")

    assert status(0.03, "float16") == "warn"
    assert status(0.03, "float32") == "fail"


def test_what_is_no_number_fails_whoever_has_it_and_excuses_nothing() -> None:
    name = "forward.one.output0"
    output = answers().arrays[name]

    def failed(subject: Any, reference: Answers) -> list[str]:
        chosen = references.choose([shard("jax", reference), shard("torch", reference)])
        found = references.judge(answers(forward__one__output0=subject), "jax", chosen)
        return [each.quantity for each in found if each.status == "fail"]

    lost = np.full_like(output, np.nan)
    assert failed(lost, answers()) == ["output answer"]
    assert failed(output, answers(forward__one__output0=lost)) == ["output answer"]
    moved = {n.replace(".one.", ".near0.one."): a for n, a in answers().arrays.items()}
    near = {n: a for n, a in moved.items() if ".near0." in n} | {"forward.near0.one.output0": lost}
    magnifying = Answers(answers().facts, {**answers().arrays, **near})
    assert failed(output, magnifying) == []
    assert failed(output * 1.01, magnifying) == ["output answer"]


def test_a_model_that_gives_no_numbers_is_one_finding() -> None:
    lost = {f"forward.{x}.output0": np.full((1, 3), np.nan) for x in ("one", "train")}
    nothing = Answers(answers().facts, {**answers().arrays, **lost})
    chosen = references.choose([shard("jax", nothing), shard("torch", nothing)])
    assert references.in_float64(chosen, "torch") == []
    (found,) = references.judge(nothing, "torch", chosen)
    assert (found.rung, found.quantity, found.status) == ("P2", references.NOT_FINITE, "fail")


def test_what_a_model_makes_of_zeros_everywhere_is_no_difference() -> None:
    output = np.array([[np.nan, 1.0, -np.inf]])
    both = answers(forward__one__output0=output)
    chosen = references.choose([shard("jax", both), shard("torch", both)])
    assert chosen.agreed
    assert {each.status for each in references.judge(both, "jax", chosen)} == {"pass"}
    other = answers(forward__one__output0=np.array([[np.nan, np.nan, -np.inf]]))
    failed = [e for e in references.judge(other, "jax", chosen) if e.status == "fail"]
    assert [each.quantity for each in failed] == ["output answer"]


def test_a_first_step_is_not_judged_where_rounding_decides_its_sign() -> None:
    """Adam's goes by the sign of a gradient that is 0.01 and that rounding moves by 0.002."""
    gradient = np.ones((4, 3))
    gradient[0, 0] = 0.01
    weight = answers().arrays["identity.weight0"]
    step = weight - 1e-3 * np.sign(gradient)
    other = step.copy()
    other[0, 0] = weight[0, 0] + 1e-3
    near = {"gradients.near0.gradient0": np.where(gradient < 1, 0.012, gradient)}
    reference = {"gradients__gradient0": gradient, "update__adam0": step}

    def failed(**more: Any) -> list[str]:
        true = answers(**reference)
        chosen = Answers(true.facts, {**true.arrays, **more})
        found = training_rungs.update(
            answers(gradients__gradient0=gradient, update__adam0=other), chosen
        )
        return [each.quantity for each in found if each.status == "fail"]

    assert failed() == ["Adam on kernel"]
    assert failed(**near) == []
    other[0, 0] = weight[0, 0] + 2e-3  # farther than any step
    assert failed(**near) == ["Adam on kernel"]


def test_what_a_step_leaves_of_a_gradient_that_cancels_is_no_error() -> None:
    """A bias before a batch normalisation: its gradient is 0 but for rounding."""
    bias = answers().arrays["identity.weight1"].astype(np.float64)
    facts = {**answers().facts, "identity": {**answers().facts["identity"], "trainable": [0, 1]}}
    kernel = np.ones((4, 3))

    def told(rest: float, step: float) -> Answers:
        given = answers(
            gradients__gradient0=kernel,
            gradients__gradient1=np.full(3, rest),
            update__sgd0=answers().arrays["identity.weight0"] - kernel,
            update__sgd1=bias - rest,
            update__adam1=bias - step,
        )
        return Answers(facts, given.arrays)

    exact = told(1e-17, 1e-13)
    assert {each.status for each in training_rungs.update(told(1e-9, 3e-7), exact)} == {"pass"}
    failed = [
        e.quantity for e in training_rungs.update(told(1e-3, 1e-3), exact) if e.status == "fail"
    ]
    assert failed == ["SGD on mean"]
