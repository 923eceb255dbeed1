"""Which machines make a run's launches: one of each kind, since a ratio crosses no machines."""

from collections.abc import Callable, Collection, Mapping

from bench.contract.schema import Machine
from bench.farm.units import Unit

HOME = ""
"""The place of the machine whose speeds are the run's; another's is that machine's id."""


class Places:
    """Where launches are made, and which piece of them is wanted next."""

    def __init__(
        self, made: Mapping[str, Machine], following: Callable[[str], Unit | None], *, timed: bool
    ) -> None:
        """Go on where launches have been made already.

        Args:
            made: Who has made some, by its place.
            following: The next piece of a place, by the launches that it has.
            timed: Whether the run times anything.
        """
        self._following, self._timed = following, timed
        self._machines = dict(made)
        self._begun = set(made)
        self._next: dict[str, Unit] = {}
        self._away: set[str] = set()
        for place in made:
            self._ask(place)

    def __bool__(self) -> bool:
        """Whether a piece is wanted, or will be as soon as there is a machine for it."""
        return bool(self._next) or (self._timed and HOME not in self._machines)

    def choose(self, machines: Collection[Machine]) -> None:
        """Choose among those that are there: the run's own is the largest.

        Other kinds follow when that has made its first launches. What has made none is replaced
        when it goes.
        """
        there = {machine.id for machine in machines}
        for place, machine in list(self._machines.items()):
            # What is on its way may still come back, and would be of that machine.
            if place not in self._begun | self._away and machine.id not in there:
                del self._machines[place]
                self._next.pop(place, None)
        for machine in sorted(machines, key=lambda each: (-each.cores, each.id)):
            known = {each.kind for each in self._machines.values()}
            place = machine.id if HOME in self._machines else HOME
            if self._timed and machine.kind not in known and (not known or HOME in self._begun):
                self._machines[place] = machine
                self._ask(place)

    def wanted(self, machine: str) -> Unit | None:
        """The next piece of a machine that is free for it."""
        return next((self._next[p] for p in self._next if self._machines[p].id == machine), None)

    def begin(self, unit: Unit) -> None:
        """A piece is on its way."""
        del self._next[unit.elsewhere]
        self._away.add(unit.elsewhere)

    def again(self, unit: Unit) -> None:
        """A piece is to be tried once more."""
        self._away.discard(unit.elsewhere)
        self._next[unit.elsewhere] = unit

    def done(self, unit: Unit) -> None:
        """What a piece brought is in the run's folder; one that brought nothing found enough."""
        self._away.discard(unit.elsewhere)
        self._begun.add(unit.elsewhere)
        following = self._following(unit.elsewhere)
        if following is not None and following.part != unit.part:
            self._next[unit.elsewhere] = following

    def orphans(self, machines: Collection[Machine]) -> list[Unit]:
        """Take away the pieces whose machines are not there."""
        there = {machine.id for machine in machines}
        gone = [place for place in self._next if self._machines[place].id not in there]
        return [self._next.pop(place) for place in gone]

    def __len__(self) -> int:
        """How many pieces are wanted now."""
        return len(self._next)

    def _ask(self, place: str) -> None:
        if (unit := self._following(place)) is not None:
            self._next[place] = unit
