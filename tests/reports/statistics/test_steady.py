"""The launch values, on machines of which a hypervisor takes its share."""

import numpy as np
import pandas as pd
import pytest

from reports.statistics import intervals, launch_values

SIMULATIONS = 200
STEPS = 16
# Growth of the log of a step's seconds for each percent taken, as seen on two shared cores.
TENSORFLOW, TORCH = 0.04, 0.015


def lane(
    generator: np.random.Generator,
    steal: np.ndarray,
    step_seconds: float,
    suffers: float,
    price: float = 0.05,
    launch_sd: float = 0.03,
    round_sd: float = 0.06,
) -> pd.DataFrame:
    """One lane's turns; `steal` has the shape (launches, rounds) and is what it meets, in percent.

    What is recorded of it is counted in ticks, as the kernel does.
    """
    launches, rounds = steal.shape
    own = generator.normal(0, launch_sd, (launches, 1))
    noise = generator.normal(0, round_sd, (2, launches, rounds))
    slow = np.exp(own + suffers * steal)
    one = (price + step_seconds) * slow * np.exp(noise[0])
    slot = (price + STEPS * step_seconds) * slow * np.exp(noise[1])
    tick_percent = 100 * 0.01 / (2 * (one + slot))
    # A counter that is read before and after; two cores have one each.
    begun = generator.random((2, launches, rounds))
    counted = (np.floor(begun + steal / tick_percent / 2) - np.floor(begun)).sum(axis=0)
    return pd.DataFrame(
        {
            "launch": np.repeat(np.arange(launches), rounds),
            "round": np.tile(np.arange(rounds), launches),
            "steps": STEPS,
            "slot_seconds": slot.ravel(),
            "one_step_seconds": one.ravel(),
            "steal_percent": (counted * tick_percent).ravel(),
            "tick_percent": (2**0.5 * tick_percent).ravel(),
        }
    )


def met(generator: np.random.Generator, launches: int, rounds: int, mean: float) -> np.ndarray:
    """Steal that wanders from launch to launch and within each."""
    between = generator.gamma(1.0, mean, (launches, 1))
    return between * generator.gamma(2.0, 0.5, (launches, rounds))


def simulated(
    seed: int,
    launches: int,
    mean_steal: float,
    suffers: float,
    rounds: int = 6,
    step_seconds: float = 0.02,
) -> np.ndarray:
    """Launch values of a lane that is twice as fast as its baseline."""
    generator = np.random.default_rng(seed)
    hours = met(generator, launches, rounds, mean_steal)
    price = 2.5 * step_seconds
    return launch_values.launch_values(
        lane(generator, hours, step_seconds, suffers, price),
        lane(generator, hours, 2 * step_seconds, TORCH, price),
    )[0]


