"""The rungs of the parity ladder: one backend's answers against the oracle's. NumPy alone.

Each rung asks for less than the one before and can go wrong in fewer ways once that has passed, so
the first that fails says where to look.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from bench.contract.rungs import PROBES
from reports.ladder.answer_facts import (
    is_oracle,
    precision_of,
    saturated_definition,
    weight_names,
    words,
)
from reports.ladder.consistency_rung import consistency
from reports.ladder.findings import (
    UNIT_ROUNDOFF,
    Answers,
    Array,
    Finding,
    count_of,
    largest_error,
    norm,
    or_infinite,
)
from reports.ladder.training_rungs import GRADIENT_SHARE, gradients, update
from reports.ladder.trajectory_rungs import checkpoints, part, restarts

REFERENCE_ALONE = re.compile(r"_clipped|\.start\d|^predictions\.logits$|\.near\d")
NUMBER = re.compile(r"\d+")
ANSWERING = "predictions.probabilities"
"""What only a classifier that ends in a softmax has."""

MARGIN = 10.0
"""Two backends may answer differently only where the oracle's margin is below so many errors."""


@np.errstate(all="ignore")  # what is no number, or too large for one, is found as such
def judge(answers: Answers, reference: Answers) -> list[Finding]:
    """All findings on one subject, in the order of the ladder.

    A probe whose answers are fewer than the oracle's, or of other shapes, is one finding.
    """
    findings: list[Finding] = []
    reference = _without(reference, answers.facts.get("identity", {}).get("unlike") or ())
    for probe, compared in COMPARISONS.items():
        if probe not in answers.facts or probe not in reference.facts:
            continue
        if odd := misshapen(probe, answers, reference):
            quantity = f"{odd} is missing, has another shape or is one too many"
            findings.append(count_of(PROBES[probe].rungs[-1], quantity, 1))
        else:
            findings += compared(answers, reference)
    return findings


MADE_UP = ("zeros", "ones")
"""Inputs of P2 that are no examples."""


def misshapen(probe: str, answers: Answers, reference: Answers) -> str | None:
    """The first array of a probe that is not as the oracle's; None if all are."""
    wanted = [
        name
        for name in reference.arrays
        if name.startswith(f"{probe}.") and not REFERENCE_ALONE.search(name)
    ]
    for name in wanted:
        given = answers.arrays.get(name)
        if given is None or given.shape != reference.arrays[name].shape:
            return name
    if probe != "forward":  # some variants have more layers
        numbered = {NUMBER.sub("#", name) for name in wanted}
        for name in sorted(answers.arrays.keys() - reference.arrays.keys()):
            if NUMBER.sub("#", name) in numbered:
                return name
    if probe == "trajectory":
        distances = answers.arrays.get("trajectory.distances", np.empty(0))
        size = (len(checkpoints(reference)), len(weight_names(reference)))
        if distances.shape[1:] != size or not len(distances):
            return "trajectory.distances"
    return None


def _without(reference: Answers, layers: Sequence[str]) -> Answers:
    """The reference without outputs of layers that a variant has not: it computes them otherwise.

    What comes of them is compared all the same, at the layers after them and at the end.
    """
    names = reference.facts.get("identity", {}).get("layers") or []
    left_out = {f"layer{number}" for number, name in enumerate(names) if name in layers}
    kept = {
        key: array
        for key, array in reference.arrays.items()
        if not (key.startswith("forward.") and key.rpartition(".")[2] in left_out)
    }
    return Answers(reference.facts, kept)


def identity(answers: Answers, reference: Answers) -> Iterator[Finding]:
    """P0: the same model, fed the same; P1: the weights as they were drawn, to the last bit."""
    own, true = answers.facts["identity"], reference.facts["identity"]
    for name in ("layers", "parameters"):
        yield count_of("P0", name, own[name] != true[name])
    one, other = own["fed_sha256"], true["fed_sha256"]
    fed = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    yield count_of("P0", _listed("what is fed", fed), len(fed))
    done = {probe: facts["steps"] for probe, facts in answers.facts.items() if "steps" in facts}
    planned = {probe: reference.facts[probe]["steps"] for probe in done}
    yield count_of("P0", "steps", planned != done)
    drawn, read = reference.numbered("identity.weight"), answers.numbered("identity.weight")
    alike = len(drawn) == len(read) and all(map(np.array_equal, drawn, read))
    # Of large weights only samples are stored, and a hash of all.
    hashes = {each.get("weights_sha256") for each in (own, true)}
    yield count_of("P1", "weights", not alike or (None not in hashes and len(hashes) > 1))


def forward(answers: Answers, reference: Answers) -> Iterator[Finding]:
    """P2: outputs, the largest error over the largest value; each layer's worst input speaks."""
    true = reference.facts["identity"]
    layers = {f"layer{number}": name for number, name in enumerate(true["layers"])}
    outputs = {f"output{n}": f"output {name}" for n, name in enumerate(true.get("outputs") or ())}
    for suffix, name in (layers | {"logits": "logits"} | outputs).items():
        keys = _asked(reference, suffix)
        if keys:
            worst = max(_largest(answers, reference, key) for key in keys)
            yield Finding("P2", name, worst, "P2 output", UNIT_ROUNDOFF)
    if keys := _asked(reference, "logits"):
        inputs = [key.removesuffix(".logits") for key in keys]
        worst = max(_of_probabilities(answers, reference, name) for name in inputs)
        name = f"{true['layers'][-1]} (probabilities)"
        yield Finding("P2", name, worst, "P2 output", UNIT_ROUNDOFF)
        wrong = sum(differing_answers(answers, reference, key)[1] for key in keys)
        yield count_of("P2", "answers beyond the margin", wrong)


