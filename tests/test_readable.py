"""What a person is told in words."""

import pandas as pd
import pytest

from reports import context, readable


def ratios(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "model": "two_layer",
                "device": "cpu",
                "backend": backend,
                "baseline": baseline,
                "ratio": ratio,
                "low": ratio * 0.96,
                "high": ratio / 0.96,
                "verdict": verdict,
            }
            for backend, baseline, ratio, verdict in rows
        ]
    )


def test_the_fastest_is_named_with_its_ratios_whichever_way_they_stand() -> None:
    table = ratios(
        ("tensorflow", "jax", 0.5, "slower"),
        ("tensorflow", "torch", 2.0, "faster"),
        ("jax", "torch", 4.0, "faster"),
        ("torch", "torch", 1.0, "equivalent"),
    )
    assert readable.fastest_lines(table) == [
        "Training two_layer, jax is fastest: 2.00 times tensorflow (1.92 to 2.08) and 4.00 times "
        "torch (3.84 to 4.17)."
    ]


@pytest.mark.parametrize("verdict", ["unresolved", "equivalent"])
def test_nobody_is_named_who_is_not_surely_faster_than_all(verdict: str) -> None:
    table = ratios(
        ("tensorflow", "jax", 4.0, "faster"),
        ("tensorflow", "torch", 1.01, verdict),
        ("jax", "torch", 0.25, "slower"),
    )
    assert readable.fastest_lines(table) == [
        "Training two_layer, no backend is surely the fastest."
    ]


def test_where_nothing_is_claimed_nobody_is_named() -> None:
    assert readable.fastest_lines(ratios(("jax", "torch", 4.0, "indicative"))) == []
    assert (
        readable.fastest_lines(ratios().reindex(columns=["model", "device", "backend", "baseline"]))
        == []
    )


def test_what_was_taken_is_said_of_each_run_from_which_it_was() -> None:
    samples = pd.DataFrame({"run": ["a", "a", "b", "b"], "steal_percent": [1.0, 4.0, 0.0, 0.1]})
    said = "the hypervisor took 2.5 % of the CPU on average, 4 % of a turn at most; what it cost "
    said += "each backend is taken off"
    assert context.steal_lines(samples) == (f"run a: {said}",)
    assert context.steal_lines(samples.query("run == 'a'")) == (said,)
    assert context.steal_lines(samples.query("run == 'b'")) == ()
