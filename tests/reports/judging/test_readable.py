"""What a person is told in words."""

import pandas as pd

from reports.judging import context, speed_lines


def ratios(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "model": "two_layer",
                "variant": "stock",
                "device": "cpu",
                "lane": backend,
                "baseline": baseline,
                "ratio": ratio,
                "low": ratio * 0.96,
                "high": ratio / 0.96,
                "verdict": verdict,
            }
            for backend, baseline, ratio, verdict in rows
        ]
    )


def test_a_tie_says_what_would_part_it() -> None:
    """1.02 (0.96 to 1.06) needs its interval within 5 %, and 2 % wide; 1.2 has been decided."""
    table = ratios(("tensorflow", "jax", 1.02, "unresolved"), ("jax", "torch", 1.2, "faster"))
    (line,) = speed_lines.tie_lines(table.assign(launches=6), 60)
    assert line == (
        "Training two_layer, TensorFlow and JAX cannot be told apart: 1.02 times (0.98 to 1.06); "
        "about 6 more launches would tell, in 6 min."
    )
    twins = ratios(("torch", "torch", 1.02, "unresolved")).assign(launches=6)
    assert speed_lines.tie_lines(twins, 60) == []


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


def test_what_other_processes_used_is_said_and_much_of_it_loudly() -> None:
    rounds = pd.DataFrame({"run": ["a", "a", "b", "c"], "others_percent": [4.0, 16.0, 1.0, 3.0]})
    loud, plain = context.others_lines(rounds)
    assert loud.startswith("BUSY: run a: other processes used 10 % of the CPU on average; ")
    assert plain.startswith("run c: other processes used 3 % of the CPU on average; ")
    assert not context.others_lines(rounds.query("run == 'b'"))
