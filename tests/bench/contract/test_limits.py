"""What options accept can be written, and what can be written can be read."""

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.contract import envelopes
from bench.contract.backends import BACKENDS, DEVICES
from bench.contract.errors import UsageError
from bench.contract.limits import MAX_ARRAYS
from bench.contract.parity_schema import WholeModel
from bench.contract.schema import OwnModel, Plan
from bench.contract.units import Cell, Lane, Subject
from bench.contract.variants import SETTINGS, is_variant
from bench.coordinator.fleet import Member
from bench.coordinator.parity.respondent import Respondent
from bench.coordinator.run_folder import RunFolder
from bench.planning import plan as planning
from bench.planning import resolving
from bench.planning.options import NOT_GIVEN
from bench.planning.resolving import resolve
from bench.process import wire
from models.files import MAX_NAME, ModelFile
from tests.support.stored_runs import keep, kept

LONGEST = "m" * MAX_NAME


def read_again(plan: planning.Plan) -> Plan:
    """The plan as a report reads what its run writes."""
    return msgspec.convert(msgspec.to_builtins(kept(plan, plan.everything)), Plan)


@pytest.mark.parametrize("attempt", ["try1", "try999"])
def test_the_longest_names_are_written_and_read(tmp_path: Path, attempt: str) -> None:
    variant = max(
        filter(is_variant, map("+".join, itertools.permutations(SETTINGS, 2))), key=len
    ).replace("+", "-")
    run_folder = RunFolder.create(tmp_path)
    for backend, device in itertools.product(BACKENDS, DEVICES):
        ids = [
            Cell(LONGEST, variant, backend, device, 9_999).id,
            f"parity-{Subject(LONGEST, variant, backend, device).id}",
            f"reference-{LONGEST}-{backend}-{device}",
        ]
        for shard_id in ids:
            keep(run_folder, "accuracy", f"{shard_id}.{attempt}", {})
            path = run_folder.path / "shards" / f"{shard_id}.{attempt}.json"
            assert envelopes.read_envelope(path).shard_id == path.stem


@pytest.mark.parametrize("function", ["_build", "gr\u00f6\u00dfe", "f" * 200])
def test_a_function_of_any_name_is_written_and_read(tmp_path: Path, function: str) -> None:
    source = tmp_path / "mine.py"
    source.write_text(f"def {function}(): ...\n", encoding="utf-8")
    plan = resolve(NOT_GIVEN, (), {}, [f"{source}:{function}"])
    own = ModelFile.read(f"{source}:{function}")
    read = read_again(plan)
    assert read.own_models == [OwnModel(own.name, str(source), function, own.sha256)]


@pytest.mark.parametrize(
    "options",
    [
        {"seeds": "3000", "models": "two_layer", "variants": "stock"},
        {"seeds": "2", "epochs": "10000", "batch_size": "1000000"},
        {"budget": "277777h", "precision": "0.001%"},
        {"budget": "1s", "precision": "99.999%"},
        {"suite": "full", "variants": "all"},
    ],
)
def test_a_plan_that_options_give_is_written_and_read(options: dict[str, str | None]) -> None:
    plan = resolve(NOT_GIVEN | options, (), {})
    assert read_again(plan).seeds == plan.seeds


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": "2000"}, "12,000 trainings, and a run has at most 9,000"),
        ({"seeds": "9001"}, "--seeds must be an integer from 1 to 9,000"),
        ({"seeds": "9", "epochs": "10000"}, "540,000 epochs of training, and a run has at most"),
        ({"epochs": "10001"}, "--epochs must be an integer from 1 to 10,000"),
        ({"budget": "999999999h"}, "--budget: at most 277,778h"),
    ],
)
def test_more_than_a_report_can_read_is_refused_at_once(
    options: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        resolve(NOT_GIVEN | options, (), {})


def test_predictions_that_no_report_could_hold_are_refused_before_training() -> None:
    """Of MNIST, 10,000 examples, a training takes 11 numbers an example: 880,000 bytes."""
    cells = [Cell("two_layer", "stock", "jax", "cpu", seed) for seed in range(1_221)]
    resolving.check_predictions(cells[:1_220], 10_000, {"two_layer": 10})
    with pytest.raises(UsageError, match="predictions of 1,221 trainings on 10,000 test examples"):
        resolving.check_predictions(cells, 10_000, {"two_layer": 10})


def test_the_longest_text_of_a_shard_fits_a_line_of_the_pipe() -> None:
    text = "\u00e9" * 2_000_000
    assert msgspec.convert({"config": text}, WholeModel).config == text
    line = wire.encode({"id": 1, "result": {"config": text}})
    assert wire.decode(line[:-1])["result"]["config"] == text


class Answering:
    """A worker that answers with so many arrays."""

    def __init__(self, scratch: Path, arrays: int) -> None:
        self.scratch = scratch
        self._arrays = {f"weight{number}": np.zeros(1, np.float32) for number in range(arrays)}

    def call(self, _: str, arguments: dict[str, str]) -> dict[str, object]:
        np.savez(arguments["arrays"], **self._arrays)  # type: ignore[arg-type]
        return {"steps": 200}

    def kill(self) -> None:
        """It is no process."""


@pytest.mark.parametrize(
    ("arrays", "status"), [(105, "ok"), (1_000, "ok"), (MAX_ARRAYS + 1, "invalid")]
)
def test_an_answer_may_have_as_many_arrays_as_a_report_reads(
    tmp_path: Path, arrays: int, status: str
) -> None:
    member = Member(Lane("jax", "cpu", ""))
    member.worker = Answering(tmp_path, arrays)  # type: ignore[assignment]
    respondent = Respondent(member)
    respondent.answer(["trajectory"])
    assert respondent.told()["status"] == status
    assert len(respondent.arrays) == (arrays if status == "ok" else 0)
