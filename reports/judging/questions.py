"""The five questions of a reader, what is found to each, and which figures and tables show it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.contract.variants import THREE
from reports.judging import elsewhere, lane_lines, parity_lines, screen, sentences, speed_lines
from reports.judging.answers import Answer, answers
from reports.judging.comparison import Comparison
from reports.tables import wording
from reports.tables.wording import Note


@dataclass(frozen=True)
class Question:
    """A section of a report.

    Attributes:
        name: Its place in a page.
        title: The question.
        finding: The answer in a sentence.
        lines: What stands behind it, in sentences.
        figures: Names of the pictures that show it.
        more: Names of those that are folded away.
        tables: Names of the tables, as `sections` has them.
    """

    name: str
    title: str
    finding: Note
    lines: tuple[Note, ...]
    figures: tuple[str, ...]
    more: tuple[str, ...]
    tables: tuple[str, ...]


def questions(comparison: Comparison) -> list[Question]:
    """Those that the runs have an answer to, in the order in which a reader has them."""
    known = list(answers(comparison))
    asked = [
        Question(
            "same-answers",
            "Same answers?",
            _same(known),
            (*comparison.lanes, *_parity(comparison)),
            figures=("parity",),
            more=("divergence",),
            tables=("ladder", "rung_errors"),
        ),
        Question(
            "how-fast",
            "How fast?",
            _fast(comparison, known),
            (*_ties(comparison), *elsewhere.lines(comparison.machines)),
            figures=("ratios", "variants"),
            more=("elsewhere", "throughput", "latency", "batch-sizes"),
            tables=("ratios", "variants", "machines", "speed", "latency"),
        ),
        Question(
            "where-the-time-goes",
            "Where does the time go?",
            _costs(comparison),
            tuple(lane_lines.cost_lines(comparison.lane_costs)),
            figures=("costs",),
            more=(),
            tables=("costs", "break_even", "lane_costs"),
        ),
        Question(
            "how-well",
            "How well does it learn?",
            _errors(known),
            tuple(_learning(comparison)),
            figures=("seeds",),
            more=("curves", "time-to-error", "confusion", "disagreements"),
            tables=("summary", "errors", "agreement", "time_to_error", "accuracy"),
        ),
        Question(
            "trust",
            "Can I believe it?",
            next(screen.trust(comparison), Note("No speed was measured in turn.")),
            tuple(map(Note, (*sentences.remarks(comparison), *comparison.conditions))),
            figures=(),
            more=("samples",),
            tables=("conditions", "ledger"),
        ),
    ]
    return [one for one in asked if one.finding.text]


def _same(answers: Sequence[Answer]) -> Note:
    told = {one.model: one.same for one in answers if one.same}
    if not told:
        return Note("")
    wrong = [f"{model} {words}" for model, words in told.items() if words != "yes"]
    if wrong:
        return Note(f"{'; '.join(wrong)}.", grave=True)
    return Note(f"Yes: on {wording.listed(list(told))} all backends give the same answers.")


def _fast(comparison: Comparison, answers: Sequence[Answer]) -> Note:
    if comparison.untrusted:
        return Note("These speeds are not to be trusted.", grave=True)
    told = [f"{one.model}: {words}" for one in answers if (words := one.ranking())]
    unclaimed = "" if comparison.speed.empty else "No ratio of speeds is claimed."
    return Note(f"In training {'; '.join(told)}." if told else unclaimed)


def _errors(answers: Sequence[Answer]) -> Note:
    told = [f"{one.model}: {words}" for one in answers if (words := one.errors_in_words())]
    return Note(f"On the test set {'; '.join(told)}." if told else "")


def _costs(comparison: Comparison) -> Note:
    costs = comparison.costs
    if costs.empty:
        return next(lane_lines.cost_lines(comparison.lane_costs), Note(""))
    share = (costs["feed_seconds"] + costs["train_seconds"]).sum() / costs["wall_seconds"].sum()
    longest = costs.sort_values("wall_seconds").iloc[-1]
    return Note(
        f"{share:.0%} of it into training; the longest, {longest['model']} under "
        f"{wording.title(longest['lane'])}, took {longest['wall_seconds']:,.0f} s."
    )


def _parity(comparison: Comparison) -> Iterator[Note]:
    yield from parity_lines.verdicts(wording.in_order(comparison.ladder), comparison.parity)
    told = parity_lines.parity_lines(comparison.horizons, comparison.saturated)
    yield from map(Note, told)


def _ties(comparison: Comparison) -> list[Note]:
    if comparison.untrusted:
        return []
    ratios = comparison.main_ratios
    usual = ratios[ratios["variant"].isin(THREE)]
    return [Note(line) for line in speed_lines.tie_lines(usual, comparison.launch_seconds)]


def _learning(comparison: Comparison) -> Iterator[Note]:
    yield from map(Note, sentences.error_lines(comparison))
    yield from map(Note, parity_lines.conclusion_lines(comparison.conclusions))
