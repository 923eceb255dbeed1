"""What subjects are compared with: the oracle, or the model itself in float64 on several backends.

Of the latter none is right by definition: the majority is. The one that others agree with best is
the reference; one that differs from it is a finding of its own, since in float64 no rounding can be
the excuse. Where no two agree there is no majority, and nobody is blamed but who is farther from
all others than they are from each other. What becomes of its answers when the weights are moved by
a rounding of float32 is what any answer in float32 may be off by.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.contract.backends import place
from bench.contract.rungs import ORACLE, UNIT_ROUNDOFF
from reports.ladder import rungs
from reports.ladder.answer_facts import precision_held, precision_of
from reports.ladder.consistency_rung import UNCONFIRMED
from reports.ladder.findings import TOLERANCES, Answers, Finding, count_of
from reports.parity.answers import answers
from reports.read.shards import ReferenceShard
from reports.tables import wording

NOT_FINITE = "outputs are not finite, in float64 as well"

FARTHER = 10.0
"""Who differs from all others by so many times as much as they do is wrong, though no two agree."""

PARTING = ("P2", "P3", "P4")
"""Rungs that say whether two references agree, and where they part."""

OF_ITSELF = "P9"

NEAR = r"near\d+"
"""What arrays are called that answer from weights which were moved."""

SINGLE = UNIT_ROUNDOFF["float32"]

OF_A_STEP = "P4"
"""Its rounding is that of the weights, which may be held in another precision than layers use."""

OF_STEPS = "P5"
"""Compared with the backend's own training in float64: small differences grow from step to step."""


@dataclass(frozen=True)
class Reference:
    """What the subjects of one model are compared with.

    Attributes:
        shards: All of the model's that went well, in the order in which they are trusted.
        failed: Those that did not.
        agreed: Whether at least two computed the same, or the first is the oracle.
        undecided: Where no two did, backends of which none can be blamed.
    """

    shards: Sequence[ReferenceShard]
    failed: Sequence[ReferenceShard]
    agreed: bool
    undecided: tuple[str, ...] = ()

    @property
    def is_finite(self) -> bool:
        """Whether the model gives numbers for real examples; else nothing can be compared."""
        given = re.compile(r"forward\.train\.(output\d+|logits)")
        arrays = self.shards[0].arrays.items()
        return all(np.isfinite(array).all() for name, array in arrays if given.fullmatch(name))

    @property
    def is_oracle(self) -> bool:
        """Whether it is the oracle's."""
        return bool(self.shards) and self.shards[0].payload.lane == ORACLE

    def of(self, backend: str) -> ReferenceShard | None:
        """What this backend answered itself."""
        return next((each for each in self.shards if each.payload.lane == backend), None)

    def is_judge_of(self, backend: str) -> bool:
        """Whether the first is what this backend is compared with, and not its own."""
        return self.is_oracle or self.of(backend) is None or backend not in self.undecided


def choose(shards: Sequence[ReferenceShard]) -> Reference:
    """Which of one model's references is trusted most: the one that another is closest to."""
    good = [shard for shard in shards if shard.payload.status == "ok"]
    failed = [shard for shard in shards if shard.payload.status != "ok"]
    if len(good) < 2:
        return Reference(good, failed, bool(good) and good[0].payload.lane == ORACLE)
    nearest = {
        number: min(_apart(answers(other), answers(one)) for other in good if other is not one)
        for number, one in enumerate(good)
    }
    order = sorted(nearest, key=lambda number: nearest[number])
    agreed = not any(nearest[order[0]][:-1])
    near = [number for number in order if not _is_far(nearest[number], nearest[order[1]])]
    undecided = [] if agreed else [good[number].payload.lane for number in near]
    return Reference([good[n] for n in order], failed, agreed, tuple(undecided))


def in_float64(reference: Reference, backend: str) -> list[Finding]:
    """How far a backend's own answers in float64 are from the reference, rung by rung."""
    own = reference.of(backend)
    if reference.is_oracle or not reference.shards or not reference.is_finite:
        return []
    if own is None:
        why = [each.payload for each in reference.failed if each.payload.lane == backend]
        said = f"{why[0].status}, {why[0].error}" if why else "none"
        return [Finding("P0", f"answers in float64: {said}", 1, "known")]
    if len(reference.shards) == 1:
        quantity = "answers in float64, which no other backend has confirmed"
        return [Finding("P0", quantity, 1, "known")]
    if backend in reference.undecided:
        return [_undecided(reference)]
    found: dict[str, Finding] = {}
    if own is reference.shards[0]:
        return []
    for each in rungs.judge(answers(own), answers(reference.shards[0])):
        # The first that is off, since later layers are fed by it; where none is, the worst.
        known = found.get(each.rung)
        if known is None or (known.status == "pass" and _share(each) > _share(known)):
            found[each.rung] = each
    # Told in what float32 may differ by: less has no consequences there.
    return [
        replace(each, quantity=f"in float64, {each.quantity}", floor=np.nan)
        for each in found.values()
        if each.rung not in {"P0", OF_STEPS, OF_ITSELF}
    ]


