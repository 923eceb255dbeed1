"""What a run will do: the options, checked, as one frozen plan.

Standard library only; `bench.planning.estimate` tells the plan to a person.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import models
from bench.contract.backends import BACKENDS
from bench.contract.units import (
    PHASES,
    Cell,
    Lane,
    Series,
    Subject,
    Workload,
    main_workloads,
)
from bench.contract.variants import NATIVE, STOCK, is_ablation
from bench.planning.lanes import Setup
from bench.planning.selection import Selection
from bench.planning.suites import Suite
from models.files import ModelFile

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Plan(Suite):
    """What a run will do: a suite, as the options change it.

    Attributes:
        models: Models to train.
        lanes: Lanes that must all be there, without twins.
        setups: What those of them have that are no backends as pinned.
        device: `cpu` or `gpu`.
        user_models: Where those of the models are defined that are the user's own.
        dataset: `auto`, `mnist`, `digits`, `data` (the user's) or `drawn` (made up).
        mnist: Where the user says MNIST lies.
        data: The user's data.
        batch_size: Examples in a step.
        results: Folder of all runs.
        timeout_seconds: Longest silence of a worker.
        command: What repeats the run, as a person types it.
        farm: Who does the pieces that it is cut into (`options.engine`); empty does it all here.
    """

    models: tuple[str, ...]
    lanes: tuple[Lane, ...]
    setups: tuple[Setup, ...]
    device: str
    user_models: tuple[ModelFile, ...]
    dataset: str
    mnist: Path | None
    data: Path | None
    batch_size: int
    results: Path
    timeout_seconds: float
    command: str = ""
    farm: str = ""

    @property
    def everything(self) -> Selection:
        """All that the plan holds."""
        return Selection(self.cells, self.series, self.subjects)

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Every model in its variants in every lane.

        Settings on their own are timed alone: their mathematics is in the tuned variant's.
        """
        return tuple(
            Subject(model, variant, lane.name, self.device)
            for model, variant in self.model_variants
            if not is_ablation(variant)
            for lane in self.lanes
            if _has(lane, variant)
        )

    @property
    def model_variants(self) -> tuple[tuple[str, str], ...]:
        """Models and variants, those of a model beside each other."""
        return tuple(
            (model, variant)
            for model in self.models
            for variant in self.variants
            if variant != NATIVE or model in models.twins()
        )

    def source(self, model: str) -> str:
        """What `models.build` takes for a model."""
        return next((file.source for file in self.user_models if file.name == model), model)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, the lanes of one model and seed beside each other.

        None where data is drawn: there is nothing to learn.
        """
        model_variants = self.model_variants  # which looks into the folder of models
        trained = self.variants if self.all_alike else self.variants[:1]
        return tuple(
            Cell(model, variant, lane.name, self.device, seed)
            for seed in range(self.seeds if self.dataset != "drawn" else 0)
            for model, variant in model_variants
            if variant in trained and not is_ablation(variant)
            for lane in self.lanes
            if _has(lane, variant)
        )

    @property
    def timed(self) -> tuple[Lane, ...]:
        """The lanes, then the twins of the last of them, of backends as pinned first."""
        # A lane that was added and fails shall not take along what trust stands on.
        order = sorted(self.lanes, key=lambda lane: lane.name in BACKENDS)[::-1]
        return (*self.lanes, *(replace(lane, twin=True) for lane in order[: self.twins]))

    def lane(self, name: str) -> Lane:
        """The lane of this name."""
        return next(lane for lane in self.lanes if lane.name == name)

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Of each model the first variant in its phases and in the latency of one prediction.

        The others in training; where all are alike they too in every phase, but for settings on
        their own. Of stock also the sweep.
        """
        train = ("train", self.batch_size)
        phases = (*((phase, self.batch_size) for phase in PHASES), ("predict", 1))
        sweep = tuple(("train", size) for size in self.sweep if size != self.batch_size)
        return tuple(
            Workload(model, variant, phase, batch_size)
            for model, variant in self.model_variants
            for phase, batch_size in (
                *(phases if self._in_all_phases(variant) else (train,)),
                *(sweep if variant == STOCK else ()),
            )
        )

    @property
    def series(self) -> tuple[Series, ...]:
        """Every lane in every workload; twins in the main ones."""
        workloads, lanes = self.workloads, self.timed
        main = main_workloads(workloads)
        return tuple(
            Series(workload, lane)
            for workload in workloads
            for lane in lanes
            if (not lane.twin or workload in main) and _has(lane, workload.variant)
        )

    def _in_all_phases(self, variant: str) -> bool:
        return not is_ablation(variant) and (self.all_alike or variant == self.variants[0])

    def round_interval(self, workload: Workload) -> int:
        """In which rounds a workload takes part: training in each, all else in every third."""
        return 1 if (workload.phase, workload.batch_size) == ("train", self.batch_size) else 3


def _has(lane: Lane, variant: str) -> bool:
    """Whether a lane computes a variant: native twins are written in float32."""
    return variant != NATIVE or not lane.precision
