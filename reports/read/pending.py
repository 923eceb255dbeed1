"""A run that goes on, read as if no more had been planned than has been done by now."""

from collections.abc import Collection
from dataclasses import replace

from msgspec import structs

from bench.contract.schema import Plan
from bench.contract.units import BESIDE, main_workloads
from reports.read.shards import Shards, SpeedShard

PARTS = {
    "parity": "the parity ladder",
    "speed": "speed",
    BESIDE: "speed of variants and other phases",
    "accuracy": "trainings",
}
"""What may be pending, as a person reads it."""


def without(found: Shards, pending: Collection[str]) -> Shards:
    """What was read, less the parts that are still to come.

    Args:
        found: The shards of a run.
        pending: Some of `PARTS`.
    """
    plans = {run: _less(plan, pending) for run, plan in found.plans.items()}
    planned = {run: plan.speed.workloads for run, plan in plans.items() if plan.speed}

    def kept(launches: list[SpeedShard]) -> list[SpeedShard]:
        return [s for s in launches if set(s.payload.workloads) <= set(planned.get(s.run_id, ()))]

    return replace(
        found,
        plans=plans,
        speed=kept(found.speed),
        elsewhere=kept(found.elsewhere),
        accuracy=[] if "accuracy" in pending else found.accuracy,
        parity=[] if "parity" in pending else found.parity,
        references=[] if "parity" in pending else found.references,
    )


def _less(plan: Plan, pending: Collection[str]) -> Plan:
    speed = None if "speed" in pending else plan.speed
    if speed is not None and BESIDE in pending:
        speed = structs.replace(speed, workloads=main_workloads(speed.workloads))
    return structs.replace(
        plan,
        speed=speed,
        cells=[] if "accuracy" in pending else plan.cells,
        parity=None if "parity" in pending else plan.parity,
    )