def _asked(reference: Answers, what: str) -> list[str]:
    """Names of this array for every input of P2 for which it was stored.

    Not for made-up inputs of which the model makes no numbers in float64 either: backends differ in
    where they lose them, and no example is like that.
    """
    name = re.compile(rf"forward\.([^.]+)\.{what}")
    given = re.compile(rf"forward\.({'|'.join(MADE_UP)})\.(output\d+|logits)")
    arrays = reference.arrays.items()
    senseless = {
        match[1]
        for key, array in arrays
        if (match := given.fullmatch(key)) and not np.isfinite(array).all()
    }
    return sorted(k for k, _ in arrays if (m := name.fullmatch(k)) and m[1] not in senseless)


def trajectory(answers: Answers, reference: Answers) -> Iterator[Finding]:
    """P5: the distance from the oracle's training by the same definition of the loss.

    It is in widths of the backend's own envelope, which grows. So the backend also takes over from
    the oracle at some steps, and what the next ones change is compared as in P4.
    """
    precision = precision_of(answers)
    if precision != "float32":
        quantity = f"trainings in {precision}, which part at once: not compared"
        yield Finding("P5", quantity, 1, "known")
        return
    definition, names = saturated_definition(answers, reference), weight_names(reference)
    parting = part(answers, reference, names, definition)
    whose = "the oracle" if is_oracle(reference) else "float64"
    told = words(definition) if is_oracle(reference) else ""
    quantity = f"distance from {whose}{told}{parting.where}"
    yield Finding("P5", quantity, parting.value, "P5 distance")
    for step in restarts(reference):
        start = reference.numbered(f"trajectory.restart{step}.start")
        ends = (
            answers.numbered(f"trajectory.restart{step}.weight"),
            reference.numbered(f"trajectory.restart{step}{definition}.weight"),
        )
        moves = [[end - begin for end, begin in zip(each, start, strict=True)] for each in ends]
        errors = [_typical(*pair) for pair in zip(*moves, strict=True)]
        worst = int(np.argmax(errors))
        rate = norm(moves[1][worst]) / np.sqrt(start[worst].size)
        floor = UNIT_ROUNDOFF * float(np.median(np.abs(start[worst]))) / (rate or 1.0)
        quantity = f"steps after {step} of the oracle's, {names[worst]}"
        yield Finding("P5", quantity, errors[worst], "P5 steps", floor)


def predictions(answers: Answers, reference: Answers) -> Iterator[Finding]:
    """P6: the same answers to the test set, but where the oracle itself is undecided."""
    names = reference.facts["identity"].get("outputs") or ()
    for number, name in enumerate(names):
        if (key := f"predictions.output{number}") in reference.arrays:
            error = _largest(answers, reference, key)
            yield Finding("P6", f"output {name}", error, "P6 output", UNIT_ROUNDOFF)
    key = ANSWERING
    if key not in reference.arrays:
        return
    error = _of_probabilities(answers, reference, "predictions")
    yield Finding("P6", "probabilities", error, "P6 output", UNIT_ROUNDOFF)
    differing, wrong = differing_answers(answers, reference, key)
    yield count_of("P6", f"answers beyond the margin ({differing:.0f} differ)", wrong)


COMPARISONS: Mapping[str, Callable[[Answers, Answers], Iterator[Finding]]] = {
    "identity": identity,
    "forward": forward,
    "gradients": gradients,
    "update": update,
    "trajectory": trajectory,
    "predictions": predictions,
    "consistency": consistency,
}


def differing_answers(answers: Answers, reference: Answers, key: str) -> tuple[int, int]:
    """How many answers differ from the oracle's, and how many of them beyond its margin.

    The margin is in errors of the examples that are answered alike: that of the others would
    excuse itself.
    """
    own, true = answers.arrays[key].astype(np.float64), reference.arrays[key]
    second, first = np.partition(true, -2, axis=1)[:, -2:].T
    differ = own.argmax(axis=1) != true.argmax(axis=1)
    error = np.abs(own - true)[~differ].max(initial=0.0)
    beyond = ~(first - second <= MARGIN * error)
    return int(differ.sum()), int((differ & beyond).sum())


def _listed(what: str, names: Sequence[str]) -> str:
    return f"{what}: {', '.join(names)}" if names else what


def _largest(answers: Answers, reference: Answers, key: str) -> float:
    return largest_error(answers.arrays[key], reference.arrays[key])


def _of_probabilities(answers: Answers, reference: Answers, probe: str) -> float:
    """Largest error, over the largest logit where that is above 1.

    A probability's error is the absolute error of logits, and those of pixels up to 255 are in the
    hundreds: the error must not be told as one of the softmax.
    """
    logits = reference.arrays.get(f"{probe}.logits", np.zeros(1))
    largest = np.abs(logits).max()
    return _largest(answers, reference, f"{probe}.probabilities") / max(1.0, float(largest))


def _typical(found: Array, exact: Array) -> float:
    """Median error of what moves at all, over the root mean square of the moves.

    In one of thirty such steps rounding turned a ReLU on that the oracle has off. The weights of
    one unit then go another way, 2e-3 of the norm and no fault; of the median it is 7e-4.
    """
    size = np.abs(exact)
    moving = size >= GRADIENT_SHARE * size.max()
    error = np.median(np.abs(found - exact)[moving])
    return or_infinite(error / (np.sqrt((exact**2).mean()) or 1.0))
