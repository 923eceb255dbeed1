"""P8 of the parity ladder: what one backend saved and another loaded."""

from collections.abc import Iterator, Mapping
from typing import Any

from reports.findings import UNIT_ROUNDOFF, Finding, count_of
from reports.rungs import relative

Facts = Mapping[str, Any]

UNREADABLE = "torch"
"""Keras 3.15.1 names the optimizer in this one's whole-model files by a module of its own, which
the others cannot import."""


def judge(
    source: str, saved: Facts, theirs: Facts, reader: str, loaded: Facts, own: Facts
) -> Iterator[Finding]:
    """P8: what one backend saved and another loaded, in both of Keras's formats.

    Keras 3.15.1 has two faults here that are known, and warn: `UNREADABLE`, and that a whole-model
    file keeps what its backend made of `jit_compile="auto"`, so that torch compiles JAX's models.

    Args:
        source: Whose files they are.
        saved: What `source` said of them.
        theirs: `source`'s answer on identity.
        reader: Who loaded them.
        loaded: What came of them.
        own: `reader`'s answer on identity.
    """
    whole, alone = loaded["model"], loaded["weights"]
    file = f"{source}'s model file"
    yield _differs("weights", file, whole["weights_sha256"], saved["weights_sha256"])
    yield _differs("layers", file, whole["config"], own["config"])
    if whole["optimizer_error"] is not None:
        expected = source == UNREADABLE != reader and UNREADABLE in whole["optimizer_error"]
        known = "known" if expected else "exact"
        yield Finding("P8", f"optimizer in {file}, which Keras cannot read here", 1, known)
    else:
        yield _differs("optimizer", file, whole["optimizer_sha256"], saved["optimizer_sha256"])
        yield _differs("configuration", file, whole["compile_config"], own["compile_config"])
        compiler = whole["jit_compile"]
        if compiler == theirs["jit_compile"] != own["jit_compile"]:
            quantity = f"jit_compile in {file}, which Keras keeps as it is there"
            yield Finding("P8", quantity, 1, "known")
        else:
            yield _differs("jit_compile", file, compiler, own["jit_compile"])
    file = f"{source}'s weights file"
    yield _differs("weights", file, alone["weights_sha256"], saved["weights_sha256"])
    yield _differs("optimizer", file, alone["optimizer_sha256"], saved["optimizer_sha256"])
    loss = relative(alone["loss"], saved["loss"])
    yield Finding("P8", f"loss after {file}", loss, "P8 loss", UNIT_ROUNDOFF)


def _differs(what: str, file: str, one: Any, other: Any) -> Finding:
    return count_of("P8", f"{what} in {file}", one != other)
