"""What good answers of the parity ladder must fulfil beyond the types of their fields.

An oracle that has lost an answer would let every backend pass, so its shards are checked to the
last array. All raise `ShardError`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.envelopes import ShardError
from bench.contract.parity_schema import Asked, Facts, Identity, Parity, Reference
from bench.contract.rungs import ORACLE, PORTABILITY
from bench.contract.schema import Plan
from bench.contract.variants import STOCK
from reports.ladder.findings import Answers
from reports.ladder.trajectory_rungs import checkpoints, restarts
from reports.read import checks

Arrays = Mapping[str, NDArray[Any]]

GIVEN = re.compile(r"forward\.([^.]+)\.(logits|probabilities)")
NEAR = re.compile(r"(\w+)\.near\d+\w*\.(.+)")
NEAR_GRADIENT = re.compile(r"gradients\.(near\d+\w*)\.")


def parity(path: Path, record: Parity, planned: Plan) -> None:
    """Answers of a planned subject, by this backend; what is called ok answers every probe."""
    subject, worker = record.subject, record.worker
    if planned.parity is None or subject not in planned.parity.subjects:
        raise ShardError(f"{path}: answers of a subject that was not planned")
    _same_data(path, record, planned)
    checks.worker(path, subject.lane, subject.device, worker)
    if record.status != "ok":
        return
    _complete(path, record, record.facts, planned)
    _optimizer(path, record.facts)
    stock = subject.variant == STOCK
    if stock and record.facts.identity is not None and record.facts.identity.unlike:
        raise ShardError(f"{path}: layers that are left out, of what Keras ships")
    wanted = stock and PORTABILITY in record.probes
    if worker is None or wanted != (record.portability is not None):
        raise ShardError(f"{path}: status ok, but no worker or no answer to {PORTABILITY}")


def reference(path: Path, record: Reference, arrays: Arrays, planned: Plan) -> None:
    """A reference's answers on a planned model: all of them; the oracle's of its shapes, finite.

    A model of the user's may give what is no number; then that is what is found.
    """
    if planned.parity is None or record.model not in {
        subject.model for subject in planned.parity.subjects
    }:
        raise ShardError(f"{path}: answers on a model that was not planned")
    _same_data(path, record, planned)
    if record.status != "ok":
        return
    _complete(path, record, record.facts, planned)
    _optimizer(path, record.facts)
    identity, answers = record.facts.identity, Answers({}, arrays)
    names = (identity and identity.weights) or []
    weights = answers.numbered("identity.weight")
    if identity is None or not names or len(names) != len(weights):
        raise ShardError(f"{path}: {len(weights)} weights, of which {len(names)} have names")
    if record.lane == ORACLE and not identity.layers:
        raise ShardError(f"{path}: an oracle without layers")
    trained = range(len(weights)) if identity.trainable is None else identity.trainable
    if len(set(trained)) != len(trained) or not set(trained) <= set(range(len(weights))):
        raise ShardError(f"{path}: trained weights that there are not")
    shapes = [weight.shape for weight in weights]
    for family, numbers in _families(record.facts, answers, trained).items():
        if [array.shape for array in answers.numbered(family)] != [shapes[n] for n in numbers]:
            raise ShardError(f"{path}: {family} is not of the weights' shapes")
    if record.facts.forward is not None:
        told = {match[1] for name in arrays if (match := GIVEN.fullmatch(name))}
        for name in sorted(told | identity.fed_sha256.keys() - {"targets"}):
            _outputs(path, arrays, f"forward.{name}", record.lane)
    if record.facts.predictions is not None:
        _outputs(path, arrays, "predictions", record.lane)
    if record.lane == ORACLE:
        _oracle(path, identity, record.facts, arrays)
    _near(path, record.facts, answers)


def _oracle(path: Path, identity: Identity, facts: Facts, arrays: Arrays) -> None:
    """Numbers everywhere, outputs of all layers, and losses by both definitions."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ShardError(f"{path}: {name} is not finite")
    if facts.forward is not None:
        inputs = sorted(identity.fed_sha256.keys() - {"targets"})
        layered = [name for name in inputs if f"forward.{name}.layer0" in arrays]
        layers = range(len(identity.layers) - 1)
        wanted = (f"forward.{name}.layer{number}" for name in layered for number in layers)
        if not layered or not all(name in arrays for name in wanted):
            raise ShardError(f"{path}: not the outputs of all layers")
    losses = facts.gradients
    if losses is not None and None in (
        losses.loss,
        losses.saturated_loss,
        losses.saturated_loss_clipped,
    ):
        raise ShardError(f"{path}: no losses")