@pytest.mark.parametrize("mean_steal", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("suffers", [TENSORFLOW, TORCH])
def test_the_true_ratio_is_covered_whatever_is_taken(mean_steal: float, suffers: float) -> None:
    covered = 0
    for seed in range(SIMULATIONS):
        low, high = intervals.interval(simulated(seed, 8, mean_steal, suffers))
        covered += low < 2 < high
    assert covered / SIMULATIONS >= 0.925


@pytest.mark.parametrize(
    ("launches", "rounds", "step_seconds"), [(3, 6, 0.02), (24, 6, 0.02), (8, 2, 0.006)]
)
def test_it_is_covered_by_few_launches_by_many_and_with_slots_of_a_dozen_ticks(
    launches: int, rounds: int, step_seconds: float
) -> None:
    covered = 0
    for seed in range(SIMULATIONS):
        values = simulated(seed, launches, 1.0, TENSORFLOW, rounds, step_seconds)
        low, high = intervals.interval(values)
        covered += low < 2 < high
    assert covered / SIMULATIONS >= 0.925


def test_plain_medians_are_biased_by_what_is_taken() -> None:
    """Why it is taken off: TensorFlow looks slower in a bad hour than it is."""
    generator = np.random.default_rng(1)
    hours = met(generator, 200, 6, 5.0)
    first = lane(generator, hours, 0.02, TENSORFLOW, price=0.0)
    second = lane(generator, hours, 0.04, TORCH, price=0.0)
    logs = pd.Series(np.log(second["slot_seconds"] / first["slot_seconds"]))
    assert np.exp(logs.groupby(first["launch"]).median().mean()) < 1.85
    values, rounds = launch_values.launch_values(first, second)
    assert np.exp(values.mean()) == pytest.approx(2, rel=0.02)
    assert rounds == 1200


def test_a_quiet_machine_pays_little_for_it() -> None:
    """The interval where next to nothing is taken, against medians of slots that have no price."""
    widths = []
    for seed in range(100):
        generator = np.random.default_rng(seed)
        hours = met(generator, 8, 6, 0.2)
        lanes = [lane(generator, hours, s, TORCH, price=0.0) for s in (0.02, 0.04)]
        values = launch_values.launch_values(*lanes)[0]
        logs = pd.Series(np.log(lanes[1]["slot_seconds"] / lanes[0]["slot_seconds"]))
        plain = logs.groupby(lanes[0]["launch"]).median()
        widths.append((values.std(ddof=1), plain.std(ddof=1)))
    taken_off, plain = np.median(widths, axis=0)
    assert taken_off < 1.25 * plain


def test_without_price_or_steal_each_launch_speaks_for_itself() -> None:
    generator = np.random.default_rng(2)
    frame = lane(generator, np.zeros((5, 6)), 0.02, 0.0, price=0.0)
    frame["one_step_seconds"] = np.nan
    values, rounds = launch_values.launch_values(frame)
    rates = pd.Series(np.log(STEPS / frame["slot_seconds"]))
    assert values == pytest.approx(rates.groupby(frame["launch"]).agg(intervals.pseudo_median))
    assert rounds == 30


def test_one_launch_has_a_value_and_none_has_none() -> None:
    generator = np.random.default_rng(3)
    frame = lane(generator, np.zeros((1, 6)), 0.02, 0.0, round_sd=0.0, launch_sd=0.0)
    values, rounds = launch_values.launch_values(frame)
    assert np.exp(values) == pytest.approx([1 / 0.02])
    assert rounds == 6
    values, rounds = launch_values.launch_values(frame.iloc[:0], frame)
    assert len(values) == rounds == 0


def test_only_shared_rounds_count() -> None:
    generator = np.random.default_rng(4)
    first, second = (lane(generator, np.zeros((3, 6)), s, 0.0) for s in (0.02, 0.04))
    values, rounds = launch_values.launch_values(first.iloc[3:], second.iloc[:-2])
    assert (len(values), rounds) == (3, 13)


def test_the_cost_of_steal_is_found_and_is_never_below_nothing() -> None:
    generator = np.random.default_rng(5)
    taken = generator.uniform(0, 10, 200)
    logs = 0.04 * taken + generator.normal(0, 0.05, 200)
    no_ticks = np.zeros(200)
    assert launch_values.cost_of_steal(logs, taken, no_ticks) == pytest.approx(0.04, rel=0.1)
    assert launch_values.cost_of_steal(-logs, taken, no_ticks) == 0
    assert launch_values.cost_of_steal(logs, np.full(200, 3.0), no_ticks) == 0
    logs[:20] = np.nan
    assert launch_values.cost_of_steal(logs, taken, no_ticks) == pytest.approx(0.04, rel=0.1)


def test_ticks_do_not_pull_the_cost_down() -> None:
    generator = np.random.default_rng(7)
    true = generator.uniform(0, 10, 5000)
    begun = generator.random(5000)
    tick = np.full(5000, 4.0)
    counted = 4 * (np.floor(begun + true / 4) - np.floor(begun))
    assert launch_values.cost_of_steal(0.04 * true, counted, np.zeros(5000)) < 0.035
    assert launch_values.cost_of_steal(0.04 * true, counted, tick) == pytest.approx(0.04, rel=0.03)


def test_one_odd_turn_cannot_make_steal_cost_anything_it_likes() -> None:
    taken = np.zeros(18)
    logs = np.zeros(18)
    taken[3], logs[3] = 2.0, np.log(3)
    assert launch_values.cost_of_steal(logs, taken, np.zeros(18)) == launch_values.MOST_SUFFERED


def test_no_speed_at_all_has_no_values() -> None:
    generator = np.random.default_rng(8)
    frame = lane(generator, np.zeros((3, 6)), 0.02, 0.0)
    frame["one_step_seconds"] = 2 * frame["slot_seconds"]
    values, rounds = launch_values.launch_values(frame)
    assert len(values) == rounds == 0


def test_the_share_is_that_of_beginning_a_call() -> None:
    steps = np.array([16.0, 16.0, 16.0])
    one = np.array([0.07, 0.14, 0.5])
    slot = np.array([0.37, 0.74, 0.37])  # the second on a machine of half the speed
    assert launch_values.share_of_price(steps, slot, one) == pytest.approx(0.05 / 0.37)
    assert launch_values.share_of_price(steps, slot, np.full(3, 0.001)) == 0
    assert launch_values.share_of_price(steps, slot, slot) == 1
    assert launch_values.share_of_price(steps, slot, np.full(3, np.nan)) == 0


def test_a_slower_machine_changes_no_ratio() -> None:
    generator = np.random.default_rng(6)
    lanes = [lane(generator, np.zeros((4, 6)), s, 0.0) for s in (0.02, 0.04)]
    slower = np.repeat(generator.uniform(1, 2, 4 * 3), 2)
    times = ["slot_seconds", "one_step_seconds"]
    scaled = [each.assign(**{name: each[name] * slower for name in times}) for each in lanes]
    before, after = (launch_values.launch_values(*each)[0] for each in (lanes, scaled))
    assert after == pytest.approx(before)


def test_of_fewer_launches_than_an_interval_takes_nothing_is_taken_off() -> None:
    """Two turns, of which the slower lost one tick: the other is no slower for that."""
    turns = pd.DataFrame(
        {
            "launch": [1, 1],
            "round": [1, 2],
            "steps": [1, 1],
            "slot_seconds": [0.88, 0.74],
            "one_step_seconds": [np.nan, np.nan],
            "steal_percent": [5.0, 0.0],
            "tick_percent": [7.0, 7.0],
        }
    )
    values, _ = launch_values.launch_values(turns)
    assert np.exp(-values) == pytest.approx([(0.88 * 0.74) ** 0.5])
    assert launch_values.slowdown(turns) == 0