def _undecided(reference: Reference) -> Finding:
    """Where the backends part of which none can be blamed."""
    *others, last = [wording.title(name) for name in sorted(reference.undecided, key=place)]
    one, other = reference.shards[:2]
    odd = (e for e in rungs.judge(answers(other), answers(one)) if e.status != "pass")
    first = next((each for each in odd if each.rung in PARTING), None)
    rung, where = (first.rung, f" at {first.quantity}") if first else (PARTING[0], "")
    two = "with two " if len(others) == 1 else ""
    return count_of(rung, f"{', '.join(others)} and {last} differ{where}; {two}{UNCONFIRMED}", 1)


def judge(subject: Answers, backend: str, reference: Reference) -> list[Finding]:
    """All findings on one subject, in tolerances that know how the model magnifies rounding."""
    if not reference.is_finite:
        return [count_of("P2", NOT_FINITE, 1)]
    own = reference.of(backend)
    judged_by = reference.shards[0] if own is None or reference.is_judge_of(backend) else own
    precision = precision_of(subject)
    first = _with_spread(reference, answers(judged_by), precision)
    spreads: dict[tuple[str, str], float] = {}
    for near in _nearby(first):
        for each in rungs.judge(near, first):
            key = each.rung, each.quantity
            if np.isfinite(each.value):  # what is no number excuses nothing
                spreads[key] = max(spreads.get(key, 0.0), each.value)
    findings = [
        replace(in_precision(each, subject), spread=spreads.get((each.rung, each.quantity), 0.0))
        for each in rungs.judge(subject, first)
    ]
    # What a backend computes in two ways is magnified as its outputs and gradients are.
    alike: dict[str, float] = {}
    for each in findings:
        alike[each.tolerance] = max(alike.get(each.tolerance, 0.0), each.spread)
    if precision != "float32":
        alike["P9 gradient"] = alike.get("P3 gradient", 0.0)
    findings = [
        replace(each, spread=alike[each.tolerance]) if each.rung == OF_ITSELF else each
        for each in findings
    ]
    if own is None or reference.is_oracle or own is judged_by:
        return findings
    steps = [each for each in rungs.judge(subject, answers(own)) if each.rung == OF_STEPS]
    return [each for each in findings if each.rung != OF_STEPS] + steps


def in_precision(finding: Finding, subject: Answers) -> Finding:
    """A finding that knows what rounding its subject computes by, and holds weights by."""
    unit, held = (UNIT_ROUNDOFF[p(subject)] for p in (precision_of, precision_held))
    floor = finding.floor * (held if finding.rung == OF_A_STEP else unit) / SINGLE
    return replace(finding, unit=unit, floor=floor)


def _with_spread(reference: Reference, first: Answers, precision: str) -> Answers:
    """Answers with what moving the weights by roundings of a precision makes of them, and no other.

    Of the most trusted that has measured it: lanes compute in several. Schema 8 did not say in
    which, where it was that of the model.
    """
    pattern = re.compile(rf"\w+\.{NEAR}(?:_(\w+))?\..+")
    kept = {name: array for name, array in first.arrays.items() if not pattern.fullmatch(name)}
    for each in reference.shards:
        own = precision_of(answers(each))
        found = {
            name.replace(f"_{precision}.", ".", 1): array
            for name, array in each.arrays.items()
            if (match := pattern.fullmatch(name)) and (match[1] or own) == precision
        }
        if found:
            return Answers(first.facts, kept | found)
    return Answers(first.facts, kept)


def _nearby(reference: Answers) -> list[Answers]:
    """Its answers from weights that were moved by a rounding."""
    found: dict[str, Answers] = {}
    for name, array in reference.arrays.items():
        match = re.fullmatch(rf"(\w+)\.({NEAR})\.(.+)", name)
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


def _apart(one: Answers, other: Answers) -> tuple[float, ...]:
    """The largest difference of two answers in float64, in what two in float32 may differ by.

    Of P2, P3 and P4, 0 where it is less, and of all three. What differs on one rung does so on the
    next as well, which says no more of how far.
    """
    worst = dict.fromkeys(PARTING, 0.0)
    findings = [each for each in rungs.judge(one, other) if each.rung in worst]
    for each in findings:
        worst[each.rung] = max(worst[each.rung], _share(each))
    # Of a model that draws from its first layer on, nothing is left to compare.
    shares = list(worst.values()) if findings or "forward" in one.facts else [np.inf]
    return (*(0.0 if share <= 1 else share for share in shares), max(shares))


def _is_far(one: Sequence[float], near: Sequence[float]) -> bool:
    """Whether a difference is of another order than that of the two that are near each other."""
    for share, least in zip(one[:-1], near[:-1], strict=False):
        if share or least:
            return share > FARTHER * least
    return False


def _share(finding: Finding) -> float:
    """How far it is off, in what it may be off without a warning."""
    warn = TOLERANCES[finding.tolerance][0]
    return finding.value / warn if warn else (np.inf if finding.value else 0.0)
