"""The judge of the parity ladder, on answers that are made up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.contract.parity_schema import Facts
from bench.contract.rungs import PROBES
from reports.ladder import dropout_rungs, file_rungs, rungs, trajectory_rungs
from reports.ladder.findings import Answers, Finding
from tests.support.stored_answers import SHA, oracle_answers, rounded, whole_model


def failed(answers: Answers, true: Answers) -> list[tuple[str, str]]:
    return [(f.rung, f.quantity) for f in rungs.judge(answers, true) if f.status == "fail"]


def test_rounded_answers_pass_with_errors_of_about_one_floor() -> None:
    true = oracle_answers()
    found = rungs.judge(rounded(true), true)
    assert {finding.status for finding in found} == {"pass"}
    forward = [finding for finding in found if finding.rung == "P2" and finding.floor > 0]
    assert all(0 <= finding.value / finding.floor <= 1.01 for finding in forward)


@pytest.mark.parametrize(
    ("value", "status"), [(5e-6, "pass"), (6e-6, "warn"), (6e-5, "fail"), (np.nan, "fail")]
)
def test_a_finding_is_as_bad_as_its_value(value: float, status: str) -> None:
    assert Finding("P2", "logits", value, "P2 output").status == status


def test_a_layer_that_is_off_is_named() -> None:
    true = oracle_answers()
    layer = true.arrays["forward.odd33.layer0"]
    off = rounded(true, forward__odd33__layer0=layer + 1e-3 * np.abs(layer).max())
    assert failed(off, true) == [("P2", "hidden")]


def test_an_error_of_large_logits_is_none_of_the_softmax() -> None:
    true = oracle_answers()
    size = 300.0
    true.arrays["forward.odd33.logits"] *= size
    probabilities = true.arrays["forward.odd33.probabilities"] + 1e-4
    found = rungs.judge(rounded(true, forward__odd33__probabilities=probabilities), true)
    (told,) = (
        each.value
        for each in found
        if (each.rung, each.quantity) == ("P2", "output (probabilities)")
    )
    assert told == pytest.approx(1e-4 / (5 * size * probabilities.max()), rel=0.01)


def test_a_weight_that_is_a_single_number_is_compared_as_others_are() -> None:
    """As the count of a normalisation that was adapted: an integer of shape ()."""
    true = oracle_answers()
    for name in ("identity.weight", "update.sgd", "update.adam"):
        count = len(true.numbered(name))
        true = replace(true, arrays={**true.arrays, f"{name}{count}": np.array(3)})
    names = [*true.facts["identity"]["weights"], "count"]
    identity = {**true.facts["identity"], "weights": names, "trainable": list(range(count))}
    true = replace(true, facts={**true.facts, "identity": identity})
    assert failed(rounded(true), true) == []
    other = rounded(true, **{f"update.adam{count}": np.array(4)})
    assert failed(other, true) == [("P4", "Adam on count")]


def test_no_number_is_a_failure() -> None:
    true = oracle_answers()
    logits = true.arrays["forward.odd33.logits"].copy()
    logits[0, 0] = np.nan
    told = dict(failed(rounded(true, forward__odd33__logits=logits), true))
    assert told["P2"]


def test_an_undecided_image_may_be_answered_either_way_and_a_clear_one_may_not() -> None:
    true = oracle_answers()
    logits = true.arrays["forward.odd33.logits"]
    close, clear = logits.copy(), logits.copy()
    close[1] = [0.0, 1.99992, 1.99998]  # the margin is 1e-4, and others have errors of 8e-5
    close[0] += 8e-5
    assert rungs.differing_answers(
        rounded(true, forward__odd33__logits=close), true, "forward.odd33.logits"
    ) == (1, 0)
    clear[0] = [2.0, 2.1, 0.0]  # its own error is no excuse
    wrong = rounded(true, forward__odd33__logits=clear)
    assert rungs.differing_answers(wrong, true, "forward.odd33.logits") == (1, 1)
    assert ("P2", "answers beyond the margin") in failed(wrong, true)


def test_a_step_that_is_no_number_or_too_long_is_seen_where_the_gradient_is_rounding() -> None:
    true = oracle_answers()
    true.arrays["gradients.gradient0"][0, 0] = 1e-9
    start, adam = true.arrays["identity.weight0"], true.arrays["update.adam0"]
    other_way, too_far, lost = adam.copy(), adam.copy(), adam.copy()
    other_way[0, 0] = start[0, 0] - 9e-4
    too_far[0, 0] = start[0, 0] - 2e-3
    lost[0, 0] = np.nan
    assert failed(rounded(true, update__adam0=other_way), true) == []
    for wrong in (too_far, lost):
        found = failed(rounded(true, update__adam0=wrong), true)
        assert found == [("P4", "Adam on output kernel")]


def test_what_has_no_gradient_must_be_decayed_alike() -> None:
    """That Adam's first step is never longer than a learning rate excuses nothing."""
    drawn = oracle_answers()
    start = drawn.arrays["identity.weight1"]
    still = {"gradients.gradient1": np.zeros(3), "update.adam1": start}
    true = replace(drawn, arrays={**drawn.arrays, **still})
    rounding = start * (1 + 1e-7)
    assert failed(rounded(true, update__adam1=rounding), true) == []
    decayed = rounded(true, update__adam1=start * (1 - 1e-5))
    what = "Adam on output bias, which has no gradient"
    assert failed(decayed, true) == [("P4", what)]
    given = np.full(3, 1e-9)  # a gradient that is rounding, where the exact one is 0, does excuse
    assert failed(rounded(decayed, gradients__gradient1=given), true) == []


