"""What is known of each model: how its backends stand, how they err, and whether they agree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bench.contract.backends import BACKENDS, place
from bench.contract.rungs import CERTIFYING
from bench.contract.variants import STOCK, THREE, TUNED
from reports.judging.comparison import Comparison
from reports.tables import wording

COLUMNS = 4
"""Of more lanes the backends as pinned alone stand beside each other; lines tell of the others."""

PROBLEMS = {"ok": "", "invalid": "no valid speed"}
"""Statuses in words."""


@dataclass(frozen=True)
class Standing:
    """How one backend does against the fastest.

    Attributes:
        ratio: Its speed over that of the fastest; 1 of the fastest itself.
        width_percent: How far the interval reaches to each side; NaN without one.
        slower: Whether it is surely slower.
        problem: Why there is no ratio; empty if there is one.
    """

    ratio: float = np.nan
    width_percent: float = np.nan
    slower: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Answer:
    """What is known of one model.

    Attributes:
        model: As people read it.
        backends: Those that it was run under.
        standings: By backend.
        errors: In words, by backend.
        same: `yes`, or which backends give other answers; `in part` of what draws when it predicts;
            empty if they were not asked.
        advice: A sentence.
    """

    model: str
    backends: tuple[str, ...]
    standings: Mapping[str, Standing]
    errors: Mapping[str, str]
    same: str
    advice: str

    @property
    def fastest(self) -> list[str]:
        """The fastest, and whoever cannot be told from it."""
        ranked = {name: one for name, one in self.standings.items() if not one.problem}
        return [name for name, one in ranked.items() if not one.slower]

    def cell(self, backend: str) -> str:
        """Speed and error."""
        parts = [self.speed(backend), self.errors.get(backend, "")]
        return ", ".join(part for part in parts if part) or "-"

    def speed(self, backend: str) -> str:
        """Against the fastest."""
        one = self.standings.get(backend)
        if one is None:
            return ""
        if one.problem:
            return one.problem
        if self.fastest == [backend]:
            return "fastest"
        if np.isnan(one.width_percent):
            return "fastest?" if one.ratio == 1 else f"~{one.ratio:.2f}x"
        tied = "" if one.slower else " tied"
        return (
            f"1x{tied}" if one.ratio == 1 else f"{one.ratio:.2f}x ±{one.width_percent:.0f} %{tied}"
        )

    def ranking(self) -> str:
        """All speeds in words, the fastest first."""
        known = {name: one for name, one in self.standings.items() if not one.problem}
        order = sorted(known, key=lambda name: -known[name].ratio)
        return ", ".join(f"{name} {self.speed(name)}" for name in order)

    def errors_in_words(self) -> str:
        """All errors."""
        return ", ".join(f"{name} {error}" for name, error in self.errors.items())


def answers(comparison: Comparison) -> Iterator[Answer]:
    """An answer for each model, in the variant that a run is mainly about."""
    tables = (comparison.main_speed, comparison.ladder, comparison.summary)
    variants = {variant for table in tables for variant in table["variant"]}
    main = next((name for name in THREE if name in variants), None) or min(variants, default=STOCK)
    own = [wording.titled(table[table["variant"] == main]) for table in tables]
    lanes = {lane for table in own for lane in table["lane"]}
    beside = lanes if len(lanes) <= COLUMNS else lanes & BACKENDS.keys() or lanes
    for model in dict.fromkeys(str(model) for table in own for model in table["model"]):
        speeds, ladder, summary = (
            table[table["model"] == model].sort_values("lane", key=places, kind="stable")
            for table in own
        )
        same = _same(ladder)
        speeds, ladder, summary = (
            table[table["lane"].isin(beside)] for table in (speeds, ladder, summary)
        )
        backends = dict.fromkeys(
            name for table in (speeds, ladder, summary) for name in table["title"]
        )
        standings = _standings(comparison, speeds, model, main)
        errors = _errors(comparison, summary)
        named = wording.named(model, main)
        answer = Answer(named, tuple(backends), standings, errors, same, advice="")
        yield replace(answer, advice=_advice(comparison, answer, model, main))


def places(lanes: "pd.Series[str]") -> "pd.Series[int]":
    """Where lanes stand: in the project's own order, whatever a table is sorted by."""
    order = sorted(set(lanes), key=place)
    return lanes.map(order.index)


