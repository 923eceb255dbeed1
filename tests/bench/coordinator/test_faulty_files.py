"""Every call to the file system fails once: nothing is half there, and the error says what and why.

Call 1 fails, then call 2, and so on until there is no such call any more.
"""

import errno
import functools
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.contract import envelopes, limits
from bench.contract.errors import BenchError
from bench.contract.schema import Accuracy
from bench.coordinator.run_folder import RunFolder
from bench.inputs import datasets
from reports.judging.comparison import Comparison
from reports.pages import files, html, markdown
from reports.pages.html import Drawn
from reports.read import shards
from tests.support import golden
from tests.support.faulty_files import failing
from tests.support.stored_runs import accuracy_payload, keep, predictions, run_plan, store_run

CODES = [errno.ENOSPC, errno.EIO, errno.EACCES]
ARRAYS = {"probabilities": predictions(0)}
PAYLOAD = accuracy_payload("jax")

every_code = pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)


def each_failure(folder: Path, code: int, work: Callable[[], object]) -> Iterator[Exception | None]:
    """What `work` raised, or None, with the first call failing, then the second, to the last."""
    for number in itertools.count(1):
        told = None
        with failing(folder, number, code) as calls:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
                told = error
        if calls.count < number:
            assert told is None
            assert number > 1
            return
        yield told


def assert_whole(results: Path) -> None:
    """Every file that counts as a shard is one, with its arrays."""
    for path in results.glob("2*/shards/*.json"):
        content = envelopes.read_envelope(path).payload
        if "arrays_sha256" in content:
            envelopes.read_arrays(
                path.with_suffix(".npz"),
                content["arrays_sha256"],
                envelopes.Room(limits.MAX_ARRAYS_BYTES),
            )


@every_code
def test_fault_10_a_run_that_cannot_be_written(tmp_path: Path, code: int) -> None:
    def work() -> None:
        run_folder = RunFolder.create(tmp_path)
        run_folder.lock()
        keep(run_folder, "plan", "plan", run_plan([]))
        run_folder.point_latest()
        keep(run_folder, "accuracy", run_folder.next_attempt("cell"), PAYLOAD, ARRAYS)
        assert run_folder.attempts("cell") == ["cell.try1"]

    for told in each_failure(tmp_path, code, work):
        assert isinstance(told, BenchError)
        assert str(tmp_path) in str(told)
        assert os.strerror(code) in str(told)
        assert_whole(tmp_path)
        assert not list(tmp_path.glob("2*/shards/.*"))


@every_code
def test_fault_10_a_run_that_goes_on_keeps_what_it_has(tmp_path: Path, code: int) -> None:
    first = RunFolder.create(tmp_path)
    keep(first, "accuracy", "cell.try1", PAYLOAD, ARRAYS)
    before = {path: path.read_bytes() for path in first.path.glob("shards/*")}

    def work() -> None:
        run_folder = RunFolder.resume(tmp_path, first.run_id)
        if run_folder.read("cell.try1", Accuracy) is None:
            return  # it will be made again
        keep(run_folder, "accuracy", run_folder.next_attempt("cell"), PAYLOAD, ARRAYS)

    for told in each_failure(tmp_path, code, work):
        assert told is None or isinstance(told, BenchError)
        assert {path: path.read_bytes() for path in before} == before
        assert_whole(tmp_path)


# NumPy leaves a file that cannot be read to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@every_code
def test_fault_10_a_dataset_that_cannot_be_kept(tmp_path: Path, code: int) -> None:
    arrays = {name: np.zeros((3, 2), np.uint8) for name in datasets.ARRAYS}
    for told in each_failure(
        tmp_path, code, lambda: datasets.store("digits", arrays, tmp_path / "d")
    ):
        assert told is None or (isinstance(told, BenchError) and os.strerror(code) in str(told))
        for path in (tmp_path / "d").glob("*.npz"):
            assert datasets.read_npz(path).keys() == arrays.keys()


@every_code
def test_fault_10_shards_that_cannot_be_read(tmp_path: Path, code: int) -> None:
    run_folder = store_run(tmp_path, [accuracy_payload("jax"), accuracy_payload("torch")])
    found = [0, 0, 0]

    def work() -> None:
        read = shards.read([run_folder.path])
        found[len(read.accuracy)] += 1
        told = read.problems + ["" for _ in range(2 - len(read.accuracy))]
        assert bool(read.problems) == (len(read.accuracy) < 2), told
        for problem in read.problems:
            assert str(run_folder.path) in problem
            assert os.strerror(code) in problem

    assert list(each_failure(run_folder.path, code, work)).count(None) > 4
    assert found[1] > 0  # one shard was lost, and the other was read


@functools.cache
def whole_report() -> tuple[Comparison, list[Drawn], str, str]:
    """A comparison, one figure of it and both pages."""
    comparison = golden.loaded()
    pictures = html.draw(comparison)[:1]
    return comparison, pictures, html.report(comparison, pictures), markdown.render(comparison)


@every_code
def test_fault_10_a_report_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    comparison, pictures, page, short = whole_report()
    few = dict(list(comparison.tables().items())[:2])
    monkeypatch.setattr(Comparison, "tables", lambda _: few)
    monkeypatch.setattr(html, "draw", lambda _: pictures)
    monkeypatch.setattr(html, "report", lambda *_: page)
    monkeypatch.setattr(markdown, "render", lambda _: short)
    files.write(comparison, tmp_path / "whole")
    whole = content(tmp_path / "whole")
    output = tmp_path / "output"
    for told in each_failure(output, code, lambda: files.write(comparison, output)):
        assert isinstance(told, OSError)
        assert told.strerror == os.strerror(code)
        assert Path(told.filename).is_relative_to(output)
        written = content(output)
        assert written.items() <= whole.items()
        files.remove(output)
    assert content(output) == whole


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
