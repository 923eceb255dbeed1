"""What subjects are compared with: the oracle, or the model itself in float64 on several backends.

Of the latter none is right by definition. The one that others agree with best is the reference; one
that differs from it is a finding of its own, since in float64 no rounding can be the excuse. What
becomes of its answers when the weights are moved by a rounding of float32 is what any answer in
float32 may be off by.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.contract.rungs import ORACLE
from reports.ladder import rungs
from reports.ladder.findings import TOLERANCES, Answers, Finding, count_of
from reports.parity.answers import answers
from reports.read.shards import ReferenceShard

NOT_FINITE = "outputs are not finite, in float64 as well"

OF_STEPS = "P5"
"""Compared with the backend's own training in float64: small differences grow from step to step."""


@dataclass(frozen=True)
class Reference:
    """What the subjects of one model are compared with.

    Attributes:
        shards: All of the model's that went well, in the order in which they are trusted.
        failed: Those that did not.
        agreed: Whether at least two computed the same, or the first is the oracle.
    """

    shards: Sequence[ReferenceShard]
    failed: Sequence[ReferenceShard]
    agreed: bool

    @property
    def is_finite(self) -> bool:
        """Whether the model gives numbers for real examples; else nothing can be compared."""
        given = re.compile(r"forward\.train\.(output\d+|logits)")
        arrays = self.shards[0].arrays.items()
        return all(np.isfinite(array).all() for name, array in arrays if given.fullmatch(name))

    @property
    def is_oracle(self) -> bool:
        """Whether it is the oracle's."""
        return bool(self.shards) and self.shards[0].payload.backend == ORACLE

    def of(self, backend: str) -> ReferenceShard | None:
        """What this backend answered itself."""
        return next((each for each in self.shards if each.payload.backend == backend), None)


def choose(shards: Sequence[ReferenceShard]) -> Reference:
    """Which of one model's references is trusted most: the one that another is closest to."""
    good = [shard for shard in shards if shard.payload.status == "ok"]
    failed = [shard for shard in shards if shard.payload.status != "ok"]
    if len(good) < 2:
        return Reference(good, failed, bool(good) and good[0].payload.backend == ORACLE)
    nearest = {
        number: min(_apart(answers(other), answers(one)) for other in good if other is not one)
        for number, one in enumerate(good)
    }
    order = sorted(nearest, key=lambda number: nearest[number])
    return Reference([good[n] for n in order], failed, nearest[order[0]] <= 1)


def in_float64(reference: Reference, backend: str) -> list[Finding]:
    """How far a backend's own answers in float64 are from the reference, rung by rung."""
    own = reference.of(backend)
    if reference.is_oracle or not reference.shards or not reference.is_finite:
        return []
    if own is None:
        why = [each.payload for each in reference.failed if each.payload.backend == backend]
        said = f"{why[0].status}, {why[0].error}" if why else "none"
        return [Finding("P0", f"answers in float64: {said}", 1, "known")]
    if len(reference.shards) == 1:
        quantity = "answers in float64, which no other backend has confirmed"
        return [Finding("P0", quantity, 1, "known")]
    found: dict[str, Finding] = {}
    if own is reference.shards[0]:
        if not reference.agreed:
            found["P2"] = count_of("P2", "agreement with another backend in float64", 1)
        return list(found.values())
    for each in rungs.judge(answers(own), answers(reference.shards[0])):
        # The first that is off, since later layers are fed by it; where none is, the worst.
        known = found.get(each.rung)
        if known is None or (known.status == "pass" and _share(each) > _share(known)):
            found[each.rung] = each
    # Told in what float32 may differ by: less has no consequences there.
    return [
        replace(each, quantity=f"in float64, {each.quantity}", floor=np.nan)
        for each in found.values()
        if each.rung not in {"P0", OF_STEPS}
    ]


def judge(subject: Answers, backend: str, reference: Reference) -> list[Finding]:
    """All findings on one subject, in tolerances that know how the model magnifies rounding."""
    if not reference.is_finite:
        return [count_of("P2", NOT_FINITE, 1)]
    first = answers(reference.shards[0])
    spreads: dict[tuple[str, str], float] = {}
    for near in _nearby(first):
        for each in rungs.judge(near, first):
            key = each.rung, each.quantity
            if np.isfinite(each.value):  # what is no number excuses nothing
                spreads[key] = max(spreads.get(key, 0.0), each.value)
    findings = [
        replace(each, spread=spreads.get((each.rung, each.quantity), 0.0))
        for each in rungs.judge(subject, first)
    ]
    own = reference.of(backend)
    if own is None or reference.is_oracle or own is reference.shards[0]:
        return findings
    steps = [each for each in rungs.judge(subject, answers(own)) if each.rung == OF_STEPS]
    return [each for each in findings if each.rung != OF_STEPS] + steps


def _nearby(reference: Answers) -> list[Answers]:
    """Its answers from weights that were moved by a rounding."""
    found: dict[str, Answers] = {}
    for name, array in reference.arrays.items():
        match = re.fullmatch(r"(\w+)\.(near\d+)\.(.+)", name)
        if not match:
            continue
        probe, which, rest = match.groups()
        near = found.setdefault(which, Answers({}, {}))
        if rest.startswith("fact."):
            facts: dict[str, Any] = near.facts.setdefault(probe, {})  # type: ignore[attr-defined]
            facts[rest.removeprefix("fact.")] = float(array)
        else:
            near.arrays[f"{probe}.{rest}"] = array  # type: ignore[index]
    return [_completed(near, reference) for near in found.values()]


def _completed(near: Answers, reference: Answers) -> Answers:
    """With what moving the weights does not change; the rest was not asked of it."""
    probes = {name.partition(".")[0] for name in near.arrays}
    facts = {
        probe: {**reference.facts[probe], **near.facts.get(probe, {})}
        for probe in (*probes, "identity")
    }
    same = {name: a for name, a in reference.arrays.items() if name.startswith("identity.")}
    return Answers(facts, {**same, **near.arrays})


def _apart(one: Answers, other: Answers) -> float:
    """The largest difference of two answers in float64, in what two in float32 may differ by."""
    shares = [_share(each) for each in rungs.judge(one, other) if each.rung in {"P2", "P3", "P4"}]
    return max(shares, default=np.inf)


def _share(finding: Finding) -> float:
    """How far it is off, in what it may be off without a warning."""
    warn = TOLERANCES[finding.tolerance][0]
    return finding.value / warn if warn else (np.inf if finding.value else 0.0)
