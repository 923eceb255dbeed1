"""The parity table: every rung of every subject that was planned, against the oracle."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from bench.contract import troubles
from bench.contract.backends import BACKENDS
from bench.contract.parity_schema import Asked, Parity
from bench.contract.parity_schema import Reference as ReferencePayload
from bench.contract.rungs import CERTIFYING, ORACLE, UNIT_ROUNDOFF
from bench.contract.schema import Subject
from bench.contract.variants import STOCK
from reports.ladder import consistency_rung, dropout_rungs, file_rungs
from reports.ladder.answer_facts import precision_of
from reports.ladder.findings import Finding, count_of
from reports.parity import answers as answered
from reports.parity import references, restless
from reports.parity.references import Reference
from reports.read.shards import ParityShard, ReferenceShard, Shards
from reports.tables import seeds
from reports.tables.cells import KEYS
from reports.tables.columns import frame, picked

SUBJECT = KEYS

SILENT = "answers: "
"""What the quantity of a subject without answers begins with; why stands behind it."""

HALF = "computes in "
"""What the quantity of a model in half precision begins with."""

Row = dict[str, object]


def table(shards: Shards, pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per quantity of each rung that each planned subject was asked.

    Args:
        shards: What was read.
        pairs: `reports.tables.seeds.pairs_table` of them, for P7.

    Returns:
        The columns of `parity`. `value` is how far the subject is off, `floors` the same in
        multiples of what rounding alone would give (NaN where nothing is rounded). `status` is
        `pass`, `warn` or `fail`. A subject that did not answer fails P0 with a quantity that says
        why.
    """
    planned: dict[str, list[tuple[str, Subject]]] = {}
    for run, plan in shards.plans.items():
        for subject in plan.parity.subjects if plan.parity else ():
            planned.setdefault(subject.model, []).append((run, subject))
    rows = [row for subjects in planned.values() for row in _rows(shards, subjects)]
    rows += _outcomes(pairs)
    return frame("parity", rows).sort_values([*SUBJECT, "rung"], kind="stable", ignore_index=True)


def summary(parity_table: pd.DataFrame) -> pd.DataFrame:
    """One row per subject: the worst status of each rung, and the first finding that is not fine.

    Returns:
        model, variant, backend, device, a column for each rung that was asked (`pass`, `warn`,
        `fail`, or empty where this subject was not), first (rung, quantity and how many more there
        are; or empty), first_rung, first_quantity, silent (whether it gave no answers), undecided
        (where it differs from others and none can be blamed; or empty), drawn (from where on it
        draws at random; or empty), blamed (whether a rung of `CERTIFYING` fails for another reason
        than that none can be blamed).
    """
    order = ["pass", "warn", "fail"]
    worst = parity_table.assign(grade=parity_table["status"].map(order.index)).pivot_table(
        index=SUBJECT, columns="rung", values="grade", aggfunc="max"
    )
    words = worst.map(lambda grade: "" if np.isnan(grade) else order[int(grade)])
    odd = parity_table[parity_table["status"] != "pass"]
    # What fails comes before what warns, on whatever rung.
    odd = odd.sort_values("status", key=lambda status: status != "fail", kind="stable")
    found = (odd["rung"] + " " + odd["quantity"]).groupby([odd[name] for name in SUBJECT])
    more = (found.size() - 1).map(lambda number: f" (and {number} more)" if number else "")
    words["first"] = (found.first() + more.astype("str")).reindex(words.index).fillna("")
    firsts = odd.groupby(SUBJECT)[["rung", "quantity"]].first().reindex(words.index).fillna("")
    words[["first_rung", "first_quantity"]] = firsts
    words["silent"] = firsts["quantity"].str.startswith(SILENT)
    parted = odd["quantity"].str.endswith(consistency_rung.UNCONFIRMED)
    random = odd["quantity"].str.endswith(restless.NOT_COMPARED)
    for name, those in (("undecided", parted), ("drawn", random)):
        told = odd[those].groupby(SUBJECT)["quantity"].first()
        words[name] = told.reindex(words.index).fillna("")
    failed = odd["rung"].isin(CERTIFYING) & (odd["status"] == "fail") & ~parted
    words["blamed"] = words.index.isin(odd[failed].set_index(SUBJECT).index)
    return words.reset_index().rename_axis(columns=None)


def certificates(parity_table: pd.DataFrame) -> dict[Any, str]:
    """Whether each subject, by its values of `SUBJECT`, gives the right answers.

    Returns:
        `yes` if it passed all of `CERTIFYING` (a warning is no failure), `no` if it failed one,
        `partly` if what was asked went well but not all of them were.
    """
    asked = parity_table[parity_table["rung"].isin(CERTIFYING)]
    found = {}
    for subject, own in asked.groupby(SUBJECT):
        whole = set(own["rung"]) == set(CERTIFYING)
        found[subject] = "no" if (own["status"] == "fail").any() else "yes" if whole else "partly"
    return found


