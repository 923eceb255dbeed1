"""Runs as the harness stores them, made up: stored by `run_folder`, read by `reports`."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.contract import schema
from bench.contract.backends import backend_of
from bench.coordinator.run_folder import RunFolder, packed
from bench.planning.plan import Plan
from bench.planning.selection import Selection
from bench.session.stored_plan import plan_record

BACKENDS = ("tensorflow", "jax", "torch")
LABELS = (np.arange(200) % 10).astype(np.uint8)

PROTOCOL = {
    "dataset": "mnist",
    "dataset_sha256": "d" * 64,
    "train_examples": 60_000,
    "test_examples": len(LABELS),
    "epochs": 2,
    "batch_size": 200,
}


def keep(
    run_folder: RunFolder,
    kind: str,
    shard_id: str,
    payload: dict[str, Any],
    arrays: dict[str, NDArray[Any]] | None = None,
) -> None:
    """Store a shard of whatever content; the harness stores only what its schema allows."""
    data = None
    if arrays is not None:
        data, sha256 = packed(arrays)
        payload = {**payload, "arrays_sha256": sha256}
    run_folder.store(kind, shard_id, payload, data)


def kept(plan: Plan, selection: Selection, **protocol: Any) -> schema.Plan:
    """A plan as its run keeps it."""
    told = msgspec.convert(PROTOCOL | protocol, schema.Protocol)
    return plan_record(plan, selection, told, "", ())


def predictions(wrong: int) -> NDArray[np.float32]:
    """Confident answers, the first `wrong` of them wrong."""
    answers = LABELS.copy()
    answers[:wrong] = (answers[:wrong] + 1) % 10
    probabilities = np.full((len(LABELS), 10), 0.01, np.float32)
    probabilities[np.arange(len(LABELS)), answers] = 0.91
    return probabilities


def answers(payload: dict[str, Any], wrong: int) -> dict[str, NDArray[Any]]:
    """Arrays of a cell whose first `wrong` answers are wrong; its last epoch says so now."""
    payload["training"]["epochs"][-1]["test_accuracy"] = 1 - wrong / len(LABELS)
    return {"probabilities": predictions(wrong), "labels": LABELS}


def accuracy_payload(backend: str, model: str = "single_layer", seed: int = 0) -> dict[str, Any]:
    """A cell that went well: two epochs of 10 s and 30 s."""
    epoch = {
        "feed_seconds": 0.25,
        "steal_seconds": 0.0,
        "test_seconds": 1.0,
        "train_loss": 0.5,
        "train_accuracy": 0.875,
        "test_loss": 0.25,
        "test_accuracy": 0.9375,
    }
    return {
        "cell": {
            "model": model,
            "variant": "stock",
            "lane": backend,
            "device": "cpu",
            "seed": seed,
        },
        "protocol": dict(PROTOCOL),
        "machine": {
            "id": "0123456789abcdef",
            "cpu_model": "CPU | <b>model</b>",
            "cores": 2,
            "memory_mib": 1024,
            "system": "Linux",
        },
        "status": "ok",
        "error": None,
        "log": None,
        "wall_seconds": 52.0,
        "start_seconds": 0.5,
        "worker": {
            "lane": backend,
            "backend": backend_of(backend),
            "device": "cpu",
            "versions": {"keras": "3.15.1", "numpy": "2.4.6", "python": "3.11"}
            | {backend_of(backend): "1.0+cpu"},
            "settings": {"threads": 2},
            "prefix": "/env",
            "floatx": "float32",
            "epsilon": 1e-7,
            "image_data_format": "channels_last",
            "import_seconds": 3.0,
        },
        "training": {
            "parameters": 100,
            "weights_sha256": "a" * 64,
            "batches_sha256": "b" * 64,
            "steps": 600,
            "load_seconds": 0.75,
            "build_seconds": 0.5,
            "first_step_seconds": 2.0,
            "second_step_seconds": 0.125,
            "peak_rss_mib": 700.0,
            "jit_compile": False,
            "epochs": [
                {"epoch": 1, "train_seconds": 10.0, **epoch},
                {"epoch": 2, "train_seconds": 30.0, **epoch},
            ],
        },
    }


def failed_payload(backend: str) -> dict[str, Any]:
    """A cell whose worker died."""
    return accuracy_payload(backend) | {
        "status": "crashed",
        "error": f"{backend} on cpu: killed by SIGSEGV",
        "log": "stack",
        "wall_seconds": None,
        "start_seconds": None,
        "training": None,
        "worker": None,
    }


def run_plan(cells: Sequence[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """The plan of a run with these cells."""
    return {
        "suite": "default",
        "models": sorted({cell["model"] for cell in cells}),
        "variants": ["stock"],
        "own_models": [],
        "model_notes": [],
        "lanes": [{"name": name} for name in sorted({cell["lane"] for cell in cells})],
        "device": "cpu",
        "seeds": 1 + max((cell["seed"] for cell in cells), default=0),
        "protocol": PROTOCOL,
        "dataset_note": "",
        "cells": cells,
        "speed": None,
        "parity": None,
    } | changes


def store_run(
    results: Path,
    payloads: Sequence[dict[str, Any]],
    wrong: Callable[[dict[str, Any]], int] = lambda _: 2,
    planned: Sequence[dict[str, Any]] | None = None,
    **plan: Any,
) -> RunFolder:
    """Store a run with these cells; `planned` defaults to them."""
    run_folder = RunFolder.create(results)
    tried = [payload["cell"] for payload in (payloads if planned is None else planned)]
    cells = [cell for place, cell in enumerate(tried) if cell not in tried[:place]]
    protocol = payloads[0]["protocol"] if payloads else PROTOCOL
    keep(run_folder, "plan", "plan", run_plan(cells, **({"protocol": protocol} | plan)))
    for payload in copy.deepcopy(list(payloads)):
        cell = payload["cell"]
        cell_id = "{model}-{variant}-{lane}-{device}-seed{seed}".format(**cell)
        number = len(run_folder.attempts(cell_id)) + 1
        arrays: dict[str, NDArray[Any]] | None = None
        if payload["training"]:
            arrays = answers(payload, wrong(cell))
        keep(run_folder, "accuracy", f"{cell_id}.try{number}", payload, arrays)
    return run_folder
