"""Runs of the parity ladder, made up: stored by `run_folder`, read by `reports`."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bench.coordinator.run_folder import RunFolder
from reports.ladder.findings import Answers
from tests.support.fake_worker import consistent
from tests.support.stored_runs import BACKENDS, PROTOCOL, accuracy_payload, keep, run_plan

SHA = "a" * 64
PROBES = [
    *("identity", "forward", "gradients", "update", "predictions", "consistency"),
    "portability",
]
MODEL = "single_layer"
STEPS = (1, 2, 5)

Change = Callable[[dict[str, Any], dict[str, Any]], None]
"""Alters a payload and its arrays before they are stored."""


def oracle_answers() -> Answers:
    """An oracle of one dense layer with a logit layer, three classes."""
    generator = np.random.default_rng(0)
    shapes = [(4, 3), (3,)]
    arrays: dict[str, Any] = {}
    for number, shape in enumerate(shapes):
        weight = generator.normal(size=shape).astype(np.float32)
        gradient = generator.normal(size=shape)
        arrays |= {
            f"identity.weight{number}": weight,
            f"gradients.gradient{number}": gradient,
            f"gradients.saturated_gradient{number}": generator.normal(size=shape),
            f"gradients.saturated_gradient_clipped{number}": generator.normal(size=shape),
            f"update.sgd{number}": weight - 0.1 * gradient,
            f"update.adam{number}": weight - 1e-3 * np.sign(gradient),
        }
    logits = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.9999], [0.0, 0.0, 5.0]])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    arrays |= {
        "forward.odd33.layer0": generator.normal(size=(3, 4)),
        "forward.odd33.logits": logits,
        "forward.odd33.probabilities": probabilities,
        "predictions.logits": logits,
        "predictions.probabilities": probabilities,
    }
    facts: dict[str, dict[str, Any]] = {
        "identity": {
            "layers": ["hidden", "output"],
            "weights": ["output kernel", "output bias"],
            "parameters": 15,
            "fed_sha256": {"odd33": SHA, "targets": SHA},
        },
        "forward": {},
        "gradients": {"loss": 1.5, "saturated_loss": 20.0, "saturated_loss_clipped": 16.0},
        "update": {"steps": {"sgd": 1, "adam": 1}},
        "predictions": {},
        "consistency": {},
    }
    return Answers(facts, arrays)


def answers_in_float64(**changes: Any) -> Answers:
    """A backend's, of two layers, two weights (one is not trained) and one output.

    Args:
        changes: Arrays, with `__` in their names for a dot.
    """
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=(4, 3)), generator.normal(size=3)]
    arrays: dict[str, Any] = {
        "forward.one.layer0": generator.normal(size=(1, 4)),
        "forward.one.layer1": generator.normal(size=(1, 3)),
        "forward.one.output0": generator.normal(size=(1, 3)),
        "gradients.gradient0": generator.normal(size=(4, 3)),
    }
    for number, weight in enumerate(weights):
        moved = weight - 0.1 * generator.normal(size=weight.shape)
        arrays |= {
            f"identity.weight{number}": weight.astype(np.float32),
            f"update.sgd{number}": moved,
            f"update.adam{number}": moved,
        }
    facts: dict[str, Any] = {
        "identity": {
            "layers": ["first", "second"],
            "parameters": 15,
            "fed_sha256": {"one": SHA, "targets": SHA},
            "weights": ["kernel", "mean"],
            "trainable": [0],
            "outputs": ["answer"],
        },
        "forward": {},
        "gradients": {"loss": 1.5},
        "update": {"steps": {"sgd": 1, "adam": 1}},
    }
    return Answers(facts, arrays | {n.replace("__", "."): a for n, a in changes.items()})


def rounded(true: Answers, **arrays: Any) -> Answers:
    """A backend's answers: the oracle's in float32, but for `arrays`, and its own to P9."""
    own = {name.replace("__", "."): array for name, array in arrays.items()}
    facts = dict(true.facts)
    if "consistency" in facts:
        facts["consistency"], found = consistent()
        own = {f"consistency.{name}": array for name, array in found.items()} | own
    return Answers(facts, {n: a.astype(np.float32) for n, a in {**true.arrays, **own}.items()})


def reference_of(model: str) -> dict[str, Any]:
    """What an oracle's shard says of itself."""
    return {"model": model, "lane": "numpy", "status": "ok", "error": None, "log": None}