def certified(known: Mapping[Any, str], subjects: Iterable[tuple[str, ...]]) -> str:
    """What `certificates` say of subjects together; `unchecked` if one was asked nothing."""
    found = [known.get(subject, "unchecked") for subject in subjects]
    return next(word for word in ("unchecked", "no", "partly", "yes") if word in found)


def saturated_losses(shards: Shards) -> pd.DataFrame:
    """One row per subject: its loss where outputs are saturated, beside both definitions'.

    Returns:
        model, backend, loss, from_logits, from_clipped_probabilities (the oracle's).
    """
    rows = []
    for reference, group in answered.groups(shards):
        exact = reference.payload.facts.gradients
        for shard in group:
            own = shard.payload.facts.gradients
            if own is not None and exact is not None and exact.saturated_loss_clipped is not None:
                rows.append(
                    {
                        "model": shard.payload.subject.model,
                        "lane": shard.payload.subject.lane,
                        "loss": own.saturated_loss,
                        "from_logits": exact.saturated_loss,
                        "from_clipped_probabilities": exact.saturated_loss_clipped,
                    }
                )
    columns = ["model", "lane", "loss", "from_logits", "from_clipped_probabilities"]
    return pd.DataFrame(rows, columns=columns)


def _rows(shards: Shards, subjects: Sequence[tuple[str, Subject]]) -> Iterator[Row]:
    """All findings on the subjects of one model, each with its run."""
    found = {(shard.run_id, shard.payload.subject): shard for shard in shards.parity}
    found = {key: found[key] for key in subjects if key in found}
    # What each backend computes in float64 on the CPU is the same in all runs; oracles are too, but
    # every run has its own, and with it says what it was asked.
    of_model = [s for s in shards.references if s.payload.model == subjects[0][1].model]
    drawn = restless.keys([*found.values(), *of_model])
    found = {key: restless.without(shard, drawn) for key, shard in found.items()}
    of_model = [restless.without(shard, drawn) for shard in of_model]
    present = [shard for shard in found.values() if shard.payload.status == "ok"]
    chosen = {run: references.choose(_for(run, of_model)) for run, _ in subjects}
    for run, subject in subjects:
        shard, reference = found.get((run, subject)), chosen[run]
        if shard is None or shard.payload.status != "ok":
            why = _why(shard.payload) if shard else "missing"
            yield _row(subject, count_of("P0", f"answers: {why}", 1))
        elif not reference.shards:
            failed = [_why(each.payload) for each in reference.failed]
            why = failed[0] if failed else "missing"
            yield _row(subject, count_of("P0", f"answers of the reference: {why}", 1))
        else:
            layers = shard.payload.facts.identity.layers if shard.payload.facts.identity else ()
            told = [*restless.findings(drawn, layers), *_judge(shard, reference, present)]
            for finding in told:
                yield _row(subject, finding)


def _why(payload: Parity | ReferencePayload) -> str:
    return f"{payload.status}, {payload.error}" if payload.error else payload.status


def _for(run: str, of_model: Sequence[ReferenceShard]) -> list[ReferenceShard]:
    """The run's oracle; where it has none, what all backends answered in float64, in any run."""
    own = [shard for shard in of_model if shard.run_id == run]
    if any(shard.payload.lane == ORACLE for shard in own):
        return own
    others = {shard.payload.lane: shard for shard in of_model}
    return list((others | {shard.payload.lane: shard for shard in own}).values())


def _judge(
    shard: ParityShard, reference: Reference, all_shards: Sequence[ParityShard]
) -> list[Finding]:
    backend = shard.payload.subject.lane
    # What a lane has otherwise than pinned, it has on purpose.
    pinned = [each for each in all_shards if each.payload.subject.lane in BACKENDS]
    findings = [
        _like_most(what, shard, pinned if backend in BACKENDS else [shard], fact)
        for what, fact in (("Keras version", _keras_version), ("model configuration", _config))
    ]
    asked = all(
        getattr(shard.payload, name) == getattr(reference.shards[0].payload, name)
        for name in Asked.__struct_fields__
    )
    findings.append(count_of("P0", "questions", not asked))
    findings += references.in_float64(reference, backend)
    own = answered.answers(shard)
    others = [each for each in all_shards if each.payload.subject.lane != backend]
    findings += [
        consistency_rung.in_company(each, own, [answered.answers(other) for other in others])
        for each in references.judge(own, backend, reference)
    ]
    precision = precision_of(own)
    if precision != "float32":
        share = f"{100 * UNIT_ROUNDOFF[precision]:.2g} %"
        told = f"{HALF}{precision}: answers agree to {share} and no better, and are judged by that"
        findings.append(Finding("P2", told, 1, "known"))
    if shard.payload.facts.gradients is not None and shard.payload.facts.identity is not None:
        findings += dropout_rungs.not_compared(shard.payload.facts.identity.random or ())
    # A model in another precision is another one to Keras, and so are its optimizer's variables.
    alike = [
        each
        for each in all_shards
        if each.payload.subject.variant == STOCK
        and each.run_id == shard.run_id
        and _precisions(each) == _precisions(shard)
    ]
    findings += [references.in_precision(each, own) for each in _portability(shard, alike)]
    return sorted(
        (_as_known(finding, shard) for finding in findings), key=lambda finding: finding.rung
    )


