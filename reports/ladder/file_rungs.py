"""P8 of the parity ladder: what one backend saved and another loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.contract.backends import backend_of
from reports.ladder.answer_facts import relative
from reports.ladder.findings import UNIT_ROUNDOFF, Finding, count_of

Facts = Mapping[str, Any]

UNREADABLE = "torch"
"""Keras 3.15.1 names the optimizer in this one's whole-model files by a module of its own, which
the others cannot import."""


@dataclass(frozen=True)
class Files:
    """What one backend saved.

    Attributes:
        source: Whose files they are.
        saved: What it said of them.
        identity: Its answer on identity.
        error: Why it can read its own whole-model file no more than others can; None if it can.
    """

    source: str
    saved: Facts
    identity: Facts
    error: str | None = None


def judge(files: Files, reader: str, loaded: Facts, own: Facts) -> Iterator[Finding]:
    """P8: what one backend saved and another loaded, in both of Keras's formats.

    A model that cannot be written whole, or not even be read where it was written, is none of the
    exchange's faults: it warns.

    Keras 3.15.1 has two faults here that are known, and warn: `UNREADABLE`, and that a whole-model
    file keeps what its backend made of `jit_compile="auto"`, so that torch compiles JAX's models.

    Args:
        files: Of the one.
        reader: Who loaded them.
        loaded: What came of them.
        own: `reader`'s answer on identity.
    """
    source, saved = files.source, files.saved
    yield from _whole(files, reader, loaded["model"], own)
    alone, file = loaded["weights"], f"{source}'s weights file"
    yield _differs("weights", file, alone["weights_sha256"], saved["weights_sha256"])
    yield _differs("optimizer", file, alone["optimizer_sha256"], saved["optimizer_sha256"])
    loss = relative(alone["loss"], saved["loss"])
    yield Finding("P8", f"loss after {file}", loss, "P8 loss", UNIT_ROUNDOFF)


def _whole(files: Files, reader: str, whole: Facts, own: Facts) -> Iterator[Finding]:
    source, saved = files.source, files.saved
    file = f"{source}'s model file"
    if saved["model_error"] is not None:
        yield Finding("P8", f"{file}, which cannot be written: {saved['model_error']}", 1, "known")
        return
    if whole["error"] is not None:
        if files.error is None:
            yield count_of("P8", f"{file}, which cannot be read here: {whole['error']}", 1)
        else:
            yield Finding("P8", f"{file}, which {source} cannot read: {files.error}", 1, "known")
        return
    yield _differs("weights", file, whole["weights_sha256"], saved["weights_sha256"])
    yield _differs("layers", file, whole["config"], own["config"])
    if whole["optimizer_error"] is not None:
        expected = (
            backend_of(source) == UNREADABLE != backend_of(reader)
            and UNREADABLE in whole["optimizer_error"]
        )
        known = "known" if expected else "exact"
        yield Finding("P8", f"optimizer in {file}, which Keras cannot read here", 1, known)
    else:
        yield _differs("optimizer", file, whole["optimizer_sha256"], saved["optimizer_sha256"])
        yield _differs("configuration", file, whole["compile_config"], own["compile_config"])
        compiler = whole["jit_compile"]
        if compiler == files.identity["jit_compile"] != own["jit_compile"]:
            quantity = f"jit_compile in {file}, which Keras keeps as it is there"
            yield Finding("P8", quantity, 1, "known")
        else:
            yield _differs("jit_compile", file, compiler, own["jit_compile"])


def _differs(what: str, file: str, one: Any, other: Any) -> Finding:
    return count_of("P8", f"{what} in {file}", one != other)
