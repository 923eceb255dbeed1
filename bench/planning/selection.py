"""What of a plan is to be done."""

from dataclasses import dataclass

from bench.contract.units import Cell, Lane, Series, Subject, Workload


@dataclass(frozen=True)
class Selection:
    """What of a plan is to be done: all of it, or what `-k` chose.

    Attributes:
        cells: Trainings, one at a time.
        series: What is measured in turn.
        subjects: Whose answers are checked.
    """

    cells: tuple[Cell, ...]
    series: tuple[Series, ...]
    subjects: tuple[Subject, ...] = ()

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Who is measured in turn, in the order of the plan."""
        return tuple(dict.fromkeys(series.lane for series in self.series))

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """What is measured, in the order of the plan."""
        return tuple(dict.fromkeys(series.workload for series in self.series))

    @property
    def lonely_twins(self) -> list[str]:
        """Twins whose original is not selected: there is nothing to compare them with."""
        originals = {lane.name for lane in self.lanes if not lane.twin}
        return [lane.id for lane in self.lanes if lane.twin and lane.name not in originals]

    @property
    def lane_names(self) -> set[str]:
        """Who must be there."""
        parts: list[Cell | Subject] = [*self.cells, *self.subjects]
        return {part.lane for part in parts} | {lane.name for lane in self.lanes}

    @property
    def models(self) -> set[str]:
        """What is trained or timed."""
        parts: list[Cell | Workload | Subject] = [*self.cells, *self.workloads, *self.subjects]
        return {part.model for part in parts}

    @property
    def variants(self) -> set[str]:
        """In which variants."""
        parts: list[Cell | Workload | Subject] = [*self.cells, *self.workloads, *self.subjects]
        return {part.variant for part in parts}