def _as_known(finding: Finding, shard: ParityShard) -> Finding:
    """A finding that has been reported before, with the numbers of the threads."""
    worker, identity = shard.payload.worker, shard.payload.facts.identity
    if finding.status == "pass" or worker is None or identity is None:
        return finding
    classes = _classes(identity.config or "{}")
    names = re.split(r"[/ ]", finding.quantity)
    where = " ".join([*(classes[name] for name in names if name in classes), finding.quantity])
    known = troubles.of_finding(worker.versions, worker.device, worker.backend, finding.rung, where)
    if known is None:
        return finding
    return replace(finding, quantity=f"{finding.quantity} (known: {', '.join(known.threads)})")


def _classes(config: str) -> dict[str, str]:
    """The class of each layer, by its name; Keras writes both in its configuration."""
    try:
        layers = json.loads(config)["layers"]
        return {layer["config"]["name"]: str(layer["class_name"]) for layer in layers}
    except (ValueError, LookupError, TypeError, RecursionError):  # of a model that has no such
        return {}


def _portability(shard: ParityShard, sources: Sequence[ParityShard]) -> Iterator[Finding]:
    """P8, where there is a file of another backend; its own alone says nothing of exchange."""
    own = shard.payload.portability
    if own is None or len(sources) < 2:
        return
    for source in sources:
        theirs, backend = source.payload.portability, source.payload.subject.lane
        if theirs is None or backend not in own.loaded:
            yield count_of("P8", f"{backend}'s files were not read", 1)
        else:
            own_copy = theirs.loaded.get(backend)
            files = file_rungs.Files(
                backend,
                msgspec.to_builtins(theirs.saved),
                answered.answers(source).facts["identity"],
                own_copy.model.error if own_copy else None,
            )
            yield from file_rungs.judge(
                files,
                shard.payload.subject.lane,
                msgspec.to_builtins(own.loaded[backend]),
                answered.answers(shard).facts["identity"],
            )


def _like_most(
    what: str,
    shard: ParityShard,
    all_shards: Sequence[ParityShard],
    fact: Callable[[ParityShard], str | None],
) -> Finding:
    """P0: one that differs from most is the odd one; of two, both are."""
    counts = Counter(fact(each) for each in all_shards)
    odd = counts[fact(shard)] <= len(all_shards) / 2 and len(all_shards) > 1
    return count_of("P0", what, odd)


def _keras_version(shard: ParityShard) -> str | None:
    return shard.payload.worker.versions["keras"] if shard.payload.worker else None


def _precisions(shard: ParityShard) -> tuple[str | None, str | None]:
    identity = shard.payload.facts.identity
    return (identity.precision, identity.held) if identity else (None, None)


def _config(shard: ParityShard) -> str | None:
    identity = shard.payload.facts.identity
    return f"{identity.config} {identity.compile_config}" if identity else None


def _outcomes(pairs: pd.DataFrame) -> Iterator[Row]:
    """P7: a difference of mean errors that may be beyond the margin warns, one that is fails.

    McNemar's tests are in the table of agreement alone: they tell two trainings apart, and those of
    one backend with two seeds as well.
    """
    margin = seeds.MARGIN_POINTS
    for pair in pairs.to_dict("records"):
        for backend, other in (("lane", "baseline"), ("baseline", "lane")):
            subject = {name: pair[name] for name in ("model", "variant", "device")} | {
                "lane": pair[backend]
            }
            beyond = pair["low"] > margin or pair["high"] < -margin
            yield subject | {
                "rung": "P7",
                "quantity": f"mean error against {pair[other]}, far end of its interval",
                "value": max(abs(pair["low"]), abs(pair["high"])),
                "warn": margin,
                "fail": np.nan,
                "status": "fail" if beyond else "pass" if pair["equivalent"] else "warn",
                "floors": np.nan,
            }


def _row(subject: Subject, finding: Finding) -> Row:
    figures = picked(finding, "rung", "quantity", "value", "warn", "fail", "status", "floors")
    return picked(subject, *SUBJECT) | figures
