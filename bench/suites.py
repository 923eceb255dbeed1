"""How much a run does: three suites, from a check that all works to all that can be said."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """The size of a run.

    Attributes:
        name: What `--suite` takes.
        epochs: Training epochs of each cell.
        seeds: How many seeds each cell is trained with.
        train_examples: Train on the first so many examples only; None takes all.
    """

    name: str
    epochs: int
    seeds: int
    train_examples: int | None = None


SUITES = {
    suite.name: suite
    for suite in (
        Suite("smoke", epochs=1, seeds=1, train_examples=12_000),
        # The protocol of the reference experiment, once.
        Suite("default", epochs=10, seeds=1),
        Suite("full", epochs=10, seeds=10),
    )
}
