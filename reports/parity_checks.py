"""What good answers of the parity ladder must fulfil beyond the types of their fields.

An oracle that has lost an answer would let every backend pass, so its shards are checked to the
last array. All raise `ShardError`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import checks
from reports.envelopes import ShardError
from reports.findings import Answers
from reports.parity_schema import Asked, Facts, Parity, Reference
from reports.schema import Plan
from reports.trajectories import checkpoints, restarts

Arrays = Mapping[str, NDArray[Any]]

STOCK, PORTABILITY, ORACLE = "stock", "portability", "numpy"


def parity(path: Path, record: Parity, planned: Plan) -> None:
    """Answers of a planned subject, by this backend; what is called ok answers every probe."""
    subject, worker = record.subject, record.worker
    if planned.parity is None or subject not in planned.parity.subjects:
        raise ShardError(f"{path}: answers of a subject that was not planned")
    checks.versions(path, subject.backend, worker)
    if worker is not None and (worker.backend, worker.device) != (subject.backend, subject.device):
        raise ShardError(f"{path}: {subject.backend} on {subject.device} was {worker.backend}")
    if record.status != "ok":
        return
    _complete(path, record, record.facts, planned)
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
    if record.status != "ok":
        return
    _complete(path, record, record.facts, planned)
    if record.backend != ORACLE:
        _in_float64(path, record, arrays)
        return
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ShardError(f"{path}: {name} is not finite")
    identity = record.facts.identity
    names = (identity and identity.weights) or []
    answers = Answers({}, arrays)
    weights = [weight.shape for weight in answers.numbered("identity.weight")]
    if identity is None or not identity.layers or not names or len(names) != len(weights):
        raise ShardError(f"{path}: {len(weights)} weights, of which {len(names)} have names")
    for family in _families(record.facts, answers):
        if [array.shape for array in answers.numbered(family)] != weights:
            raise ShardError(f"{path}: {family} is not of the weights' shapes")
    if record.facts.forward is not None:
        inputs = sorted(identity.fed_sha256.keys() - {"targets"})
        layered = [name for name in inputs if f"forward.{name}.layer0" in arrays]
        layers = range(len(identity.layers) - 1)
        wanted = [f"forward.{name}.layer{number}" for name in layered for number in layers]
        if not layered or not set(wanted) <= arrays.keys():
            raise ShardError(f"{path}: not the outputs of all layers")
        for name in inputs:
            _outputs(path, arrays, f"forward.{name}")
    if record.facts.predictions is not None:
        _outputs(path, arrays, "predictions")
    losses = record.facts.gradients
    if losses is not None and None in (
        losses.loss,
        losses.saturated_loss,
        losses.saturated_loss_clipped,
    ):
        raise ShardError(f"{path}: no losses")


def _in_float64(path: Path, record: Reference, arrays: Arrays) -> None:
    """A backend's own answers: an array for each weight, and what the model gives."""
    identity, answers = record.facts.identity, Answers({}, arrays)
    if identity is None or not identity.weights or identity.trainable is None:
        raise ShardError(f"{path}: no names of weights")
    families = {"identity.weight": len(identity.weights)}
    if record.facts.gradients is not None:
        families["gradients.gradient"] = len(identity.trainable)
    if record.facts.update is not None:
        families |= dict.fromkeys(("update.sgd", "update.adam"), len(identity.weights))
    for name, count in families.items():
        if len(answers.numbered(name)) != count:
            raise ShardError(f"{path}: not {count} arrays {name}")
    for name in identity.fed_sha256.keys() - {"targets"}:
        if record.facts.forward is not None and not any(
            key in arrays for key in (f"forward.{name}.output0", f"forward.{name}.logits")
        ):
            raise ShardError(f"{path}: no output for {name}")


def _complete(path: Path, record: Asked, facts: Facts, planned: Plan) -> None:
    """It was asked what was planned, and has answered that."""
    if planned.parity is None or record.probes != planned.parity.probes:
        raise ShardError(f"{path}: asked {', '.join(record.probes)}, which was not planned")
    asked = {"identity", *record.probes} - {PORTABILITY}
    missing = sorted(probe for probe in asked if getattr(facts, probe, None) is None)
    if missing:
        raise ShardError(f"{path}: no answer to {', '.join(missing)}")


def _families(facts: Facts, answers: Answers) -> list[str]:
    """Names of arrays that stand once for each weight."""
    families = []
    if facts.gradients is not None:
        families += ["gradient", "saturated_gradient", "saturated_gradient_clipped"]
        families = [f"gradients.{name}" for name in families]
    if facts.update is not None:
        families += ["update.sgd", "update.adam"]
    if facts.trajectory is not None:
        steps = [f"step{step}" for step in checkpoints(answers)] or ["step1"]
        starts = [f"restart{step}" for step in restarts(answers)] or ["restart1"]
        families += [
            f"trajectory.{name}{form}" for name in steps for form in (".weight", "_clipped.weight")
        ]
        families += [
            f"trajectory.{name}{form}"
            for name in starts
            for form in (".start", ".weight", "_clipped.weight")
        ]
    return families


def _outputs(path: Path, arrays: Arrays, name: str) -> None:
    """Logits and probabilities, of the same examples and classes."""
    shapes = {
        arrays[key].shape if key in arrays else None
        for key in (f"{name}.logits", f"{name}.probabilities")
    }
    (shape, *others) = shapes
    if others or shape is None or len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
        raise ShardError(f"{path}: {name} has no logits, or no probabilities")