def _near(path: Path, facts: Facts, answers: Answers) -> None:
    """What comes of weights that were moved: of the same form as what it is compared with."""
    for name, array in answers.arrays.items():
        if not (match := NEAR.fullmatch(name)):
            continue
        probe, rest = match.groups()
        if rest.startswith("fact."):
            shape: tuple[int, ...] | None = ()
        else:
            like = answers.arrays.get(f"{probe}.{rest}")
            shape = None if like is None else like.shape
        if getattr(facts, probe, None) is None or array.shape != shape:
            raise ShardError(f"{path}: {name} is like nothing else")
    gradients = len(answers.numbered("gradients.gradient"))
    for which in {match[1] for name in answers.arrays if (match := NEAR_GRADIENT.match(name))}:
        if len(answers.numbered(f"gradients.{which}.gradient")) != gradients:
            raise ShardError(f"{path}: not {gradients} gradients of {which}")


def _same_data(path: Path, record: Asked, planned: Plan) -> None:
    """It was asked on what the plan is about."""
    for name in ("dataset", "dataset_sha256", "batch_size"):
        if getattr(record, name) != getattr(planned.protocol, name):
            raise ShardError(f"{path}: asked with another {name} than the plan's")


def _complete(path: Path, record: Asked, facts: Facts, planned: Plan) -> None:
    """It was asked what was planned, and has answered that."""
    if planned.parity is None or record.probes != planned.parity.probes:
        raise ShardError(f"{path}: asked {', '.join(record.probes)}, which was not planned")
    asked = {"identity", *record.probes} - {PORTABILITY}
    missing = sorted(probe for probe in asked if getattr(facts, probe, None) is None)
    if missing:
        raise ShardError(f"{path}: no answer to {', '.join(missing)}")


def _optimizer(path: Path, facts: Facts) -> None:
    """Its configuration is one."""
    told = (facts.identity and facts.identity.compile_config) or "{}"
    try:
        if isinstance(json.loads(told), dict):
            return
    except (ValueError, RecursionError):
        pass
    raise ShardError(f"{path}: compile_config is no JSON object")


def _families(facts: Facts, answers: Answers, trained: Sequence[int]) -> dict[str, Sequence[int]]:
    """Names of arrays that stand once for each weight, and the numbers of these weights."""
    of_all = range(len(answers.numbered("identity.weight")))
    families: dict[str, Sequence[int]] = {}
    if (losses := facts.gradients) is not None:
        families["gradients.gradient"] = trained
        if losses.saturated_loss is not None:
            families["gradients.saturated_gradient"] = trained
        if losses.saturated_loss_clipped is not None:
            families["gradients.saturated_gradient_clipped"] = trained
    if facts.update is not None:
        families |= dict.fromkeys(("update.sgd", "update.adam"), of_all)
    if facts.trajectory is not None:
        forms = ["", "_clipped"] if losses and losses.saturated_loss_clipped is not None else [""]
        names = [f"step{step}" for step in checkpoints(answers) or [1]]
        starts = [f"restart{step}" for step in restarts(answers)]
        if forms[1:] and not starts:
            starts = ["restart1"]
        families |= {
            f"trajectory.{name}{form}.weight": of_all for name in names + starts for form in forms
        }
        families |= {f"trajectory.{name}.start": of_all for name in starts}
    return families


def _outputs(path: Path, arrays: Arrays, name: str, backend: str) -> None:
    """Of a classifier logits and probabilities, of the same examples and classes; else outputs."""
    classes = f"{name}.logits", f"{name}.probabilities"
    others_give = backend != ORACLE and not arrays.keys() & set(classes)
    if others_give and f"{name}.output0" in arrays:
        return
    shapes = {arrays[key].shape if key in arrays else None for key in classes}
    (shape, *others) = shapes
    if others or shape is None or len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
        raise ShardError(f"{path}: {name} has no logits, or no probabilities")