def test_both_definitions_of_a_saturated_loss_pass_and_are_told_apart() -> None:
    true = oracle_answers()
    arrays = dict(rounded(true).arrays)
    for number in range(2):
        arrays[f"gradients.saturated_gradient{number}"] = arrays[
            f"gradients.saturated_gradient_clipped{number}"
        ]
    facts = {**true.facts, "gradients": {"loss": 1.5, "saturated_loss": 16.0}}
    found = rungs.judge(Answers(facts, arrays), true)
    assert {finding.status for finding in found} == {"pass"}
    assert "saturated loss (from clipped probabilities)" in [f.quantity for f in found]
    plain = rungs.judge(rounded(true), true)
    assert "saturated loss (from logits)" in [f.quantity for f in plain]


@pytest.mark.parametrize("probe", sorted(oracle_answers().facts.keys() - {"consistency"}))
def test_arrays_that_are_missing_or_of_another_shape_or_one_too_many_are_told(probe: str) -> None:
    true = oracle_answers()
    own = rounded(true)
    names = [name for name in own.arrays if name.startswith(f"{probe}.")]
    compared = [name for name in names if not rungs.REFERENCE_ALONE.search(name)]
    for name in compared:
        missing = {each: array for each, array in own.arrays.items() if each != name}
        for arrays in (missing, {**own.arrays, name: np.zeros((3, 4, 5))}):
            (told,) = [f for f in failed(replace(own, arrays=arrays), true) if name in f[1]]
            fault = f"{name} is missing, has another shape or is one too many"
            assert told == (PROBES[probe].rungs[-1], fault)
    counted = [name for name in compared if name[-1].isdigit() and probe != "forward"]
    for name in counted:
        more = {**own.arrays, f"{name}9": own.arrays[name]}
        assert f"{name}9" in failed(replace(own, arrays=more), true)[0][1]
    assert compared or probe == "identity"


def test_every_probe_has_facts_and_a_comparison() -> None:
    assert list(PROBES) == list(rungs.COMPARISONS) == list(Facts.__struct_fields__)


def test_steps_that_were_not_done_are_told() -> None:
    true = oracle_answers()
    facts = {**true.facts, "update": {"steps": {"sgd": 1, "adam": 0}}}
    assert failed(replace(rounded(true), facts=facts), true) == [("P0", "steps")]


def test_what_was_fed_is_named() -> None:
    true = oracle_answers()
    identity = {**true.facts["identity"], "fed_sha256": {"odd33": "b" * 64, "targets": SHA}}
    facts = {**true.facts, "identity": identity}
    assert failed(replace(rounded(true), facts=facts), true) == [("P0", "what is fed: odd33")]


def test_an_input_that_the_oracle_was_not_fed_is_named() -> None:
    true = oracle_answers()
    fed = {**true.facts["identity"]["fed_sha256"], "zeros": SHA}
    facts = {**true.facts, "identity": {**true.facts["identity"], "fed_sha256": fed}}
    assert failed(replace(rounded(true), facts=facts), true) == [("P0", "what is fed: zeros")]


def test_a_file_whose_optimizer_cannot_be_read_warns_and_one_with_other_weights_fails() -> None:
    without = whole_model(
        optimizer_sha256=None,
        compile_config=None,
        jit_compile=None,
        optimizer_error="could not locate class in keras.src.backend.torch.optimizers",
    )
    unreadable = "optimizer in torch's model file, which Keras cannot read here"
    assert odd_files("torch", whole_model()) == []
    assert odd_files("torch", without) == [(unreadable, "warn")]
    ((_, told),) = odd_files("torch+half", without)  # whatever lane of it
    assert told == "warn"
    for other in (
        odd_files("torch@1", without, reader="torch+half"),
        odd_files("jax", without),  # only torch's files are known for it
        odd_files("torch", without, reader="torch"),  # and torch can read them
        odd_files("torch", without | {"optimizer_error": "a bytes-like object is required"}),
    ):
        ((_, told),) = other
        assert told == "fail"
    assert odd_files("torch", without | {"weights_sha256": "b" * 64}) == [
        ("weights in torch's model file", "fail"),
        (unreadable, "warn"),
    ]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"optimizer_sha256": "b" * 64}, "optimizer"),
        ({"config": "{1}"}, "layers"),
        ({"compile_config": "{1}"}, "configuration"),
        ({"jit_compile": True}, "jit_compile"),
    ],
)
def test_a_file_that_would_train_on_otherwise_fails(changed: dict[str, Any], what: str) -> None:
    assert odd_files("jax", whole_model(**changed)) == [(f"{what} in jax's model file", "fail")]


