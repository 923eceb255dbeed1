"""A run that is farmed out: its pieces from what the folder lacks, and what they bring back."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.contract.errors import DataError
from bench.coordinator.accuracy import stored_training
from bench.coordinator.parity.ladder import stored_answers
from bench.coordinator.speed.launches import machines as launch_machines
from bench.coordinator.speed.launches import stored as launched
from bench.farm import archives, drive, greeting, inputs, intake
from bench.farm.engines import Engine
from bench.farm.launch_places import HOME, Places
from bench.farm.local import Local
from bench.farm.ray_cluster import Cluster
from bench.farm.units import Unit
from bench.planning.plan import ROOT
from bench.planning.resolving import interpreter
from bench.process.atomic_files import storage_errors, write_atomically
from bench.session.run import Run

PARTS = ("units", "inputs", "archives", "logs", "duplicates")


class Campaign:
    """The pieces of one run, and its folder `farm`."""

    def __init__(self, run: Run) -> None:
        """Pack what all pieces need."""
        self.run = run
        self.folder = run.folder.path / "farm"
        with storage_errors(self.folder):
            for part in PARTS:
                (self.folder / part).mkdir(parents=True, exist_ok=True)
        self._base = self._kept(inputs.packed(run.plan, run.dataset, run.folder))
        record = (run.folder.path / "shards" / inputs.PLAN).read_bytes()
        self._plan = archives.sha256(record)
        self.environments = {n: greeting.environment(info) for n, info in run.infos.items()}

    def unit(self, kind: str, part: str, *more: str, elsewhere: str = "") -> Unit:
        """A piece of this run."""
        workers = tuple(
            f"{lane.name}={lane.python}"
            for lane in self.run.plan.lanes
            if not _is_where_nox_puts_it(lane.python)
        )
        return Unit(
            kind,  # type: ignore[arg-type]
            part,
            self.run.folder.run_id,
            self._plan,
            (self._base, *more),
            self.environments,
            workers,
            elsewhere,
        )

    def pieces(self) -> Iterator[Unit]:
        """Those that time nothing and are not done: the ladder's models, then cells."""
        chosen, folder = self.run.selection, self.run.folder
        answered = stored_answers(folder, chosen.subjects)
        for model in dict.fromkeys(one.model for one in chosen.subjects if one not in answered):
            yield self.unit("parity", model)
        for cell in chosen.cells:
            if stored_training(folder, cell) is None:
                yield self.unit("accuracy", cell.id)

    def timing(self, place: str) -> Unit | None:
        """The next piece of launches of a place; None where nothing is timed."""
        if not self.run.selection.series:
            return None
        count = len(launched(self.run.folder, place))
        more = [self._kept(inputs.launches(self.run.folder, place))] if count else []
        return self.unit("speed", str(count), *more, elsewhere=place)

    def places(self) -> Places:
        """Where launches are made."""
        timed, made = bool(self.run.selection.series), launch_machines(self.run.folder)
        return Places(made if timed else {}, self.timing, timed=timed)

    def take(self, unit: Unit, archive: bytes) -> None:
        """Take an archive in; what is another result of a piece that has one is kept beside."""
        if intake.take(unit, archive, self.run.folder) == "other":
            name = f"{unit.name[:12]}-{archives.sha256(archive)[:12]}.tar"
            write_atomically(self.folder / "duplicates" / name, archive)
            self.run.progress.say(f"farm  {unit.title}: a second result, kept as duplicates/{name}")

    def fetch(self, archive: Path) -> bool:
        """Take in an archive that lies there; what is none of a piece's is set aside and named."""
        path = self.folder / "units" / f"{archive.name.partition('.')[0]}.json"
        try:
            unit = Unit.read(path.read_bytes())
            self.take(unit, archive.read_bytes())
            archive.rename(archive.with_suffix(".done")) if unit.is_timing else archive.unlink()
        except (DataError, OSError) as error:
            why = error if isinstance(error, DataError) else "of no piece of this run"
            archive.rename(self.folder / "duplicates" / archive.name)
            self.run.progress.say(f"farm  {archive.name}: {why}; put into duplicates")
            return False
        return True

    def _kept(self, data: bytes) -> str:
        name = archives.sha256(data)
        path = self.folder / "inputs" / f"{name}.tar"
        if not path.exists() or path.read_bytes() != data:
            write_atomically(path, data)
        return name


def engine(text: str) -> Engine:
    """The engine of `--farm`, ready to be entered.

    Raises:
        UsageError: It cannot be had here.
    """
    kind, _, slots = text.partition(":")
    return Local(int(slots)) if kind == "local" else Cluster()


def carry_out(run: Run) -> Mapping[str, str]:
    """Have its engine do all that the run lacks; why a piece was given up, by its title."""
    campaign = Campaign(run)
    work = drive.Work(
        folder=campaign.folder,
        pieces=list(campaign.pieces()),
        places=campaign.places(),
        greeting=campaign.unit("greeting", ""),
        environments=campaign.environments,
        take=campaign.take,
        say=run.progress.say,
    )
    return drive.drive(engine(run.plan.farm), work)


def write_commands(run: Run) -> list[str]:
    """Take in the archives that lie there, and write a command for each piece that is left.

    None where nothing is left.
    """
    campaign = Campaign(run)
    taken = sum(map(campaign.fetch, sorted((campaign.folder / "archives").glob("*.tar"))))
    timing = campaign.timing(HOME)
    # A piece of launches that brought none has found that there are enough.
    is_left = timing and not (campaign.folder / "archives" / f"{timing.name}.done").exists()
    units = [*campaign.pieces(), *([timing] if timing and is_left else [])]
    commands = []
    for unit in units:
        path = campaign.folder / "units" / f"{unit.name}.json"
        write_atomically(path, unit.content)
        words = [interpreter("harness"), "-m", "bench.farm.piece", str(path.resolve())]
        commands.append(f"cd {shlex.quote(str(ROOT))} && {shlex.join(words)}  # {unit.title}")
    run.progress.say(f"farm  {taken} taken in, {len(commands)} left")
    return commands


def _is_where_nox_puts_it(python: str) -> bool:
    return Path(python).is_relative_to(ROOT / ".nox")
