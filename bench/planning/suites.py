"""How much a run does: three suites, from a check that all works to all that can be said."""

from dataclasses import dataclass

from bench.contract.rungs import PORTABILITY, PROBES
from bench.contract.variants import SETTINGS, STOCK, THREE


@dataclass(frozen=True)
class Suite:
    """The size of a run.

    Attributes:
        name: What `--suite` takes.
        epochs: Training epochs of each cell.
        seeds: How many seeds each cell is trained with.
        launches: How many launches the main workloads get, if no budget ends them before; others
            get fewer (`bench.planning.bundles`).
        rounds: Rounds of a launch of the main workloads.
        probes: What the parity half asks every backend; see `bench.worker.parity.probes`.
        variants: Of each model; see `bench.contract.variants`.
        all_alike: Whether all variants are trained, and timed in every phase; else the first is,
            and the others are timed in training.
        twins: How many backends get an A/A twin.
        sweep: More batch sizes to time training at.
        precision_percent: Go on until every interval of training is this narrow to each side;
            without a budget, up to twice as many launches.
        budget_seconds: Start no launch that would end later than this.
        train_examples: Train on the first so many examples only; None takes all.
    """

    name: str
    epochs: int
    seeds: int
    launches: int
    rounds: int
    probes: tuple[str, ...]
    variants: tuple[str, ...] = (STOCK,)
    all_alike: bool = False
    twins: int = 0
    sweep: tuple[int, ...] = ()
    precision_percent: float | None = None
    budget_seconds: float | None = None
    train_examples: int | None = None


CHEAP = tuple(probe.name for probe in PROBES.values() if probe.cheap)
SWEEP = (32, 64, 128, 256, 512, 1024, 2048, 4096)

SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "smoke",
            epochs=1,
            seeds=1,
            launches=1,
            rounds=6,
            probes=CHEAP,
            train_examples=12_000,
        ),
        # The protocol of the reference experiment, once. Six rounds narrow an interval most for
        # their time where rounds vary by 9 to 14 % and launches by 2 to 5, as on two shared cores.
        Suite(
            "default",
            epochs=10,
            seeds=1,
            launches=5,
            rounds=6,
            probes=(*CHEAP, "predictions", PORTABILITY),
            variants=THREE,
            twins=1,
            precision_percent=5,
        ),
        Suite(
            "full",
            epochs=10,
            seeds=10,
            launches=8,
            rounds=6,
            probes=(*PROBES, PORTABILITY),
            variants=(*THREE, *SETTINGS),
            all_alike=True,
            twins=3,
            sweep=SWEEP,
            precision_percent=3,
            budget_seconds=7200,
        ),
    )
}