def test_a_file_that_brings_the_compiler_of_its_backend_warns() -> None:
    assert odd_files("jax", whole_model(jit_compile=True), there=True) == [
        ("jit_compile in jax's model file, which Keras keeps as it is there", "warn")
    ]


def told_of_dropout(generator: np.random.Generator, rate: float = 0.2) -> dict[str, Any]:
    """What 100,000 units do in two steps, each on its own."""
    first, second = generator.uniform(size=(2, 100_000)) < rate
    return {
        "rate": 0.2,
        "drawn": 200_000,
        "dropped": int(first.sum() + second.sum()),
        "pairs": 100_000,
        "dropped_twice": int((first & second).sum()),
        "misscaled": 0,
    }


def test_dropout_that_draws_as_it_should_passes_and_another_rate_fails() -> None:
    generator = np.random.default_rng(0)
    values = []
    for _ in range(300):
        found = list(dropout_rungs.of_dropout(told_of_dropout(generator)))
        assert [each.status for each in found] == ["pass"] * 3
        values.append([each.value for each in found[:2]])
    # The mean of a standard normal's absolute value.
    assert np.mean(values, axis=0) == pytest.approx([np.sqrt(2 / np.pi)] * 2, abs=0.1)
    off = list(dropout_rungs.of_dropout(told_of_dropout(generator, 0.21)))
    assert off[0].status == "fail"
    misscaled = told_of_dropout(generator) | {"misscaled": 1}
    assert [each.status for each in dropout_rungs.of_dropout(misscaled)] == ["pass", "pass", "fail"]


def test_a_model_file_that_its_own_backend_cannot_read_is_no_fault_of_the_exchange() -> None:
    unread = {"error": "TypeError: no layers"}
    assert odd_files("jax", unread, unread="TypeError: no layers") == [
        ("jax's model file, which jax cannot read: TypeError: no layers", "warn")
    ]
    assert odd_files("jax", unread) == [
        ("jax's model file, which cannot be read here: TypeError: no layers", "fail")
    ]
    assert odd_files("jax", whole_model(), unwritten="NotImplementedError: config") == [
        ("jax's model file, which cannot be written: NotImplementedError: config", "warn")
    ]


def odd_files(
    source: str,
    whole: dict[str, Any],
    there: bool = False,
    reader: str = "tensorflow",
    unread: str | None = None,
    unwritten: str | None = None,
) -> list[tuple[str, str]]:
    """What is not fine about a backend's files, which another without a compiler has loaded."""
    saved = {"weights_sha256": SHA, "optimizer_sha256": SHA, "loss": 1.0}
    own = {"config": "{}", "compile_config": "{}", "jit_compile": False}
    files = file_rungs.Files(
        source, saved | {"model_error": unwritten}, own | {"jit_compile": there}, unread
    )
    found = file_rungs.judge(files, reader, {"model": whole, "weights": saved}, own)
    return [(each.quantity, each.status) for each in found if each.status != "pass"]


def trajectory(offset: float, width: float = 1.0) -> Answers:
    """Two steps, of one weight that is `offset` away from 0 at the second."""
    arrays = {
        "trajectory.step1.weight0": np.zeros(1),
        "trajectory.step2.weight0": np.full(1, offset),
    }
    if width:
        arrays["trajectory.distances"] = np.array([[[width], [width]], [[width / 2], [width]]])
    return Answers({"trajectory": {"steps": 2}}, arrays)


def test_trainings_part_where_they_are_ten_envelopes_apart() -> None:
    here, names = trajectory(0.0), ["output kernel"]
    assert trajectory_rungs.part(here, trajectory(9.0), names).horizon is None
    parting = trajectory_rungs.part(here, trajectory(11.0), names)
    assert (parting.horizon, parting.value) == (2, 11.0)
    assert parting.where == ", step 2, output kernel"
    assert trajectory_rungs.part(here, trajectory(9.0, width=0), names).value == 9.0
    assert trajectory_rungs.part(here, trajectory(11.0, width=2.0), names).horizon is None


