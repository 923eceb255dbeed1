"""What answers say of the model that they are about."""

import json

import numpy as np

from reports.ladder.findings import Answers, or_infinite


def optimizer_name(answers: Answers) -> str:
    """Of the model's own optimizer: Adam where nothing else is said."""
    config = answers.facts["identity"].get("compile_config") or "{}"
    return str(json.loads(config).get("class", "Adam"))


def precision_of(answers: Answers) -> str:
    """The least precision that the model computes in."""
    return str(answers.facts.get("identity", {}).get("precision") or "float32")


def precision_held(answers: Answers) -> str:
    """The least precision that the model holds a weight in."""
    return str(answers.facts.get("identity", {}).get("held") or "float32")


def trained(reference: Answers) -> list[int]:
    """Numbers of the weights that are trained."""
    told = reference.facts["identity"].get("trainable")
    return list(range(len(weight_names(reference)))) if told is None else list(told)


def trained_names(reference: Answers) -> list[str]:
    """Names of the weights that are trained, in the order of gradients."""
    names = weight_names(reference)
    return [names[number] for number in trained(reference)]


def weight_names(reference: Answers) -> list[str]:
    """Names of the weights, in their order."""
    return list(reference.facts["identity"]["weights"])


def is_oracle(reference: Answers) -> bool:
    """Whether it has answered by both of Keras's definitions of the loss."""
    return reference.facts.get("gradients", {}).get("saturated_loss_clipped") is not None


def saturated_definition(answers: Answers, reference: Answers) -> str:
    """Which of the oracle's losses a backend's is closer to: "" from logits, or "_clipped"."""
    if not is_oracle(reference):
        return ""
    own, true = answers.facts["gradients"], reference.facts["gradients"]
    return min(
        ("", "_clipped"),
        key=lambda name: relative(own["saturated_loss"], true[f"saturated_loss{name}"]),
    )


def words(definition: str) -> str:
    """A definition of `saturated_definition` as a person reads it."""
    return " (from clipped probabilities)" if definition else " (from logits)"


def relative(value: float | None, true: float | None) -> float:
    """Relative error; infinity where a value is none."""
    if value is None or true is None:
        return np.inf
    return or_infinite(abs(value - true) / (abs(true) or 1.0))
