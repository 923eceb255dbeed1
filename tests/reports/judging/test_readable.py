"""What a person is told in words."""

import pandas as pd

from reports.judging import comparison, context, speed_lines
from reports.judging.screen import screen
from tests.support.stored_launches import in_memory, launch_payload


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


def test_a_quota_and_what_cannot_be_seen_are_told() -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    assert context.quota_lines(in_memory(launches)[0]) == ()
    for launch in launches:
        launch["machine"] = launch["machine"] | {"quota_cpus": 1.5, "cores": 8}
        launch["state"]["unseen"] = ["time for which the machine sleeps"]
        for each in launch["rounds"]:
            each["evidence"] = each["evidence"] | {"throttled_periods": 3, "periods": 20}
    found, _ = in_memory(launches)
    assert context.quota_lines(found) == (
        "a quota allows 1.5 CPUs: frameworks start as many threads as there are cores (8), and all "
        "of them were stopped in 54 of 360 periods. With no more cores than the quota has "
        "(taskset -c 0 for one) they are not",
    )
    unseen = "not to be seen here: time for which the machine sleeps"
    assert unseen in context.machine_states(found)
    heading = screen(comparison.compare(found)).heading
    assert heading.endswith("on CPU | <b>model</b>, 8 cores, a quota of 1.5 CPUs")


def test_a_run_that_its_quota_stopped_is_untrusted() -> None:
    launches = [launch_payload(number) for number in (1, 2, 3)]
    for launch in launches:
        for each in launch["rounds"]:
            each["evidence"] = each["evidence"] | {"throttled_seconds": 0.1}
    line, *_ = comparison.compare(in_memory(launches)[0]).untrusted
    assert line == "UNTRUSTED: 18 of 18 rounds void (throttled 18)"
