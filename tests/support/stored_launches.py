"""Speed shards made up from machines whose truth is known; their mutants are made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from bench.contract.schema import Plan
from bench.contract.speed_schema import Speed
from bench.coordinator.run_folder import RunFolder
from reports.read import shards
from reports.read.shards import Shards, SpeedShard
from reports.tables import samples
from reports.tables.samples import Samples
from tests.support import slot_answers
from tests.support.stored_runs import PROTOCOL, accuracy_payload, keep, run_plan, store_run

STEPS = 40
FLOPS = 1_000_000
ANCHOR_GFLOPS = 10.0


@dataclass(frozen=True)
class Truth:
    """What a lane is: seconds of a step of 200 images, and of each call, in and beside steps."""

    step_seconds: float
    call_seconds: float = 0.0
    outside_seconds: float = 0.0


TRUTH = {
    "tensorflow": Truth(0.004, 0.1),
    "jax": Truth(0.008, 0.01),
    "torch": Truth(0.010),
}
TRAIN: dict[str, Any] = {
    "model": "single_layer",
    "variant": "stock",
    "phase": "train",
    "batch_size": 200,
}
PREDICT = TRAIN | {"phase": "predict"}
LATENCY = PREDICT | {"batch_size": 1}
EVIDENCE: dict[str, float] = {
    "seconds": 2.0,
    "steal_percent": 0.5,
    "throttled_seconds": 0.0,
    "suspended_seconds": 0.0,
    "others_percent": 1.0,
    "idle_cpu_percent": 0.2,
}

Payload = dict[str, Any]


@dataclass(frozen=True)
class Machine:
    """How it misbehaves, in logs.

    Attributes:
        round_sd: Of what all lanes of a round have in common.
        launch_sd: Of a process, from launch to launch.
        turn_sd: Of one turn, both of its calls alike.
    """

    round_sd: float = 0.0
    launch_sd: float = 0.0
    turn_sd: float = 0.0


def lanes(backends: Sequence[str], twin: str | None = None) -> list[Payload]:
    """The lanes of a plan, the twin last."""
    names = [(backend, False) for backend in backends] + ([(twin, True)] if twin else [])
    return [{"lane": name, "device": "cpu", "twin": is_twin} for name, is_twin in names]


def launch_payload(
    launch: int,
    *,
    truth: Mapping[str, Truth] = TRUTH,
    twin: str | None = None,
    workloads: Sequence[Payload] = (TRAIN,),
    rounds: int = 6,
    machine: Machine | None = None,
    seed: int = 0,
    speedups: Mapping[str, float] = MappingProxyType({}),
) -> Payload:
    """One launch of all lanes. Without a machine that misbehaves every time is exact.

    Variants of which there is a speedup over stock are so much faster under every backend.
    """
    machine = machine or Machine()
    generator = np.random.default_rng((seed, launch))
    took_part = lanes(list(truth), twin)
    own = np.exp(generator.normal(0, machine.launch_sd, len(took_part)))
    measured = []
    anchors = []
    for number in range(1, rounds + 1):
        common = float(np.exp(generator.normal(0, machine.round_sd)))
        anchors.append(
            {
                "round": number,
                "seconds": common * FLOPS / ANCHOR_GFLOPS / 1e9,
                "flops": FLOPS,
            }
        )
        for index, workload in enumerate(workloads):
            turns = common * own * np.exp(generator.normal(0, machine.turn_sd, len(own)))
            turn = [
                _sample(
                    lane,
                    truth[record["lane"]],
                    workload,
                    float(turns[lane]) / speedups.get(workload["variant"], 1.0),
                )
                for lane, record in enumerate(took_part)
            ]
            order = generator.permutation(len(turn))
            waited = sum(sample["call_seconds"] for sample in turn)
            measured.append(
                {
                    "number": number,
                    "workload": index,
                    "samples": [turn[place] for place in order],
                    "evidence": EVIDENCE | {"seconds": max(EVIDENCE["seconds"], waited)},
                }
            )
    return {
        "launch": launch,
        "dataset": PROTOCOL["dataset"],
        "dataset_sha256": PROTOCOL["dataset_sha256"],
        "machine": accuracy_payload("jax")["machine"],
        "state": {
            "load": 0.5,
            "memory_available_mib": 4000,
            "governor": None,
            "affinity": [0, 1],
        },
        "workloads": [dict(workload) for workload in workloads],
        "lanes": [_lane(record, workloads) for record in took_part],
        "rounds": measured,
        "anchor": anchors,
        "start_seconds": 20.0,
        "warm_up_seconds": 30.0,
        "measuring_seconds": 60.0,
    }


def speed_plan(launches: Sequence[Payload]) -> Payload:
    """The plan that these launches fulfil."""
    return {
        "workloads": launches[0]["workloads"],
        "lanes": [record["lane"] for record in launches[0]["lanes"]],
        "launches": len(launches),
        "rounds": max((item["number"] for item in launches[0]["rounds"]), default=1),
        "precision_percent": None,
        "budget_seconds": None,
    }


def store_launches(
    results: Path,
    payloads: Sequence[Payload],
    cells: Sequence[Payload] = (),
    **changes: Any,
) -> RunFolder:
    """Store a run with these launches, and perhaps cells; it planned as many as there are."""
    plan = speed_plan(payloads) | changes
    lanes = [{"name": lane["lane"]} for lane in plan["lanes"] if not lane["twin"]]
    run_folder = store_run(results, cells, planned=cells, speed=plan, lanes=lanes)
    for payload in payloads:
        keep(run_folder, "speed", f"speed-launch{payload['launch']:02}", payload)
    return run_folder


def read_launches(folder: Path, payloads: Sequence[Payload]) -> tuple[Shards, Samples]:
    """Store them, read them, and see that nothing is wrong with the files."""
    found = shards.read([store_launches(folder, payloads).path])
    assert found.problems == []
    return found, samples.collect(found)


def in_memory(launches: Sequence[Payload]) -> tuple[Shards, Samples]:
    """As if they had been stored and read, for tests with many runs."""
    plan = speed_plan(launches)
    found = Shards(
        plans={"run": msgspec.convert(run_plan((), speed=plan), Plan)},
        speed=[SpeedShard("run", "", msgspec.convert(payload, Speed)) for payload in launches],
    )
    return found, samples.collect(found)


def turns_of(payload: Payload, backend: str, *, twin: bool = False) -> list[Payload]:
    """All samples of a lane, for mutants to change."""
    (lane,) = (
        index
        for index, record in enumerate(payload["lanes"])
        if (record["lane"]["lane"], record["lane"]["twin"]) == (backend, twin)
    )
    return [
        sample for item in payload["rounds"] for sample in item["samples"] if sample["lane"] == lane
    ]


def mutate(
    launches: Sequence[Payload], backend: str, change: Callable[[Payload], Payload]
) -> Sequence[Payload]:
    """Change every sample of a lane."""
    for payload in launches:
        for sample in turns_of(payload, backend):
            sample.update(change(sample))
    return launches


def _sample(lane: int, truth: Truth, workload: Payload, factor: float) -> Payload:
    latency = workload["phase"] == "predict" and workload["batch_size"] == 1
    factor *= 0.5 if workload["phase"] == "predict" else 1
    step = factor * truth.step_seconds
    call = 0.0 if latency else factor * truth.call_seconds
    slot, one = call + STEPS * step, None if latency else call + step
    outside = 0.0 if latency else factor * truth.outside_seconds
    told = slot_answers.turn(
        STEPS,
        slot,
        one,
        outside_seconds=outside,
        one_step_outside_seconds=outside,
        cpu_seconds=1.5 * (slot + (one or 0)),
        minor_faults=410,
        latencies=[step] * STEPS if latency else [],
    )
    call_seconds = slot + (one or 0) + 2 * factor * truth.outside_seconds + 0.01
    return told | {"lane": lane, "call_seconds": call_seconds}


def _lane(lane: Payload, workloads: Sequence[Payload]) -> Payload:
    kinds = dict.fromkeys((workload["model"], workload["variant"]) for workload in workloads)
    return {
        "lane": lane,
        "status": "ok",
        "error": None,
        "log": None,
        "worker": accuracy_payload(lane["lane"])["worker"],
        "preparations": [
            {
                "model": model,
                "variant": variant,
                "error": None,
                "costs": slot_answers.COSTS | {"jit_compile": lane["lane"] == "jax"},
            }
            for model, variant in kinds
        ],
        "warm_ups": [
            {"workload": index, "steps": 20, "seconds": 1.0, "steady": True}
            for index in range(len(workloads))
        ],
        "peak_rss_mib": 900.0,
    }
