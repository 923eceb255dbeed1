"""`python -m tests.support.golden`: write anew the run in tests/data, and its figures' data.

A small run with everything that a report can show: three backends, two models, three seeds, three
launches with a twin, and the parity ladder with P5. What it says is made up, and always the same.
"""

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import reports
from bench.contract import rungs
from bench.coordinator.run_folder import RunFolder
from reports import figures
from reports.figures import style
from reports.figures.style import Picture
from reports.judging.comparison import Comparison
from tests.support.stored_answers import write_answers
from tests.support.stored_launches import (
    LATENCY,
    PREDICT,
    TRAIN,
    Machine,
    launch_payload,
    speed_plan,
)
from tests.support.stored_runs import (
    BACKENDS,
    LABELS,
    PROTOCOL,
    accuracy_payload,
    answers,
    keep,
    run_plan,
)

RUN = Path(__file__).parents[1] / "data" / "golden"
FIGURES = Path(__file__).parents[1] / "data" / "golden-figures.json"
MODELS = ("single_layer", "two_layer")
EPOCHS, SEEDS = 10, 3
PROBES = list(rungs.PROBES)
SPEEDUPS = {"tuned": 2.0, "native": 1.5}

Payload = dict[str, Any]


def write(folder: Path) -> None:
    """Write the run."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shards").mkdir(parents=True)
    run_folder = RunFolder(folder)
    trainings = [_training(m, b, s) for m in MODELS for b in BACKENDS for s in range(SEEDS)]
    workloads = [w | {"model": model} for model in MODELS for w in (TRAIN, PREDICT, LATENCY)]
    workloads += [PREDICT | {"batch_size": size} for size in (32, 1000)]
    workloads += [TRAIN | {"variant": name} for name in SPEEDUPS]
    noisy = Machine(round_sd=0.05, launch_sd=0.02, turn_sd=0.01)
    launches = [
        launch_payload(
            number, twin="torch", workloads=workloads, speedups=SPEEDUPS, machine=noisy, seed=1
        )
        for number in (1, 2, 3)
    ]
    subjects = [_subject(model, backend) for model in MODELS for backend in BACKENDS]
    protocol = PROTOCOL | {"epochs": EPOCHS}
    keep(
        run_folder,
        "plan",
        "plan",
        run_plan(
            [payload["cell"] for payload in trainings],
            protocol=protocol,
            speed=speed_plan(launches),
            parity={"subjects": subjects, "probes": PROBES},
        )
        | {"variants": ["stock", *SPEEDUPS]},
    )
    images = np.random.default_rng(0).integers(0, 256, (len(LABELS), 8, 8, 1), np.uint8)
    keep(run_folder, "images", "images", _dataset(), {"images": images})
    for payload in trainings:
        cell = payload["cell"]
        name = "{model}-{variant}-{lane}-{device}-seed{seed}.try1".format(**cell)
        keep(run_folder, "accuracy", name, payload, answers(payload, _wrong(cell)))
    for payload in launches:
        keep(run_folder, "speed", f"speed-launch{payload['launch']:02}", payload)
    write_answers(run_folder, subjects, _dataset(), PROBES)


@functools.cache
def loaded() -> Comparison:
    """The run as it is in tests/data."""
    return reports.load(RUN)


def data(picture: Picture) -> Payload:
    """What a picture shows, as numbers and words: it may be drawn otherwise, but not say else."""
    return {
        "title": picture.title,
        "lines": list(picture.lines),
        "panels": [
            {
                "alt": panel.alt,
                "axes": [
                    {
                        "labels": [axes.get_xlabel(), axes.get_ylabel()],
                        "lines": [_rounded(line.get_xydata()) for line in axes.get_lines()],
                        "bars": [
                            _rounded(patch.get_bbox().get_points())
                            for patch in axes.patches
                            if hasattr(patch, "get_bbox")
                        ],
                        "texts": [text.get_text() for text in axes.texts],
                    }
                    for axes in panel.figure.axes
                ],
            }
            for panel in picture.panels
        ],
    }


def drawn() -> dict[str, Payload]:
    """What all its pictures show, by name."""
    with style.applied():
        pictures = figures.draw(loaded())
        return {name: data(picture) for name, picture in pictures.items()}


def _rounded(values: Any) -> list[list[float | None]]:
    return [
        [float(f"{value:.6g}") if np.isfinite(value) else None for value in row]
        for row in np.asarray(values, np.float64)
    ]


def _training(model: str, backend: str, seed: int) -> Payload:
    payload = accuracy_payload(backend, model, seed)
    place, wrong = BACKENDS.index(backend), _wrong(payload["cell"])
    first = payload["training"]["epochs"][0]
    payload["training"] |= {
        "steps": 300 * EPOCHS,
        "epochs": [
            first
            | {
                "epoch": epoch,
                "train_seconds": 5.0 * (1 + place),
                "train_loss": 0.5 / epoch,
                "train_accuracy": 1 - 0.1 / epoch,
                "test_loss": 0.2 / epoch + 0.01 * place,
                "test_accuracy": 1 - wrong / len(LABELS) - 0.003 * (EPOCHS - epoch),
            }
            for epoch in range(1, EPOCHS + 1)
        ],
    }
    payload["wall_seconds"] = 20.0 + 5.0 * (1 + place) * EPOCHS
    return payload | {"protocol": PROTOCOL | {"epochs": EPOCHS}}


def _wrong(cell: Payload) -> int:
    """Of its answers."""
    return 2 + BACKENDS.index(cell["lane"]) + int(cell["seed"])


def _subject(model: str, backend: str) -> Payload:
    return {"model": model, "variant": "stock", "lane": backend, "device": "cpu"}


def _dataset() -> Payload:
    return {name: PROTOCOL[name] for name in ("dataset", "dataset_sha256")}


if __name__ == "__main__":
    write(RUN)
    FIGURES.write_text(json.dumps(drawn(), indent=1) + "\n", encoding="utf-8")