def _standings(
    comparison: Comparison, speeds: pd.DataFrame, model: str, variant: str
) -> dict[str, Standing]:
    if speeds.empty:
        return {}
    known = speeds[(speeds["status"] == "ok") & speeds["images_per_second"].notna()]
    found = {
        row["title"]: Standing(problem=PROBLEMS.get(row["status"], str(row["status"])))
        for row in speeds.to_dict("records")
    }
    if comparison.untrusted:
        return {
            name: one if one.problem else Standing(problem="untrusted")
            for name, one in found.items()
        }
    if known.empty:
        return found
    fastest = str(known.sort_values("images_per_second")["title"].iloc[-1])
    for name in known["title"]:
        found[name] = Standing(1.0) if name == fastest else Standing(problem="not compared")
    table = comparison.main_ratios
    table = table[
        (table["model"] == model) & (table["variant"] == variant) & table["ratio"].notna()
    ]
    table = wording.titled(table[table["lane"] != table["baseline"]])
    for row in table.assign(width=wording.half_width_percent(table)).to_dict("records"):
        if fastest in (row["title"], row["other"]):
            mirrored = row["title"] == fastest
            name = row["other"] if mirrored else row["title"]
            if name not in found:
                continue
            verdict = "faster" if mirrored else "slower"
            ratio = 1 / row["ratio"] if mirrored else row["ratio"]
            found[name] = Standing(ratio, row["width"], row["verdict"] == verdict)
    widths = [one.width_percent for one in found.values() if not np.isnan(one.width_percent)]
    if widths:
        found[fastest] = Standing(1.0, min(widths))
    return found


def _errors(comparison: Comparison, summary: pd.DataFrame) -> dict[str, str]:
    """Errors in percent; the loss of what is no classifier."""
    found = {}
    for row in summary.to_dict("records"):
        if pd.notna(row["error_percent"]):
            found[row["title"]] = f"{row['error_percent']:.2f} %"
        elif row["status"] == "ok":
            cells = comparison.accuracy
            own = (cells["model"] == row["model"]) & (cells["lane"] == row["lane"])
            found[row["title"]] = f"loss {cells.loc[own, 'test_loss'].mean():.4g}"
        else:
            status = str(row["status"])
            found[row["title"]] = "not trained" if status == "missing" else status
    return found


def _same(ladder: pd.DataFrame) -> str:
    """What the rungs say on which ratios are certified."""
    asked = [rung for rung in CERTIFYING if rung in ladder and (ladder[rung] != "").any()]
    if ladder.empty or not asked:
        return ""
    silent = ladder["silent"]
    failed = (ladder[asked] == "fail").any(axis=1) & ~silent
    undecided = (ladder["undecided"] != "") & ~ladder["blamed"]
    told = [
        f"{word}: {', '.join(ladder['title'][those])}"
        for word, those in (("NO", failed & ~undecided), ("differ", failed & undecided))
        if those.any()
    ]
    told += [f"no answer: {', '.join(ladder['title'][silent])}"] if silent.any() else []
    return "; ".join(told) or ("in part" if (ladder["drawn"] != "").any() else "yes")


def _advice(comparison: Comparison, answer: Answer, model: str, variant: str) -> str:
    parts = []
    fastest = answer.fastest
    ranked = [one for one in answer.standings.values() if not np.isnan(one.width_percent)]
    if ranked and len(fastest) == 1:
        parts.append(f"{fastest[0]} trains fastest here")
    elif ranked:
        parts.append(f"{wording.listed(fastest)} are tied as the fastest here")
    if variant == STOCK and not comparison.untrusted:
        gains = comparison.main_variants
        gains = gains[(gains["model"] == model) & (gains["variant"] == TUNED)]
        gains = gains[(gains["over"] == STOCK) & (gains["verdict"] == "faster")]
        gains = wording.titled(gains.sort_values("ratio", ascending=False))
        told = [f"{row['title']} is {row['ratio']:.1f}x" for row in gains.to_dict("records")]
        if told:
            parts.append(f"tuned (docs/tuning.md) {wording.listed(told)} as fast")
    if learned := _learned(comparison, model, variant):
        parts.append(learned)
    return "; ".join(parts) + "." if parts else ""


def _learned(comparison: Comparison, model: str, variant: str) -> str:
    """Whether the trained models err alike, beyond what so many test images can tell."""
    cells = comparison.accuracy
    own = cells[(cells["model"] == model) & (cells["variant"] == variant)]
    own = own[own["error_percent"].notna()]
    backends = own["lane"].nunique()
    if backends < 2:
        return ""
    agreed = comparison.agreement
    agreed = agreed[(agreed["model"] == model) & (agreed["variant"] == variant)]
    everyone = "both" if backends == 2 else f"all {wording.number(backends)}"
    if len(agreed) and agreed["equivalent"].notna().any():
        proven = bool(agreed["equivalent"].fillna(value=False).all())
        return f"{everyone} learn the same" if proven else "equal errors are not proven"
    shares = own.groupby("lane").agg(error=("error_percent", "mean"), images=("total", "sum"))
    shares = shares.sort_values("error").iloc[[0, -1]]
    error = shares["error"] / 100
    chance = float((error * (1 - error) / shares["images"]).sum() ** 0.5)
    alike = error.iloc[1] - error.iloc[0] <= 1.96 * chance
    return f"{everyone} learn the same" if alike else "they do NOT learn the same"
