"""Each backend climbs the ladder, and what it saves can be loaded."""

from pathlib import Path
from typing import Any

import keras
import pytest

import models
from bench.contract.rungs import CERTIFYING, PROBES
from bench.worker.parity.probes import Probes
from reports.ladder import file_rungs
from reports.ladder.findings import Finding
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
