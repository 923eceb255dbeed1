"""What a person is told in words."""

import pandas as pd
import pytest

from reports.judging import context, speed_lines


def ratios(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "model": "two_layer",
                "variant": "stock",
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


def speeds(*backends: str) -> pd.DataFrame:
    same = {"model": "two_layer", "variant": "stock", "device": "cpu"}
    return pd.DataFrame([same | {"backend": backend} for backend in backends])


ALL = speeds("tensorflow", "jax", "torch")


def test_the_fastest_is_named_with_its_ratios_whichever_way_they_stand() -> None:
    table = ratios(
        ("tensorflow", "jax", 0.5, "slower"),
        ("tensorflow", "torch", 2.0, "faster"),
        ("jax", "torch", 4.0, "faster"),
        ("torch", "torch", 1.0, "equivalent"),
    )
    assert speed_lines.fastest_lines(table, ALL) == [
        "Training two_layer, JAX is fastest: 2.00 times TensorFlow (1.92 to 2.08) and 4.00 "
        "times PyTorch (3.84 to 4.17)."
    ]


@pytest.mark.parametrize("verdict", ["unresolved", "equivalent"])
def test_nobody_is_named_who_is_not_surely_faster_than_all(verdict: str) -> None:
    table = ratios(
        ("tensorflow", "jax", 4.0, "faster"),
        ("tensorflow", "torch", 1.01, verdict),
        ("jax", "torch", 0.25, "slower"),
    )
    assert speed_lines.fastest_lines(table, ALL) == [
        "Training two_layer, no backend is surely the fastest."
    ]


def test_where_nothing_is_claimed_nobody_is_named() -> None:
    assert speed_lines.fastest_lines(ratios(("jax", "torch", 4.0, "indicative")), ALL) == []
    assert (
        speed_lines.fastest_lines(
            ratios().reindex(columns=["model", "variant", "device", "backend", "baseline"]),
            ALL.iloc[:0],
        )
        == []
    )


def test_what_was_taken_is_said_of_each_run_from_which_it_was() -> None:
    samples = pd.DataFrame(
        {
            "run": ["a", "a", "a", "b", "b", "c"],
            "launch": [1, 2, 3, 1, 2, 1],
            "steal_percent": [1.0, 4.0, 2.5, 0.0, 0.1, 3.0],
        }
    )
    said = "the hypervisor took 2.5 % of the CPU on average, 4 % of a turn at most; what it cost "
    said += "each backend is taken off"
    assert context.steal_lines(samples)[0] == f"run a: {said}"
    assert context.steal_lines(samples.query("run == 'a'")) == (said,)
    assert context.steal_lines(samples.query("run == 'b'")) == ()
    (of_one,) = context.steal_lines(samples.query("run == 'c'"))
    assert of_one.endswith("3 % of a turn at most; what it cost each backend is not taken off")


def test_a_line_says_of_whom_it_speaks_where_another_was_timed_elsewhere() -> None:
    table = ratios(("tensorflow", "jax", 4.0, "faster"))
    (line,) = speed_lines.fastest_lines(table, ALL)
    assert line.startswith("Training two_layer, of JAX and TensorFlow, TensorFlow is fastest: ")
    (line,) = speed_lines.fastest_lines(table, speeds("tensorflow", "jax"))
    assert line.startswith("Training two_layer, TensorFlow is fastest: ")


def test_what_other_processes_used_is_said_and_much_of_it_loudly() -> None:
    rounds = pd.DataFrame({"run": ["a", "a", "b", "c"], "others_percent": [4.0, 16.0, 1.0, 3.0]})
    loud, plain = context.others_lines(rounds)
    assert loud.startswith("BUSY: run a: other processes used 10 % of the CPU on average; ")
    assert plain.startswith("run c: other processes used 3 % of the CPU on average; ")
    assert not context.others_lines(rounds.query("run == 'b'"))
