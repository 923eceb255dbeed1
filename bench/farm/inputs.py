"""What pieces of a run need beside their unit: plan, data, shared weights and model files."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from bench.contract import schema
from bench.contract.envelopes import sealed
from bench.contract.errors import DataError
from bench.contract.units import ModelRequest
from bench.coordinator.run_folder import RunFolder
from bench.coordinator.speed.launches import prefix, stored
from bench.farm import archives
from bench.inputs.datasets import Dataset
from bench.planning.options import NOT_GIVEN
from bench.planning.plan import Plan
from bench.planning.resolving import resolve
from bench.planning.selection import Selection
from bench.session.stored_plan import again, begun

PLAN, DATA, DATASET = "plan.json", "data.npz", "dataset.json"

MOST_BESIDE = 1 << 20
"""Of the Python files that lie beside a model's, together."""


@dataclass(frozen=True)
class Inputs:
    """What an archive of `packed` holds, opened on a node.

    Attributes:
        plan: As it was stored, with interpreters and paths of this machine.
        selection: What the run does of it.
        dataset: What all is fed with.
        record: The bytes of the run's plan.
    """

    plan: Plan
    selection: Selection
    dataset: Dataset
    record: bytes


def packed(plan: Plan, dataset: Dataset, folder: RunFolder) -> bytes:
    """An archive of what every piece of a run needs; the same for all of them."""
    files = {
        PLAN: (folder.path / "shards" / PLAN).read_bytes(),
        DATA: dataset.path.read_bytes(),
    }
    sources: dict[str, str] = {}
    for number, file in enumerate(plan.user_models):
        assert file.path is not None  # noqa: S101 - it is a user's
        at = f"model{number}"
        files |= {f"{at}/{path.name}": path.read_bytes() for path in _with_neighbours(file.path)}
        sources[file.name] = f"{at}/{file.path.name}:{file.function}"
    requests = {}
    for name, request in dataset.models.items():
        shared = ""
        if request.shared:
            shared = f"weights-{name}.npz"
            files[shared] = Path(request.shared).read_bytes()
        source = sources.get(name, request.source)
        requests[name] = asdict(replace(request, data=DATA, shared=shared, source=source))
    told = {**vars(dataset), "path": DATA, "models": requests, "note": ""}
    files[DATASET] = json.dumps(told, sort_keys=True).encode()
    return archives.packed(files)


def launches(folder: RunFolder, machine: str) -> bytes:
    """An archive of the launches that a run has of a machine, as those of its own."""
    ids = {f"{prefix()}{made.launch:02d}": made for made in stored(folder, machine)}
    return archives.packed(
        {
            f"{name}.json": sealed("speed", folder.run_id, name, msgspec.to_builtins(made))
            for name, made in ids.items()
        }
    )


def unfolded(archive: Path, folder: Path) -> None:
    """Put the files of an archive, which has the hash that it is named by, into a folder.

    Raises:
        DataError: It is another archive, or damaged.
    """
    data = archive.read_bytes()
    if archives.sha256(data) != archive.stem:
        raise DataError(f"{archive}: not what it is named by")
    for name, content in archives.unpacked(data).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def opened(folder: Path, workers: tuple[str, ...]) -> Inputs:
    """What lies in a folder of `unfolded`, as this machine knows it.

    Args:
        folder: Where.
        workers: Interpreters that are not where nox puts them.

    Raises:
        BenchError: It does not hold what `packed` packs.
    """
    record = (folder / PLAN).read_bytes()
    try:
        stored = msgspec.convert(json.loads(record)["payload"], schema.Plan)
        told = json.loads((folder / DATASET).read_bytes())
        requests = {
            name: msgspec.convert(each, ModelRequest) for name, each in told.pop("models").items()
        }
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"inputs of a farm that are none: {error}") from error
    sources = {name: _here(folder, request.source) for name, request in requests.items()}
    own = [
        msgspec.structs.replace(model, path=sources[model.name].rpartition(":")[0])
        for model in stored.own_models
    ]
    stored = msgspec.structs.replace(stored, own_models=own)
    options, environ, files, others = again(stored, NOT_GIVEN, {})
    plan = resolve(options, workers, environ, files, (), others)
    dataset = Dataset(
        **told
        | {"path": folder / DATA}
        | {
            "models": {
                name: replace(
                    request,
                    data=str(folder / DATA),
                    shared=request.shared and str(folder / request.shared),
                    source=sources[name],
                )
                for name, request in requests.items()
            }
        }
    )
    return Inputs(plan, begun(stored, plan), dataset, record)


def _here(folder: Path, source: str) -> str:
    """A model's source: a shipped one has a name alone."""
    return str(folder / source) if ":" in source else source


def _with_neighbours(path: Path) -> list[Path]:
    """A model's file and the Python files beside it, which it may import.

    Raises:
        DataError: They are more than a model's.
    """
    beside = [each for each in sorted(path.parent.glob("*.py")) if each.is_file()]
    if sum(each.stat().st_size for each in beside) > MOST_BESIDE:
        raise DataError(
            f"{path.parent}: its Python files are more than 1 MiB; put the model into a folder of "
            "its own for a farm"
        )
    return [path, *(each for each in beside if each != path)]
