"""The one screen that answers: what stands at the head of every report, in at most 12 lines."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.contract.variants import THREE
from reports.judging import notes, sentences, speed_lines
from reports.judging.answers import answers
from reports.judging.comparison import Comparison
from reports.tables import wording
from reports.tables.wording import Note

MODELS = 3
LANE_LINES = 6
"""More would not fit on the screen."""

ALERTS = 3
"""Of more than these, only the number is told."""

CAPTION = "Steady training speed over the fastest's (95 % interval), test error, answers."


@dataclass(frozen=True)
class Screen:
    """What a reader sees first.

    Attributes:
        heading: What was run, and on what.
        header: Headings of the matrix: the backends with their versions, and what they have in
            common.
        rows: The matrix: one row for each model.
        caption: What stands in it; empty where that says itself.
        notes: Advice for each model, what is to be believed, and what was left out.
    """

    heading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    notes: tuple[Note, ...]


def screen(comparison: Comparison) -> Screen:
    """The answer: a matrix of models and backends, advice, and whether to believe it."""
    known = list(answers(comparison))
    backends = list(dict.fromkeys(name for one in known for name in one.backends))
    # Of many models those whose answers differ first.
    shown = sorted(known, key=lambda one: one.same in ("", "yes"))[:MODELS]
    shown.sort(key=known.index)
    alerts = [Note(line, grave=True) for line in sentences.alerts(comparison)]
    if len(alerts) > ALERTS:
        more = Note(f"{len(alerts) - ALERTS} more warnings stand in the report.", grave=True)
        alerts = [*alerts[:ALERTS], more]
    rest, unsaid = len(known) - len(shown), comparison.lanes[LANE_LINES:]
    measured = any(one.standings or one.errors for one in known)
    asked = ["same"] if any(one.same for one in known) else []
    return Screen(
        heading=_heading(comparison),
        header=("model", *(_versioned(comparison, name) for name in backends), *asked),
        rows=tuple(
            (one.model, *(one.cell(name) for name in backends), *([one.same] if asked else []))
            for one in shown
        ),
        caption=CAPTION if measured else "",
        notes=(
            *alerts,
            *_failures(comparison),
            *_draws(comparison),
            *comparison.lanes[:LANE_LINES],
            *((Note("More of the lanes stands in the report."),) if unsaid else ()),
            *(Note(f"{one.model}: {one.advice}") for one in shown if one.advice),
            *((Note(f"{rest} more models stand in the report."),) if rest else ()),
            *trust(comparison),
            *_others(comparison),
            *map(Note, comparison.left_out),
        ),
    )


def so_far(comparison: Comparison) -> Iterator[str]:
    """What is known while a run goes on, in a line for each question that has an answer."""
    known = list(answers(comparison))
    told = [f"{one.model} {one.same}" for one in known if one.same]
    if told:
        yield f"same answers: {', '.join(told)}"
    told = [f"{one.model} {words}" for one in known if (words := one.ranking())]
    if told:
        yield f"fastest in training, so far: {'; '.join(told)}"
    told = [f"{one.model} {words}" for one in known if (words := one.errors_in_words())]
    if told:
        yield f"error on the test set: {'; '.join(told)}"


def _heading(comparison: Comparison) -> str:
    known = comparison.ledger
    if known.empty:
        return "; ".join(comparison.headings)
    keras = "/".join(dict.fromkeys(known["keras"]))
    machines = "; ".join(dict.fromkeys(known["machine"].str.replace(r", [^,]*$", "", regex=True)))
    return f"{comparison.protocol}; Keras {keras} on {machines}"


def _versioned(comparison: Comparison, backend: str) -> str:
    """The backend with its versions, less what they tell of the build: `2.13.0+cpu`."""
    known = wording.titled(comparison.ledger)
    versions = known.loc[known["title"] == backend, "version"].str.split("+").str[0]
    told = "/".join(dict.fromkeys(versions))
    return backend if not told or backend.endswith(f"@{told}") else f"{backend} {told}"


def _failures(comparison: Comparison) -> Iterator[Note]:
    """Variants that could not be had; of a setting on its own that is a result, and no failure."""
    table = comparison.variants
    for usual in (True, False):
        chosen = table[table["variant"].isin(THREE) == usual]
        yield from (Note(line, usual) for line in speed_lines.failure_lines(chosen))


def _draws(comparison: Comparison) -> Iterator[Note]:
    """Models of which no more can be compared than what comes before a draw."""
    ladder = comparison.ladder
    drawn = ladder[ladder["drawn"] != ""].drop_duplicates("model")
    yield from (Note(f"{row['model']}: {row['drawn']}.") for row in drawn.to_dict("records"))


def _others(comparison: Comparison) -> Iterator[Note]:
    """That a farm has launches of other machines, too."""
    kinds = list(dict.fromkeys(comparison.machines["kind"]))[1:]
    if kinds:
        yield Note(f"The report has the ratios on {wording.listed(kinds)}, too.")


def trust(comparison: Comparison) -> Iterator[Note]:
    """Whether it can be believed; nothing where no speed was measured."""
    parts = [*comparison.grades]
    twins = comparison.main_ratios
    twins = wording.titled(twins[(twins["lane"] == twins["baseline"]) & twins["low"].notna()])
    if len(twins):
        parts.append(f"A/A twin {twins['low'].min():.2f}x to {twins['high'].max():.2f}x")
    parts += comparison.voided
    most = max(comparison.costs["difference_percent"].dropna(), key=abs, default=0.0)
    if abs(most) > notes.DISAGREEMENT_PERCENT:
        words = "longer" if most > 0 else "less"
        parts.append(f"whole epochs took up to {abs(most):.0f} % {words} than their steps say")
    if (comparison.main_ratios["verdict"] == "indicative").any():
        parts.append("so few launches that nothing is claimed")
    if parts:
        missed = int((~comparison.checks["passed"].astype(bool)).sum())
        doubt = (
            f"yes, but {missed} of {len(comparison.checks)} conditions not met" if missed else "yes"
        )
        verdict = "NO" if comparison.untrusted else doubt
        yield Note(f"Can be believed: {verdict}; {'; '.join(parts)}.", bool(comparison.untrusted))
