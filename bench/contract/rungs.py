"""The parity ladder: its probes, which are asked, and its rungs, to which their answers belong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Probe:
    """A question to each subject.

    Attributes:
        name: Of the method that answers it, of its facts, and of its arrays up to the first dot.
        rungs: Which its answers belong to; its arrays belong to the last of them.
        sensitive: Whether a reference in float64 also answers from weights that were moved by a
            few roundings of float32: what that changes, no backend in float32 can be expected to
            get right.
        cheap: Whether every suite asks it.
    """

    name: str
    rungs: tuple[str, ...]
    sensitive: bool = True
    cheap: bool = True


PROBES = {
    probe.name: probe
    for probe in (
        Probe("identity", ("P0", "P1"), sensitive=False),
        Probe("forward", ("P2",)),
        Probe("gradients", ("P3",)),
        Probe("update", ("P4",)),
        Probe("trajectory", ("P5",), sensitive=False, cheap=False),  # it trains nine times
        Probe("predictions", ("P6",), cheap=False),
        Probe("consistency", ("P9",), sensitive=False),
    )
}

ORACLE = "numpy"
"""The backend of the reference that the shipped models have."""

PORTABILITY = "portability"
"""Asked of stock subjects beside the probes: files of one backend are read by another."""

CERTIFYING = tuple(rung for probe in PROBES.values() for rung in probe.rungs)
"""Rungs that two backends must both have passed before a ratio of their speeds is certified."""

UNIT_ROUNDOFF = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Relative error of the best answer, by the precision that a model computes in."""

OUTCOME, FILES = "P7", "P8"
"""Errors over seeds, of trainings; and what `PORTABILITY` answers."""

RUNGS = tuple(sorted((*CERTIFYING, OUTCOME, FILES), key=lambda rung: int(rung.removeprefix("P"))))
