"""Each backend climbs the ladder, and what it saves can be loaded."""

from pathlib import Path
from typing import Any

import keras
import pytest

import models
from bench.contract.rungs import CERTIFYING, PROBES, UNIT_ROUNDOFF
from bench.coordinator.parity.oracle_answers import Reference
from bench.worker.model import precision
from bench.worker.parity.probes import Probes
from reports.ladder import file_rungs, rungs
from reports.ladder.findings import HALF_SPREADS, Answers, Finding
from tests.backend import ladder


@pytest.mark.parametrize("model", models.names())
def test_the_backend_passes_every_rung(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.shorten(monkeypatch)
    probes, true = ladder.opened(model, tmp_path), ladder.oracle(model)
    found = ladder.climb(probes, true, PROBES)
    assert {finding.rung for finding in found} == set(CERTIFYING)
    assert [finding for finding in found if finding.status != "pass"] == []


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_half_precision_is_as_far_off_as_its_rounding(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient is, and not by a number of roundings: ReLUs change sides."""
    ladder.shorten(monkeypatch)
    monkeypatch.setattr(precision, "_lane", policy)
    half = policy.removeprefix("mixed_")
    asked = ("identity", "forward", "gradients")
    oracle = Reference("two_layer", 0, ladder.BATCH, ladder.images(), [half])
    true = ladder.answers(oracle, asked)
    moved = {
        name.replace(f".near0_{half}.", "."): array
        for name, array in true.arrays.items()
        if f".near0_{half}." in name
    }
    near = Answers(true.facts, {**true.arrays, **moved})
    own = ladder.answers(ladder.opened("two_layer", tmp_path), asked)
    errors, spreads = (
        {each.quantity: each.value for each in rungs.judge(one, true)} for one in (own, near)
    )
    assert errors["weights"] == 0
    for name in ("convolution_1 kernel", "convolution_2 kernel", "hidden kernel"):
        gradient = f"gradient of {name}"
        assert spreads[gradient] > 2 * UNIT_ROUNDOFF[half]
        assert UNIT_ROUNDOFF[half] < errors[gradient] < HALF_SPREADS[0] * spreads[gradient]


def test_saved_files_give_the_same_model_and_the_same_next_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.shorten(monkeypatch)
    probes = ladder.opened("two_layer", tmp_path)
    saved = probes.save(tmp_path)
    found = files_found(probes, saved, tmp_path)
    assert {finding.quantity for finding in found} == {
        "weights in this's model file",
        "layers in this's model file",
        "optimizer in this's model file",
        "configuration in this's model file",
        "jit_compile in this's model file",
        "weights in this's weights file",
        "optimizer in this's weights file",
        "loss after this's weights file",
    }
    assert {finding.status for finding in found} == {"pass"}


def test_a_file_whose_optimizer_is_forgotten_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.shorten(monkeypatch)
    probes = ladder.opened("two_layer", tmp_path)
    saved = probes.save(tmp_path)
    monkeypatch.setattr("keras.models.load_model", lambda *_, **__: probes._fresh().model)
    found = files_found(probes, saved, tmp_path)
    assert {finding.quantity for finding in found if finding.status == "fail"} == {
        "weights in this's model file",
        "optimizer in this's model file",
    }


def test_a_file_of_a_model_that_was_compiled_otherwise_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.shorten(monkeypatch)
    probes = ladder.opened("two_layer", tmp_path)
    saved = probes.save(tmp_path)
    other = probes._fresh().model
    rate = keras.optimizers.Adam(0.01)
    other.compile(optimizer=rate, loss=other.loss, jit_compile=not probes._model.jit_compile)
    monkeypatch.setattr("keras.models.load_model", lambda *_, **__: other)
    failed = {
        each.quantity for each in files_found(probes, saved, tmp_path) if each.status != "pass"
    }
    assert failed >= {"configuration in this's model file", "jit_compile in this's model file"}


def files_found(probes: Probes, saved: dict[str, Any], folder: Path) -> list[Finding]:
    """What P8 finds in the files that this backend has saved itself."""
    own, _ = probes.identity()
    loaded = probes.load(folder)
    files = file_rungs.Files("this", saved, own, loaded["model"]["error"])
    return list(file_rungs.judge(files, "this", loaded, own))
