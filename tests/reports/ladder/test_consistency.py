"""P9: what a backend computes in two ways."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reports.ladder import rungs
from reports.ladder.findings import Finding
from tests.support.stored_answers import oracle_answers, rounded


def found(**arrays: Any) -> dict[str, Finding]:
    true = oracle_answers()
    told = rounded(true, **arrays)
    return {each.quantity: each for each in rungs.judge(told, true) if each.rung == "P9"}


def test_one_that_agrees_with_itself_passes() -> None:
    told = found()
    assert list(told) == [
        "4,096 examples at once and in parts: outputs",
        "4,096 examples at once and in parts: gradient",
        "the same call 200 times, with one result: outputs",
        "the same call 200 times, with one result: gradient",
        "compiled and not compiled give the same",
    ]
    assert {each.status for each in told.values()} == {"pass"}


@pytest.mark.parametrize(
    ("changed", "quantity"),
    [
        ("whole.output0", "4,096 examples at once and in parts: outputs"),
        ("parts.gradient0", "4,096 examples at once and in parts: gradient"),
        ("farthest.output0", "the same call 200 times, with one result: outputs"),
        ("farthest.gradient0", "the same call 200 times, with one result: gradient"),
        (
            "eager.output0",
            "compiled and not compiled differ at the outputs: the compiler, not the model",
        ),
    ],
)
def test_what_differs_is_named(changed: str, quantity: str) -> None:
    like = rounded(oracle_answers()).arrays[f"consistency.{changed}"]
    for value in (1.02 * like, np.full_like(like, np.nan), like[:1]):
        told = found(**{f"consistency.{changed}": value})
        assert [each.quantity for each in told.values() if each.status != "pass"] == [quantity]
        assert told[quantity].status == "fail"


def test_what_one_did_not_say_is_no_agreement() -> None:
    true = oracle_answers()
    told = rounded(true)
    silent = {name: a for name, a in told.arrays.items() if not name.startswith("consistency.")}
    judged = rungs.judge(replace(told, arrays=silent), true)
    assert {each.status for each in judged if each.rung == "P9"} == {"fail"}


def test_a_model_of_one_size_is_not_asked_for_more() -> None:
    true = oracle_answers()
    told = rounded(true)
    facts = {**told.facts, "consistency": {"large": 0, "calls": 3, "distinct": 2}}
    quantities = [
        each.quantity for each in rungs.judge(replace(told, facts=facts), true) if each.rung == "P9"
    ]
    assert quantities[0] == "the same call 3 times, with 2 results: outputs"
