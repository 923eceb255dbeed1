"""The statistics against simulated machines whose truth is known."""

import gc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports import statistics
from reports.statistics import compare, differs_from_one, interval, launch_median
from tests.simulated import MACHINES, SimulatedMachine

SIMULATIONS = 1000
SEEN = SimulatedMachine()


@pytest.fixture(scope="module", autouse=True)
def quick_garbage_collection() -> Iterator[None]:
    """Every `multipletests` of statsmodels collects garbage, for 50 ms; we call it 20,000 times."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("launches", [3, 8])
def test_identical_things_are_called_different_as_often_as_promised(
    name: str, launches: int
) -> None:
    """5 % nominal, on every kind of machine; and the interval covers a true ratio of 1.3."""
    generator = np.random.default_rng(1)
    machine = replace(MACHINES[name], ratio=1.3)
    medians = [machine.medians(generator, launches) for _ in range(SIMULATIONS)]
    false = sum(bool(differs_from_one({"twin": m - np.log(1.3)})) for m in medians)
    covered = sum(low < 1.3 < high for low, high in map(interval, medians))
    assert 0.025 <= false / SIMULATIONS <= 0.075
    assert 0.925 <= covered / SIMULATIONS <= 0.975


def test_a_slowdown_of_10_percent_is_found() -> None:
    """At 8 launches with the noise seen on two cores: a ratio of 0.9 against 1."""
    generator = np.random.default_rng(2)
    machine = replace(SEEN, ratio=0.9)
    found = sum(
        bool(differs_from_one({"x": machine.medians(generator, 8)})) for _ in range(SIMULATIONS)
    )
    assert found / SIMULATIONS >= 0.90


def test_three_pairs_of_identical_lanes_rarely_give_a_verdict() -> None:
    """Family rate with Holm; lanes share launches, so the three pairs are not independent."""
    generator = np.random.default_rng(3)
    wrong_twin = wrong_verdict = 0
    for _ in range(SIMULATIONS):
        lanes = generator.normal(0, 0.05, (3, 8))
        pairs = {"ab": lanes[0] - lanes[1], "ac": lanes[0] - lanes[2], "bc": lanes[1] - lanes[2]}
        wrong_twin += bool(differs_from_one(pairs))
        verdicts = {ratio.verdict for ratio in compare(pairs).values()}
        wrong_verdict += bool(verdicts & {"faster", "slower"})
    assert wrong_twin / SIMULATIONS <= 0.07
    assert wrong_verdict / SIMULATIONS <= 0.07


def test_at_the_edge_of_the_margin_verdicts_keep_their_error_rate() -> None:
    generator = np.random.default_rng(4)
    edge = replace(SEEN, ratio=1 + statistics.MARGIN)
    verdicts = [compare({"x": edge.medians(generator, 8)})["x"].verdict for _ in range(SIMULATIONS)]
    assert (verdicts.count("faster") + verdicts.count("equivalent")) / SIMULATIONS <= 0.10
    assert verdicts.count("slower") == 0


def test_equal_lanes_on_a_calm_machine_are_called_equivalent() -> None:
    generator = np.random.default_rng(5)
    calm = SimulatedMachine(launch_sd=0.02, round_sd=0.03)
    verdicts = [compare({"x": calm.medians(generator, 8)})["x"].verdict for _ in range(200)]
    assert verdicts.count("equivalent") / 200 >= 0.95


def test_the_detectable_difference_is_found_four_times_out_of_five() -> None:
    generator = np.random.default_rng(6)
    percent = np.mean(
        [
            compare({"x": SEEN.medians(generator, 8)})["x"].minimum_detectable_percent
            for _ in range(300)
        ]
    )
    machine = replace(SEEN, ratio=1 + float(percent) / 100)
    found = sum(bool(differs_from_one({"x": machine.medians(generator, 8)})) for _ in range(500))
    assert 0.72 <= found / 500 <= 0.88


# What the design avoids, each shown to be as bad as docs/measuring.md says.


def test_pooling_rounds_of_one_launch_would_deceive() -> None:
    generator = np.random.default_rng(7)
    wrong = 0
    for _ in range(500):
        a, b = SimulatedMachine(launch_sd=0.05, round_sd=0.05).launch(generator, 40)
        wrong += stats.ttest_1samp(np.log(b / a), 0).pvalue < 0.05
    assert wrong / 500 > 0.5


def test_one_after_the_other_would_deceive() -> None:
    generator = np.random.default_rng(8)
    wrong = 0
    for _ in range(500):
        a, b = SimulatedMachine(launch_sd=0, round_sd=0.05, drift=0.5).launch(generator, 40)
        both = np.ravel(np.column_stack([a, b]))  # one lane all along: first half, second half
        wrong += stats.ttest_ind(np.log(both[:40]), np.log(both[40:])).pvalue < 0.05
    assert wrong / 500 > 0.35


def test_stopping_at_significance_would_deceive() -> None:
    generator = np.random.default_rng(9)
    wrong = 0
    for _ in range(400):
        medians = generator.normal(0, 0.05, 16)
        wrong += any(differs_from_one({"x": medians[:n]}) for n in (3, 4, 6, 8, 10, 12, 16))
    assert wrong / 400 > 0.12


@pytest.mark.parametrize(("first_look", "kept"), [(3, False), (8, True)])
def test_stopping_at_precision_keeps_the_promise_from_the_eighth_launch_on(
    first_look: int, kept: bool
) -> None:
    """An interval of three launches may be narrow by luck: 9.6 % false, against 6.3 % from 8 on."""
    generator = np.random.default_rng(10)
    looks = [n for n in (3, 4, 6, 8, 10, 12, 16) if n >= first_look]
    wrong = 0
    for _ in range(SIMULATIONS):
        medians = generator.normal(0, 0.05, looks[-1])
        stop = next((n for n in looks if _half_width(medians[:n]) < 0.03), looks[-1])
        wrong += bool(differs_from_one({"x": medians[:stop]}))
    assert (wrong / SIMULATIONS <= 0.075) is kept


def _half_width(medians: statistics.Medians) -> float:
    low, high = interval(medians)
    return (high - low) / 2


# Properties.

seconds = st.lists(st.floats(0.01, 10), min_size=3, max_size=12)


@given(seconds, st.data())
def test_the_ratio_of_b_over_a_is_the_inverse(a: list[float], data: st.DataObject) -> None:
    b = data.draw(st.lists(st.floats(0.01, 10), min_size=len(a), max_size=len(a)))
    assert launch_median(a, b) == pytest.approx(-launch_median(b, a))


@given(seconds, st.floats(0.1, 10), st.data())
def test_what_a_round_does_to_both_lanes_changes_nothing(
    a: list[float], factor: float, data: st.DataObject
) -> None:
    b = data.draw(st.lists(st.floats(0.01, 10), min_size=len(a), max_size=len(a)))
    rounds = data.draw(st.lists(st.floats(0.1, 10), min_size=len(a), max_size=len(a)))
    wandering_a = [x * y for x, y in zip(a, rounds, strict=True)]
    wandering_b = [x * y for x, y in zip(b, rounds, strict=True)]
    assert launch_median(wandering_a, wandering_b) == pytest.approx(launch_median(a, b))


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=10, unique=True))
def test_verdicts_mirror(medians: list[float]) -> None:
    mirror = {"faster": "slower", "slower": "faster"}
    here = compare({"x": np.array(medians)})["x"]
    there = compare({"x": -np.array(medians)})["x"]
    assert there.verdict == mirror.get(here.verdict, here.verdict)
    assert there.ratio == pytest.approx(1 / here.ratio)
    assert there.low == pytest.approx(1 / here.high)


def test_a_voided_round_is_left_out() -> None:
    assert launch_median([1, 1, np.nan], [2, 2, 100]) == pytest.approx(np.log(2))


@pytest.mark.parametrize("launches", [1, 2])
def test_no_interval_no_claim(launches: int) -> None:
    ratio = compare({"x": np.full(launches, np.log(5))})["x"]
    assert ratio.ratio == pytest.approx(5)
    assert ratio.verdict == "indicative"
    assert np.isnan([ratio.low, ratio.high, ratio.minimum_detectable_percent]).all()
    assert differs_from_one({"x": np.full(launches, np.log(5))}) == []


def test_known_numbers() -> None:
    """Against the t-interval worked by hand: mean 0.2, sd 0.1, n 4, t 3.182."""
    medians = np.log(1.0) + np.array([0.1, 0.2, 0.2, 0.3])
    half = 3.182446 * np.std(medians, ddof=1) / 2
    low, high = interval(medians)
    assert np.log([low, high]) == pytest.approx([0.2 - half, 0.2 + half], rel=1e-5)


@pytest.mark.parametrize(
    ("medians", "verdict"),
    [
        ([0.50, 0.51, 0.49, 0.50], "faster"),
        ([-0.50, -0.51, -0.49, -0.50], "slower"),
        ([0.001, -0.001, 0.002, 0.0], "equivalent"),
        ([0.2, -0.2, 0.1, 0.0], "unresolved"),
        ([0.04, 0.041, 0.039, 0.04], "equivalent"),  # not 1, but no difference that counts
    ],
)
def test_each_verdict(medians: list[float], verdict: str) -> None:
    assert compare({"x": np.array(medians)})["x"].verdict == verdict
