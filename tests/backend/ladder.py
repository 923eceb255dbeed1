"""The parity ladder climbed in this process: probes, oracle and judge, without a coordinator."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract.rungs import PROBES
from bench.contract.units import ModelRequest, ProbesRequest
from bench.coordinator.parity.oracle_answers import Reference
from bench.inputs import parity_questions
from bench.inputs.datasets import PIXEL_SCALE, content_sha256
from bench.inputs.examples import Examples
from bench.worker.parity import consistency
from bench.worker.parity.probes import Probes
from reports.ladder import rungs
from reports.ladder.findings import Answers, Finding

BATCH = 40
SHORT = (1, 2, 5), 5
LARGE = 512
"""Examples at once, of P9."""


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer inputs, and trajectories of five steps."""
    ask = parity_questions.inputs

    def fewer(*given: Any, **more: Any) -> dict[str, Examples]:
        whole = ask(*given, **more)
        return {name: whole[name] for name in ("train", "odd33", parity_questions.UNSCALED)}

    checkpoints, trained_steps = SHORT
    monkeypatch.setattr(parity_questions, "inputs", fewer)
    monkeypatch.setattr(parity_questions, "CHECKPOINTS", checkpoints)
    monkeypatch.setattr(parity_questions, "TRAINED_STEPS", trained_steps)
    monkeypatch.setattr(parity_questions, "NEIGHBOURS", 2)
    monkeypatch.setattr(parity_questions, "RESTARTS", (1, 3))
    monkeypatch.setattr(consistency, "LARGE", LARGE)
    monkeypatch.setattr(consistency, "CALLS", 10)


def images() -> dict[str, Any]:
    """Images that a CNN can tell apart: a bright row at the height of the class, and noise."""
    generator = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for name, size in (("train", 300), ("test", 600)):
        labels = generator.integers(0, 10, size).astype(np.uint8)
        pixels = generator.integers(0, 60, (size, 28, 28, 1)).astype(np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            image[4 + 2 * label] = 255
        made |= {f"x_{name}": pixels, f"y_{name}": labels}
    return made


@cache
def _reference(model: str, shortened: tuple[object, ...]) -> tuple[Answers, Reference]:
    """What the oracle says, and itself; the same for all tests."""
    assert shortened == SHORT, "call `shorten` first"
    one = Reference(model, 0, BATCH, images())
    return answers(one, PROBES), one


def oracle(model: str) -> Answers:
    """All answers of the oracle."""
    return _reference(model, (parity_questions.CHECKPOINTS, parity_questions.TRAINED_STEPS))[0]


def opened(model: str, folder: Path, variant: str = "stock") -> Probes:
    """Probes of this backend."""
    data = images()
    np.savez(folder / "data.npz", **data)
    one = _reference(model, (parity_questions.CHECKPOINTS, parity_questions.TRAINED_STEPS))[1]
    np.savez(folder / "trained.npz", *one.trained())
    np.savez(folder / "restarts.npz", **one.restarts())  # type: ignore[arg-type]
    request = ProbesRequest(
        model=asked(model, folder / "data.npz", content_sha256(data), variant),
        seed=0,
        batch_size=BATCH,
        trained=str(folder / "trained.npz"),
        restarts=str(folder / "restarts.npz"),
    )
    return Probes(request)


def asked(model: str, data: Path, sha256: str, variant: str = "stock") -> ModelRequest:
    """What a worker is told of a shipped model."""
    return ModelRequest(model, model, str(data), sha256, PIXEL_SCALE, variant=variant)


def answers(one: Probes | Reference, probes: Iterable[str]) -> Answers:
    """What was answered, as a shard would keep it."""
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for probe in probes:
        facts[probe], found = one.answer(probe)
        arrays |= {f"{probe}.{name}": array for name, array in found.items()}
    return Answers(facts, arrays)


def climb(one: Probes, true: Answers, probes: Iterable[str]) -> list[Finding]:
    """All findings on the probes that were asked."""
    return rungs.judge(answers(one, probes), true)