def test_a_training_is_compared_with_the_oracles_by_its_own_definition_of_the_loss() -> None:
    true = trajectory(11.0, width=0)
    arrays = dict(true.arrays)
    for step in (1, 2):
        arrays[f"trajectory.step{step}_clipped.weight0"] = np.zeros(1)
    both = {"identity": {"weights": ["output kernel"]}}
    oracle = Answers(
        both | {"gradients": {"saturated_loss": 20.0, "saturated_loss_clipped": 16.0}}, arrays
    )
    found: dict[float, Finding] = {}
    for loss in (16.0, 20.0):
        own = replace(trajectory(0.0), facts={"gradients": {"saturated_loss": loss}})
        (found[loss],) = rungs.trajectory(own, oracle)
    assert found[16.0].status == "pass"
    assert found[20.0].status == "fail"
    assert found[20.0].quantity == "distance from the oracle (from logits), step 2, output kernel"


def taken_over(change: float) -> Answers:
    """A training that goes on from the oracle's after 198 steps."""
    arrays: dict[str, Any] = {
        **trajectory(0.0).arrays,
        "trajectory.restart198.start0": np.ones(1),
        "trajectory.restart198.weight0": np.full(1, 1.0 - change),
    }
    facts: dict[str, dict[str, Any]] = {
        "identity": {"weights": ["output kernel"]},
        "gradients": {"saturated_loss": 1.0, "saturated_loss_clipped": 2.0},
    }
    return Answers(facts, arrays)


@pytest.mark.parametrize(
    ("change", "status"),
    [(1e-3, "pass"), (1.0009e-3, "pass"), (1.005e-3, "warn"), (2e-3, "fail"), (np.nan, "fail")],
)
def test_late_steps_are_judged_by_what_they_change(change: float, status: str) -> None:
    _, found = rungs.trajectory(taken_over(change), taken_over(1e-3))
    assert (found.status, found.quantity) == (
        status,
        "steps after 198 of the oracle's, output kernel",
    )
    assert found.floor == pytest.approx(2.0**-24 / 1e-3)


def test_envelopes_that_are_missing_or_of_another_shape_are_told() -> None:
    true = taken_over(1e-3)
    true = replace(true, facts={**true.facts, "trajectory": {}})
    distances = true.arrays["trajectory.distances"]
    for wrong in (distances[:0], distances[:, :1], np.zeros(3)):
        own = replace(true, arrays={**true.arrays, "trajectory.distances": wrong})
        assert rungs.misshapen("trajectory", own, true) == "trajectory.distances"
    assert rungs.misshapen("trajectory", true, true) is None


def test_a_variant_may_leave_out_layers_that_it_computes_otherwise() -> None:
    """But not silently, and what comes of them is judged all the same."""
    true = oracle_answers()
    own = dict(rounded(true).arrays)
    for name in [name for name in own if name.endswith(".layer0") and "forward" in name]:
        del own[name]
    silent = Answers(true.facts, own)
    assert [rung for rung, _ in failed(silent, true)] == ["P2"]
    told = {**true.facts, "identity": {**true.facts["identity"], "unlike": ["hidden"]}}
    found = rungs.judge(Answers(told, own), true)
    assert {finding.status for finding in found} == {"pass"}
    assert "hidden" not in {finding.quantity for finding in found}
    own["forward.odd33.logits"] = own["forward.odd33.logits"] * 1.001
    assert ("P2", "logits") in failed(Answers(told, own), true)


def test_where_rounding_gives_nothing_an_error_is_infinitely_many_roundings() -> None:
    assert Finding("P2", "output", 0.0, "P2 output", 0.0).floors == 0
    assert Finding("P2", "output", 1e-9, "P2 output", 0.0).floors == np.inf


def test_the_sign_of_a_small_gradient_is_rounding_in_half_precision() -> None:
    true = oracle_answers()
    gradient = np.ones((4, 3))
    gradient[0, 0] = 0.03
    weight = true.arrays["identity.weight0"].astype(np.float64)
    exact = {"gradients.gradient0": gradient, "update.adam0": weight - 1e-3}
    true = Answers(true.facts, {**true.arrays, **exact})
    turned = weight - 1e-3
    turned[0, 0] += 2e-3
    own = rounded(true, **{"update.adam0": turned})
    assert ("P4", "Adam on output kernel") in failed(own, true)
    identity = {**own.facts["identity"], "precision": "bfloat16"}
    half = replace(own, facts={**own.facts, "identity": identity})
    assert ("P4", "Adam on output kernel") not in failed(half, true)
    turned[1, 1] += 2e-3  # and that of a large one is not
    wrong = replace(half, arrays={**half.arrays, "update.adam0": turned.astype(np.float32)})
    assert ("P4", "Adam on output kernel") in failed(wrong, true)
