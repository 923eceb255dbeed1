"""`python -m bench.farm.piece UNIT --archive ARCHIVE`: do a piece, and pack what came of it.

The archives that it needs lie in `../inputs` beside the unit's folder. It leaves with 0 when the
piece was done, whether that went well or not, and with the code of what kept it from being done.
"""

import argparse
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.contract.errors import BenchError, DataError, ExitCode
from bench.coordinator.accuracy import run_cell
from bench.coordinator.parity.ladder import ask_subjects
from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed.launches import Listener, measure
from bench.farm import archives, greeting, inputs
from bench.farm.inputs import Inputs
from bench.farm.units import Kind, Unit
from bench.process.atomic_files import write_atomically
from bench.process.machine_lock import acquire_machine_lock
from bench.process.temp_folders import scratch_folder

HASH = re.compile(r"[0-9a-f]{64}")

LAUNCHES_AT_ONCE = 3
"""Of a speed piece: each begins with imports, which launches of one piece share."""


def do(unit: Unit, given: Sequence[Path]) -> bytes:
    """Do a piece.

    Args:
        unit: Which.
        given: The archives that it needs.

    Returns:
        An archive of the shards that came of it, or of the greeting.

    Raises:
        BenchError: It could not be done.
    """
    with scratch_folder() as scratch:
        opened = Path(scratch, "inputs")
        for archive in given:
            inputs.unfolded(archive, opened)
        found = inputs.opened(opened, unit.workers)
        if archives.sha256(found.record) != unit.plan_sha256:
            raise DataError("inputs of another plan")
        if unit.kind == "greeting":
            return archives.packed({greeting.FILE: msgspec.json.encode(greeting.greet(found.plan))})
        acquire_machine_lock(_say, shared=not unit.is_timing)
        shards = Path(scratch, unit.run, "shards")
        shards.mkdir(parents=True)
        (shards / inputs.PLAN).write_bytes(found.record)
        for launch in opened.glob("speed-launch*.json"):
            (shards / launch.name).write_bytes(launch.read_bytes())
        before = {path.name for path in shards.iterdir()}
        DOING[unit.kind](unit, found, RunFolder(shards.parent))
        made = {path for path in shards.iterdir() if path.name not in before}
        return archives.packed({path.name: path.read_bytes() for path in made})


def _parity(unit: Unit, given: Inputs, folder: RunFolder) -> None:
    subjects = [one for one in given.selection.subjects if one.model == unit.part]
    ask_subjects(given.plan, subjects, given.dataset, folder, _say)


def _speed(_: Unit, given: Inputs, folder: RunFolder) -> None:
    listener = Listener(lambda text, _: _say(text), _say)
    measure(given.plan, given.selection, given.dataset, folder, listener, LAUNCHES_AT_ONCE)


def _accuracy(unit: Unit, given: Inputs, folder: RunFolder) -> None:
    (cell,) = (one for one in given.selection.cells if one.id == unit.part)
    run_cell(cell, given.plan, given.dataset, folder, lambda epoch: _say(f"epoch {epoch.epoch}"))


DOING: dict[Kind, Callable[[Unit, Inputs, RunFolder], None]] = {
    "parity": _parity,
    "speed": _speed,
    "accuracy": _accuracy,
}


def _say(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Do the piece and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.farm.piece", description=__doc__)
    parser.add_argument("unit", type=Path)
    parser.add_argument("--archive", type=Path)
    told = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its workers end with it
    try:
        unit = Unit.read(told.unit.read_bytes())
        folder = told.unit.resolve().parents[1]
        if HASH.fullmatch(told.unit.stem) and told.unit.stem != unit.name:
            raise DataError(f"{told.unit}: not what it is named by")
        _say(f"{unit.title}: begun")
        given = [folder / "inputs" / f"{name}.tar" for name in unit.inputs]
        archive = told.archive or folder / "archives" / f"{unit.name}.tar"
        write_atomically(archive, do(unit, given))
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return ExitCode.ENVIRONMENT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - another node may do it
        print(f"error: a fault of the harness: {error!r}", file=sys.stderr)
        return ExitCode.INTERNAL
    _say(f"{unit.title}: done")
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
