"""P9: what a backend computes in two ways."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reports.ladder import consistency_rung, rungs
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
        "the same call 200 times: outputs, one result",
        "the same call 200 times: gradient",
        "compiled and not compiled give the same",
    ]
    assert {each.status for each in told.values()} == {"pass"}


@pytest.mark.parametrize(
    ("changed", "quantity"),
    [
        ("whole.output0", "4,096 examples at once and in parts: outputs"),
        ("parts.gradient0", "4,096 examples at once and in parts: gradient"),
        ("farthest.output0", "the same call 200 times: outputs, one result"),
        ("farthest.gradient0", "the same call 200 times: gradient"),
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
    assert quantities[0] == "the same call 3 times: outputs, 2 results"


AT_ONCE = {
    "consistency.whole.output0": 3 * np.eye(3),
    "consistency.whole.gradient0": np.full(4, 20),
}
"""Of a model whose examples depend on each other, and whose loss is a sum."""


def judged_beside(*others: dict[str, Any]) -> list[tuple[str, str]]:
    true = oracle_answers()
    own, beside = rounded(true, **AT_ONCE), [rounded(true, **other) for other in others]
    judged = (consistency_rung.in_company(each, own, beside) for each in rungs.judge(own, true))
    return [(each.quantity, each.status) for each in judged if each.rung == "P9"][:2]


def test_a_batch_that_is_no_sum_of_its_parts_is_right_where_another_backend_says_the_same() -> None:
    assert judged_beside({}, AT_ONCE) == [
        ("4,096 examples at once and as others give them: outputs", "pass"),
        ("4,096 examples at once and as others give them: gradient", "pass"),
    ]


def test_one_whose_large_batch_differs_from_its_parts_and_from_others_is_wrong() -> None:
    other = {"consistency.whole.output0": 2 * np.eye(3), "consistency.whole.gradient0": np.ones(4)}
    assert judged_beside(other) == [
        ("4,096 examples at once and in parts: outputs", "fail"),
        ("4,096 examples at once and in parts: gradient", "fail"),
    ]


def test_one_backend_alone_cannot_say_whether_it_is_the_model() -> None:
    quantity, status = judged_beside()[0]
    assert status == "fail"
    assert quantity.endswith("outputs differ; with one there is no majority")
