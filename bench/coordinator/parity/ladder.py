"""The parity ladder in the coordinator: workers and a reference answer, and shards keep it.

The reference of a shipped model is the oracle; that of any other model is the model itself in
float64, in every lane. Nothing is timed here, so all lanes work side by side.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.contract import schema
from bench.contract.parity_schema import Facts, Loaded, Parity, Portability, Saved
from bench.contract.rungs import ORACLE, PORTABILITY
from bench.contract.units import ProbesRequest, Subject
from bench.contract.variants import STOCK
from bench.coordinator.fleet import Fleet, Member
from bench.coordinator.parity.float64_references import ask_in_float64
from bench.coordinator.parity.oracle_answers import Reference
from bench.coordinator.parity.respondent import SEED, Respondent, own_probes, question, reference
from bench.coordinator.records import ended, this_machine
from bench.coordinator.run_folder import RunFolder
from bench.inputs.datasets import PIXEL_SCALE, Dataset, read_npz
from bench.planning.plan import Plan
from bench.process.temp_folders import scratch_folder
from models.oracle import NETWORKS

TRAINED_FILE, RESTARTS_FILE = "trained.npz", "restarts.npz"


def stored_answers(run_folder: RunFolder, subjects: Sequence[Subject]) -> dict[Subject, Parity]:
    """Answers of those that have given them in an earlier part of the run.

    Portability asks for all backends at once, so one that is missing has all of its model asked
    again.
    """
    last = last_answers(run_folder, subjects)
    found = {subject: record for subject, record in last.items() if record.status == "ok"}
    missing = {subject.model for subject in subjects if subject not in found}
    return {subject: found[subject] for subject in found if subject.model not in missing}


def last_answers(run_folder: RunFolder, subjects: Sequence[Subject]) -> dict[Subject, Parity]:
    """What each has answered: the last attempt that went well, else the last that did not."""
    found: dict[Subject, Parity] = {}
    for subject in subjects:
        for shard_id in run_folder.attempts(f"parity-{subject.id}"):
            record = run_folder.read(shard_id, Parity)
            if record is not None and (subject not in found or record.status == "ok"):
                found[subject] = record
    return found


def ask_subjects(
    plan: Plan,
    subjects: Sequence[Subject],
    dataset: Dataset,
    run_folder: RunFolder,
    tell: Callable[[str], None],
) -> dict[Subject, Parity]:
    """Have the references and all subjects answer the plan's probes, and store what they say.

    Args:
        plan: Probes, interpreters and time-outs.
        subjects: Models under backends.
        dataset: What is fed.
        run_folder: Where the shards go.
        tell: Takes a line on how far it is.

    Returns:
        The shard of each subject, whether it went well or not.
    """
    records = stored_answers(run_folder, subjects)
    subjects = [subject for subject in subjects if subject not in records]
    if not subjects:
        return records
    lanes = [plan.lane(name) for name in dict.fromkeys(subject.lane for subject in subjects)]
    # All models of a lane, and their variants, share its worker.
    members = {lane.name: Member(lane) for lane in lanes}
    tell("starting all lanes")
    with scratch_folder() as shared, Fleet(list(members.values()), plan.timeout_seconds) as fleet:
        greeted = fleet.begin(Member.greet)
        for model in dict.fromkeys(subject.model for subject in subjects):
            folder = Path(shared, model)
            folder.mkdir()
            request = _request(model, plan, dataset, folder)
            if model in NETWORKS and dataset.scale == PIXEL_SCALE:
                tell(f"{model}: the oracle in float64")
                _ask_oracle(request, plan, dataset, run_folder)
            else:
                tell(f"{model}: {', '.join(members)} in float64")
                request = replace(request, restarts="")
                ask_in_float64(request, plan, lanes, dataset, run_folder)
            greeted()
            tell(f"{model}: {', '.join(members)}")
            by_variant: dict[str, dict[Subject, Respondent]] = {}
            for subject in (subject for subject in subjects if subject.model == model):
                respondent = Respondent(members[subject.lane])
                by_variant.setdefault(subject.variant, {})[subject] = respondent
            for variant, respondents in by_variant.items():
                question = replace(request, model=replace(request.model, variant=variant))
                _ask(plan, list(respondents.values()), question, folder, fleet)
            for subject, respondent in (
                pair for those in by_variant.values() for pair in those.items()
            ):
                records[subject] = _record(subject, respondent, plan, dataset)
                shard_id = run_folder.next_attempt(f"parity-{subject.id}")
                run_folder.write(shard_id, records[subject], respondent.arrays)
    return records


def _record(subject: Subject, respondent: Respondent, plan: Plan, dataset: Dataset) -> Parity:
    saved = respondent.saved
    return Parity(
        subject=msgspec.convert(subject, schema.Subject, from_attributes=True),
        **question(plan, dataset),
        machine=this_machine(),
        worker=respondent.member.info,
        portability=None if saved is None else Portability(saved, respondent.loaded),
        **respondent.told(),
    )


def _request(model: str, plan: Plan, dataset: Dataset, folder: Path) -> ProbesRequest:
    return ProbesRequest(
        model=dataset.request(model, STOCK),
        seed=SEED,
        batch_size=plan.batch_size,
        trained=str(folder / TRAINED_FILE),
        restarts=str(folder / RESTARTS_FILE),
    )


def _ask_oracle(
    request: ProbesRequest, plan: Plan, dataset: Dataset, run_folder: RunFolder
) -> None:
    """Store the oracle's answers, and what backends begin with on some rungs."""
    model = request.model.name
    halves = dict.fromkeys(lane.precision.removeprefix("mixed_") for lane in plan.lanes)
    data = read_npz(dataset.path)
    oracle = Reference(model, SEED, plan.batch_size, data, [each for each in halves if each])
    facts: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for probe in own_probes(plan):
        facts[probe], found = oracle.answer(probe)
        arrays |= {f"{probe}.{name}": array for name, array in found.items()}
    told = {"facts": msgspec.convert(facts, Facts), **ended(None)}
    shard_id = run_folder.next_attempt(f"reference-{model}-{ORACLE}")
    run_folder.write(shard_id, reference(model, ORACLE, plan, dataset, told), arrays)
    if "predictions" in plan.probes:
        np.savez(request.trained, *oracle.trained())
    if "trajectory" in plan.probes:
        np.savez(request.restarts, **oracle.restarts())  # type: ignore[arg-type]


def _ask(
    plan: Plan,
    respondents: Sequence[Respondent],
    request: ProbesRequest,
    folder: Path,
    fleet: Fleet[Member],
) -> None:
    """All probes of one model in one variant."""

    def probe(respondent: Respondent) -> None:
        respondent.ask("open_probes", asdict(request), dict)
        respondent.answer(own_probes(plan))

    fleet.each(probe, respondents)
    # What Keras writes into a file is the model as it is defined.
    if PORTABILITY in plan.probes and request.model.variant == STOCK:
        fleet.each(lambda each: _save(each, folder), respondents)
        saved = [each.lane for each in respondents if each.saved]
        fleet.each(lambda each: _load(each, folder, saved), respondents)


def _save(respondent: Respondent, folder: Path) -> None:
    own = folder / respondent.lane
    own.mkdir()
    respondent.saved = respondent.ask("save", {"folder": str(own)}, Saved)


def _load(respondent: Respondent, folder: Path, lanes: Sequence[str]) -> None:
    """Load what every lane has saved, its own files included."""
    for lane in lanes:
        loaded = respondent.ask("load", {"folder": str(folder / lane)}, Loaded)
        if loaded is not None:
            respondent.loaded[lane] = loaded
