"""A plan as its run keeps it, and how `--resume` goes on from there."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.contract.errors import UsageError
from bench.contract.units import Cell, Lane, Series, Subject, Workload
from bench.planning.options import DATASETS
from bench.planning.plan import Plan, own_models
from bench.planning.selection import Selection

# What `--resume` takes from the run itself.
STORED_OPTIONS = (
    "suite",
    "dataset",
    "data",
    "models",
    "variants",
    "seeds",
    "epochs",
    "batch_size",
    "precision",
    "budget",
)


def plan_payload(plan: Plan, selection: Selection) -> dict[str, Any]:
    """What the run's own plan shard keeps of the plan and of what of it is done."""
    speed = {
        "workloads": [asdict(workload) for workload in selection.workloads],
        "lanes": [
            {"backend": lane.backend, "device": lane.device, "twin": lane.twin}
            for lane in selection.lanes
        ],
        "launches": plan.launches,
        "rounds": plan.rounds,
        "precision_percent": plan.precision_percent,
        "budget_seconds": plan.budget_seconds,
    }
    parity = {
        "subjects": [asdict(subject) for subject in selection.subjects],
        "probes": list(plan.probes),
    }
    return {
        "cells": [asdict(cell) for cell in selection.cells],
        "speed": speed if selection.series else None,
        "parity": parity if selection.subjects else None,
        "suite": plan.suite,
        "models": list(plan.models),
        "variants": list(plan.variants),
        "own_models": [
            {
                "name": file.name,
                "path": str(file.path),
                "function": file.function,
                "sha256": file.sha256,
            }
            for file in plan.own
        ],
        "backends": list(plan.backends),
        "device": plan.device,
        "seeds": plan.seeds,
    }


def again(
    stored: Mapping[str, Any],
    options: Mapping[str, str | None],
    environ: Mapping[str, str],
    files: Sequence[str] = (),
) -> tuple[dict[str, str | None], dict[str, str], list[str]]:
    """Options, variables and model files with which a stored run goes on.

    Raises:
        UsageError: An option was given that the run has decided already, or a model has changed.
    """
    refuse_decided(options, files)
    protocol, own = stored["protocol"], stored["own_models"]
    named = {model["name"] for model in own}
    shipped = [name for name in stored["models"] if name not in named]
    # The prepared dataset is taken by its hash; which one it was is all that must be known.
    decided = {
        "suite": stored["suite"],
        "models": ",".join(shipped) or None,
        "variants": ",".join(stored["variants"]),
        "seeds": str(stored["seeds"]),
        "epochs": str(protocol["epochs"]),
        "batch_size": str(protocol["batch_size"]),
        **(
            {"dataset": protocol["dataset"]}
            if protocol["dataset"] in DATASETS
            else {"data": None if protocol["dataset"] == "drawn" else protocol["dataset"]}
        ),
    }
    selected = {
        "BENCH_BACKENDS": ",".join(stored["backends"]),
        "BENCH_DEVICE": stored["device"],
    }
    if stored["speed"]:
        decided |= _decided_stop(stored["speed"])
    texts = [f"{model['path']}:{model['function']}" for model in own]
    for model, file in zip(own, own_models(texts), strict=True):
        if model["sha256"] != file.sha256:
            raise UsageError(
                f"--resume: {model['path']} has changed since the run was begun; start a new one"
            )
    return {**options, **decided}, {**environ, **selected}, texts


def _decided_stop(speed: Mapping[str, Any]) -> dict[str, str]:
    if speed["budget_seconds"] is None:
        return {}
    return {
        "budget": f"{speed['budget_seconds']:.0f}s",
        "precision": f"{speed['precision_percent']:g}",
    }


def refuse_decided(options: Mapping[str, str | None], files: Sequence[str] = ()) -> None:
    """Refuse options that a run which goes on has decided already.

    Raises:
        UsageError: One was given.
    """
    for name in STORED_OPTIONS:
        if options[name] is not None:
            flag = name.replace("_", "-")
            raise UsageError(f"--resume takes the plan from the run; leave out --{flag}")
    if files:
        raise UsageError("--resume takes the plan from the run; leave out --model")


def begun(stored: Mapping[str, Any], plan: Plan) -> Selection:
    """What a stored run selected of `plan`, which was resolved as `again` says."""
    cells = tuple(Cell(**cell) for cell in stored["cells"])
    speed = stored["speed"] or {"workloads": [], "lanes": []}
    workloads = [Workload(**workload) for workload in speed["workloads"]]
    lanes = [
        Lane(lane["backend"], lane["device"], plan.workers[lane["backend"]], lane["twin"])
        for lane in speed["lanes"]
    ]
    parity = stored["parity"] or {"subjects": []}
    return Selection(
        cells,
        tuple(Series(each, lane) for each in workloads for lane in lanes),
        tuple(Subject(**subject) for subject in parity["subjects"]),
    )
