"""Each backend climbs the ladder, and what it saves can be loaded."""

from pathlib import Path

import pytest

import models
from bench import questions
from reports import rungs
from tests.backend import ladder


@pytest.mark.parametrize("model", models.names())
def test_the_backend_passes_every_rung(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.shorten(monkeypatch)
    probes, true = ladder.opened(model, tmp_path), ladder.oracle(model)
    found = ladder.climb(probes, true, questions.RUNGS)
    assert {finding.rung for finding in found} == {f"P{number}" for number in range(7)}
    assert [finding for finding in found if finding.status != "pass"] == []


def test_saved_files_give_the_same_model_and_the_same_next_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.shorten(monkeypatch)
    probes = ladder.opened("two_layer", tmp_path)
    saved = probes.save(tmp_path)
    found = rungs.portability(saved, "this", probes.load(tmp_path))
    assert {finding.quantity for finding in found} == {
        "weights in this's model file",
        "optimizer in this's model file",
        "loss after this's model file",
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
    monkeypatch.setattr("keras.models.load_model", lambda *_, **__: probes._fresh())
    failed = [
        each
        for each in rungs.portability(saved, "this", probes.load(tmp_path))
        if each.status == "fail"
    ]
    assert {finding.quantity for finding in failed} >= {
        "weights in this's model file",
        "optimizer in this's model file",
        "loss after this's model file",
    }