def store_answers(
    results: Path,
    backends: tuple[str, ...] = BACKENDS,
    reference: Change = lambda *_: None,
    variants: Mapping[str, str] = MappingProxyType({}),
    protocol: Mapping[str, Any] = MappingProxyType(PROTOCOL),
    **changes: Change,
) -> RunFolder:
    """Store a run in which the oracle and these backends answered, and each read all files.

    Args:
        results: Where the run goes.
        backends: Who was asked.
        reference: Alters the oracle's answers.
        variants: Of a backend, by its name; `stock` of all others.
        protocol: Of the run; what was asked follows it.
        changes: Alters those of a backend, by its name.
    """
    run_folder = RunFolder.create(results)
    subjects = [
        {
            "model": MODEL,
            "variant": variants.get(name, "stock"),
            "lane": name,
            "device": "cpu",
        }
        for name in backends
    ]
    parity = {"subjects": subjects, "probes": PROBES}
    plan = {
        "models": [MODEL],
        "lanes": [{"name": name} for name in backends],
        "protocol": dict(protocol),
    }
    keep(run_folder, "plan", "plan", run_plan([], parity=parity, **plan))
    asked = {
        **{name: protocol[name] for name in ("dataset", "dataset_sha256", "batch_size")},
        "seed": 0,
        "probes": PROBES,
    }
    true = oracle_answers()
    facts = copy.deepcopy(dict(true.facts))
    oracle, exact = {**reference_of(MODEL), **asked, "facts": facts}, dict(true.arrays)
    reference(oracle, exact)
    keep(run_folder, "reference", f"reference-{MODEL}-numpy.try1", oracle, exact)
    for subject in subjects:
        payload = subject_payload(subject, asked, true, backends)
        arrays = dict(rounded(true).arrays)
        if change := changes.get(subject["lane"]):
            change(payload, arrays)
        name = "parity-{model}-{lane}-{device}.try1".format(**subject)
        keep(run_folder, "parity", name, payload, arrays)
    return run_folder


def write_answers(
    run_folder: RunFolder,
    subjects: Sequence[dict[str, str]],
    origin: Mapping[str, str],
    probes: list[str],
) -> None:
    """Store an oracle for each model and these subjects, that trained along P5 and nearly agree."""
    asked = {**origin, "batch_size": 200, "seed": 0, "probes": probes}
    true = _with_trajectory(oracle_answers())
    for model in dict.fromkeys(subject["model"] for subject in subjects):
        payload = {**reference_of(model), **asked, "facts": dict(true.facts)}
        keep(run_folder, "reference", f"reference-{model}-numpy.try1", payload, dict(true.arrays))
    for subject in subjects:
        payload = subject_payload(subject, asked, true, BACKENDS) | {"portability": None}
        del payload["facts"]["trajectory"]["clipped_since"]
        own = dict(rounded(true).arrays)
        offset = 1e-6 * (1 + BACKENDS.index(subject["lane"]))
        for number, step in enumerate(STEPS):
            for place in (0, 1):
                own[f"trajectory.step{step}.weight{place}"] += np.float32(offset * 10**number)
        widths = [[4e-6 * 10**number] * 2 for number in range(len(STEPS))]
        own["trajectory.distances"] = np.array([widths, widths])
        arrays = {
            name: array
            for name, array in own.items()
            if "_clipped" not in name and not name.endswith(("start0", "start1"))
        }
        del arrays["predictions.logits"]
        # Stock without its name, as in the golden run.
        variant = "" if subject["variant"] == "stock" else f"-{subject['variant']}"
        name = "parity-{model}{}-{lane}-{device}.try1".format(variant, **subject)
        keep(run_folder, "parity", name, payload, arrays)


def _with_trajectory(true: Answers) -> Answers:
    """The same answers and a training of five steps, which clipping does not change."""
    weights = true.numbered("identity.weight")
    arrays = dict(true.arrays)
    for form in ("", "_clipped"):
        for place, weight in enumerate(weights):
            for step in STEPS:
                arrays[f"trajectory.step{step}{form}.weight{place}"] = weight + 0.001 * step
            arrays[f"trajectory.restart2{form}.weight{place}"] = weight + 0.004
    for place, weight in enumerate(weights):
        start = (weight + 0.002).astype(np.float32)
        arrays[f"trajectory.restart2.start{place}"] = start
    facts = {**true.facts, "trajectory": {"steps": STEPS[-1], "clipped_since": None}}
    return Answers(facts, arrays)


def subject_payload(
    subject: Mapping[str, str], asked: Mapping[str, Any], true: Answers, backends: tuple[str, ...]
) -> dict[str, Any]:
    """A subject that answers as the oracle does."""
    like = accuracy_payload(subject["lane"])
    facts: dict[str, Any] = copy.deepcopy(dict(true.facts))
    if "consistency" in facts:
        facts["consistency"] = consistent()[0]
    del facts["identity"]["weights"], facts["gradients"]["saturated_loss_clipped"]
    facts["identity"] |= {
        "config": "{}",
        "compile_config": "{}",
        "jit_compile": False,
        "settings": {},
    }
    saved = {"weights_sha256": SHA, "optimizer_sha256": SHA, "loss": 0.5}
    loaded = {"model": whole_model(), "weights": saved}
    return {
        "subject": dict(subject),
        **copy.deepcopy(dict(asked)),
        "machine": like["machine"],
        "status": "ok",
        "error": None,
        "log": None,
        "worker": like["worker"],
        "facts": facts,
        "portability": {
            "saved": saved,
            "loaded": {name: copy.deepcopy(loaded) for name in backends},
        },
    }


def whole_model(**changes: Any) -> dict[str, Any]:
    """What comes of the whole-model file of a subject that answers as the oracle does."""
    return {
        "weights_sha256": SHA,
        "optimizer_sha256": SHA,
        "config": "{}",
        "compile_config": "{}",
        "jit_compile": False,
        "optimizer_error": None,
        "error": None,
        **changes,
    }


def crash(payload: dict[str, Any], arrays: dict[str, Any]) -> None:
    """A backend whose worker died before it said anything."""
    payload |= {
        "status": "crashed",
        "error": "killed by SIGSEGV",
        "worker": None,
        "facts": {},
        "portability": None,
    }
    arrays.clear()
