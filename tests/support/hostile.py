"""A run with a shard of every kind, and changes that somebody hostile, or nobody, could make to it.

Who changes a shard can compute its hash anew: what it protects from is in `test_shards.py`.
"""

import copy
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import rungs
from bench.coordinator.run_folder import RunFolder
from reports.ladder.findings import Answers
from tests.support.stored_answers import (
    answers_in_float64,
    oracle_answers,
    rounded,
    subject_payload,
    write_answers,
)
from tests.support.stored_launches import LATENCY, TRAIN, TRUTH, launch_payload, speed_plan
from tests.support.stored_runs import LABELS, PROTOCOL, accuracy_payload, answers, keep, run_plan

MODEL, OWN_MODEL = "single_layer", "mine"
BACKENDS = ("jax", "torch")
PROBES = list(rungs.PROBES)

NUMBERS = [0, 1, -1, 2, 1000, 2**31, 2**53, 2**64, 0.0, -0.0, 5e-324, 1e-9, 0.5, 1.5, 1e9, 1e300]
WORDS = ["", "ok", "jax", "torch", "cpu", "gpu", MODEL, "train", "invalid", "<script>", "\x1b[2J"]
VALUES: list[Any] = [*NUMBERS, *WORDS, None, True, [], {}, "a" * 64]
ELEMENTS = [np.nan, np.inf, -np.inf, 0.0, -1.0, 3e38, 1e-300, 1e300]
DTYPES = ["f2", "f4", "f8", "u1", "u8"]
NAMES = ["extra", "forward.one.logits", "identity.weight9", "trajectory.step7.weight0", "../x"]

Payload = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


def store(results: Path) -> RunFolder:
    """Trainings, one launch, and the parity ladder of a shipped model and of one's own."""
    origin = {name: str(PROTOCOL[name]) for name in ("dataset", "dataset_sha256")}
    trainings = [accuracy_payload(backend, MODEL) for backend in BACKENDS]
    tuned = TRAIN | {"variant": "tuned"}
    launch = launch_payload(
        1,
        truth={backend: TRUTH[backend] for backend in BACKENDS},
        twin="jax",
        workloads=[TRAIN, LATENCY, tuned],
        rounds=1,
    )
    subjects = [
        {"model": model, "variant": "stock", "lane": backend, "device": "cpu"}
        for model in (MODEL, OWN_MODEL)
        for backend in BACKENDS
    ]
    plan = run_plan(
        [payload["cell"] for payload in trainings],
        variants=["stock", "tuned"],
        models=[MODEL, OWN_MODEL],
        speed=speed_plan([launch]),
        parity={"subjects": subjects, "probes": PROBES},
    )
    run_folder = RunFolder.create(results)
    keep(run_folder, "plan", "plan", plan)
    pixels = np.zeros((len(LABELS), 4, 4, 1), np.uint8)
    keep(run_folder, "images", "images", origin, {"images": pixels})
    for number, payload in enumerate(trainings):
        arrays = answers(payload, 2 + number)
        keep(run_folder, "accuracy", f"cell-{payload['cell']['lane']}.try1", payload, arrays)
    keep(run_folder, "speed", "speed-launch01", launch)
    write_answers(run_folder, subjects[:2], origin, PROBES)
    _write_own_answers(run_folder, subjects[2:], origin)
    return run_folder


def _write_own_answers(
    run_folder: RunFolder, subjects: list[dict[str, str]], origin: dict[str, str]
) -> None:
    asked = {**origin, "batch_size": 200, "seed": 0, "probes": PROBES}
    exact = answers_in_float64()
    more = {"trajectory": {"steps": 1}, "predictions": {}, "consistency": {}}
    facts = {**exact.facts, **more}
    arrays = {**exact.arrays, "predictions.output0": exact.arrays["forward.one.output0"]}
    for number in (0, 1):
        arrays[f"trajectory.step1.weight{number}"] = arrays[f"update.adam{number}"]
    arrays["trajectory.distances"] = np.full((2, 1, 2), 1e-6)
    near = {
        name.replace(".", ".near0.", 1): array + 1e-7
        for name, array in arrays.items()
        if name.startswith(("forward", "gradients", "update"))
    } | {"gradients.near0.fact.loss": np.array(1.5)}
    for subject in subjects:
        backend = subject["lane"]
        told = {"status": "ok", "error": None, "log": None, "facts": copy.deepcopy(facts)}
        reference = {**asked, **told, "model": OWN_MODEL, "lane": backend}
        name = f"reference-{OWN_MODEL}-{backend}.try1"
        keep(run_folder, "reference", name, reference, arrays | near)
        like = subject_payload(subject, asked, oracle_answers(), BACKENDS)
        own = rounded(Answers(facts, arrays))
        payload = like | {"portability": None, "facts": copy.deepcopy(dict(own.facts))}
        keep(
            run_folder,
            "parity",
            f"parity-{OWN_MODEL}-{backend}-cpu.try1",
            payload,
            dict(own.arrays),
        )


def change(content: Any, random: Random) -> None:
    """Change one thing in what JSON holds, deep down in most cases."""
    place: Any = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = random.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.1:
            break
        place = place[key]
    match random.randrange(6):
        case 0:
            del place[key]
        case 1 if isinstance(place, list):
            place.append(copy.deepcopy(place[key]))
        case 2 if type(place[key]) in (int, float):
            place[key] *= random.choice([-1, 0, 2, 1000])
        case 3:
            place[key] = copy.deepcopy(place[random.choice(keys)])
        case _:
            place[key] = copy.deepcopy(random.choice(VALUES))


def spoil(arrays: Arrays, random: Random) -> None:
    """Change one array, if there is one: its values, shape, type or name."""
    if not arrays:
        return
    key = random.choice(sorted(arrays))
    array = arrays[key]
    with np.errstate(all="ignore"):
        match random.randrange(9):
            case 0:
                del arrays[key]
            case 1:
                arrays[key] = array.reshape(-1)
            case 2:
                arrays[key] = array.reshape(-1)[:0]
            case 3:
                arrays[key] = array[..., np.newaxis]
            case 4:
                arrays[key] = np.repeat(np.atleast_1d(array), 2, axis=-1)
            case 5:
                arrays[key] = array.astype(random.choice(DTYPES))
            case 6:
                arrays[random.choice([*NAMES, *sorted(arrays)])] = array
            case 7:
                arrays[key] = np.full_like(array, _element(array, random))
            case _:
                arrays[key] = changed = array.copy()
                if changed.size:
                    changed.flat[random.randrange(changed.size)] = _element(array, random)


def _element(array: NDArray[Any], random: Random) -> float:
    return random.choice(ELEMENTS) if array.dtype.kind == "f" else random.choice([0, 1, 255])
