"""Which bundle the next launch is of, and when there is none."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from bench.contract import schema
from bench.contract.speed_schema import Speed
from bench.coordinator.speed import next_launch
from bench.coordinator.speed.next_launch import (
    Made,
    given_up,
    launches_wanted,
    next_bundle,
    noisy,
)
from bench.planning.bundles import Bundle, bundled
from bench.planning.options import NOT_GIVEN
from bench.planning.plan import Plan
from bench.planning.resolving import resolve
from tests.support.stored_launches import launch_payload

NARROW = {"main": 0.1, "beside": 0.1}


def plan_of(**options: str) -> Plan:
    return resolve({**NOT_GIVEN, "models": "single_layer", **options}, (), {})


def bundles_of(plan: Plan) -> tuple[Bundle, ...]:
    return bundled(plan, plan.everything)


def launch(
    bundle: Bundle, seconds: float = 60.0, failed: str = "", status: str = "crashed"
) -> Speed:
    """A launch of a bundle; lanes whose names are in `failed` did not live to its end."""
    content = launch_payload(1, twin="torch")
    known = {(one["lane"]["lane"], one["lane"]["twin"]): one for one in content["lanes"]}
    lanes = [known[lane.name, lane.twin] for lane in bundle.lanes]
    ended = [one | ({"status": status} if one["lane"]["lane"] in failed else {}) for one in lanes]
    workloads = [
        msgspec.convert(w, schema.Workload, from_attributes=True) for w in bundle.workloads
    ]
    durations = {"start_seconds": seconds, "warm_up_seconds": 0.0, "measuring_seconds": 0.0}
    return msgspec.convert(
        content | durations | {"lanes": ended, "workloads": workloads, "rounds": []}, Speed
    )


def chosen(
    plan: Plan, launches: Sequence[Speed], widths: dict[str, float] = NARROW, before: int = 0
) -> str | None:
    made = Made(plan, bundles_of(plan), launches, given_up(launches[before:]))
    bundle = next_bundle(made, lambda: widths)
    return None if bundle is None else bundle.name


def test_the_main_workloads_come_first_and_each_bundle_gets_its_launches() -> None:
    plan = plan_of()
    main, beside = bundles_of(plan)
    made: list[Speed] = []
    names = []
    while name := chosen(plan, made):
        names.append(name)
        made.append(launch(main if name == "main" else beside))
    assert names == ["main"] * main.launches + ["beside"] * beside.launches


def test_what_stands_beside_is_measured_with_what_it_is_compared_with() -> None:
    main, beside = bundles_of(plan_of())
    assert [each.id for each in main.workloads] == ["single_layer-stock-train-batch200"]
    assert {each.variant for each in beside.workloads if each.phase == "train"} == {
        *("stock", "tuned", "native")
    }
    _, beside = bundles_of(plan_of(variants="stock"))
    assert {each.phase for each in beside.workloads} == {"evaluate", "predict"}


def test_a_launch_that_lost_a_lane_is_made_up_for() -> None:
    plan = plan_of(suite="smoke", variants="stock")
    main, beside = bundles_of(plan)
    assert chosen(plan, [launch(main, failed="jax")]) == "main"
    assert chosen(plan, [launch(main, failed="jax"), launch(main)]) == "beside"
    assert chosen(plan, [launch(main), launch(beside)]) is None


@pytest.mark.parametrize(
    ("widths", "next_one"),
    [
        ({"main": 4.9, "beside": 7.9}, None),
        ({"main": 5.1, "beside": 7.9}, "main"),
        ({"main": 5.1, "beside": 9.9}, "beside"),  # farther from its 8 % than the other from its 5
        ({"main": float("inf"), "beside": 20.0}, "main"),
    ],
)
def test_a_noisy_machine_gets_launches_where_they_are_wanted_most(
    widths: dict[str, float], next_one: str | None
) -> None:
    plan = plan_of()
    main, beside = bundles_of(plan)
    planned = [launch(main)] * main.launches + [launch(beside)] * beside.launches
    assert chosen(plan, planned, widths) == next_one


def test_without_a_budget_it_stops_at_twice_as_many_launches() -> None:
    plan = plan_of()
    main, beside = bundles_of(plan)
    planned = [launch(main)] * 2 * plan.launches + [launch(beside)] * 2 * plan.launches
    assert chosen(plan, planned[1:], {"main": 99, "beside": 99}) == "main"
    assert chosen(plan, planned, {"main": 99, "beside": 99}) is None


@pytest.mark.parametrize(
    ("more", "looks"), [(1, True), (2, False), (3, True), (6, False), (7, True)]
)
def test_the_precision_is_looked_at_now_and_then(more: int, looks: bool) -> None:
    """After what was planned at 10, 12, 16, ... launches that hold the workloads."""
    plan = plan_of(budget="2h")
    main, beside = bundles_of(plan)
    made = [launch(beside)] * beside.launches + [launch(main)] * (main.launches + more)
    assert (chosen(plan, made, NARROW) is None) is looks


def test_no_launch_is_begun_that_would_end_after_the_budget() -> None:
    plan = plan_of(budget="10m", variants="stock")
    main, _ = bundles_of(plan)
    assert chosen(plan, [launch(main)] * 4) == "main"
    plan = plan_of(budget="250s", variants="stock")
    assert chosen(plan, [launch(main)] * 3) == "main"
    assert chosen(plan, [launch(main)] * 4) is None


def test_the_first_launch_is_always_made() -> None:
    assert chosen(plan_of(budget="1s"), []) == "main"


def test_a_lane_that_came_back_is_not_given_up() -> None:
    main, _ = bundles_of(plan_of())
    lost, whole = launch(main, failed="jax"), launch(main)
    payloads = [lost, whole, lost, whole, whole]
    assert not given_up(payloads)
    assert given_up([*payloads, lost, lost]) == {"jax"}


def test_fault_02_a_lane_that_ran_out_of_memory_is_not_started_again() -> None:
    """It would need as much in the next launch."""
    main, _ = bundles_of(plan_of())
    assert given_up([launch(main, failed="jax", status="out_of_memory")]) == {"jax"}


def test_when_every_lane_is_given_up_it_stops() -> None:
    plan = plan_of()
    main, _ = bundles_of(plan)
    dead = launch(main, failed="tensorflow jax torch")
    assert chosen(plan, [dead]) == "main"
    assert chosen(plan, [dead] * 2) is None


def test_the_time_left_goes_by_the_launches_that_were_made() -> None:
    plan = plan_of()
    main, beside = bundles_of(plan)
    slow = Made(plan, (main, beside), [launch(main, 100)] * plan.launches)
    fast = Made(plan, (main, beside), [launch(main, 10)] * plan.launches)
    assert slow.seconds_left() == pytest.approx(10 * fast.seconds_left())
    done = [launch(main, 10)] * main.launches + [launch(beside, 25)] * (beside.launches - 2)
    assert Made(plan, (main, beside), done).seconds_left() == 50


def test_more_launches_are_told_before_they_are_begun() -> None:
    plan = plan_of()
    main, beside = bundles_of(plan)
    launches = [launch(main, 30)] * main.launches + [launch(beside, 60)] * beside.launches
    # Nine launches hold the main workloads; 6 % become 5 % with (6 / 5)^2 times as many, so 4 more
    # of 30 s. The others may have at most 6 more of 60 s, however wide they are.
    made = Made(plan, (main, beside), launches)
    wanted = launches_wanted(made, {"main": 6.0, "beside": float("inf")})
    assert wanted == {"main": main.launches + 4, "beside": 2 * plan.launches}
    assert noisy(replace(made, wanted=wanted)) == (
        "The machine is noisy: up to 8 more min for +-5 %; Ctrl-C keeps what is there."
    )
    # Between two looks the time left goes down with each launch.
    later = replace(made, launches=[*launches, launch(main, 30)], wanted=wanted)
    assert later.seconds_left() == 3 * 30 + 6 * 60
    fine = launches_wanted(made, {"main": 4.0, "beside": 8.0})
    assert replace(made, wanted=fine).seconds_left() == 0
    assert next_launch.LOOKS[0] == 8
