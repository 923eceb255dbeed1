"""A model in float64 under every backend: the reference of one that has no oracle."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from bench.contract.units import Lane, ProbesRequest
from bench.coordinator.fleet import Fleet, Member
from bench.coordinator.parity.respondent import Respondent, own_probes, reference
from bench.coordinator.run_folder import RunFolder
from bench.inputs.datasets import Dataset
from bench.planning.plan import Plan


def ask_in_float64(
    request: ProbesRequest,
    plan: Plan,
    lanes: Sequence[Lane],
    dataset: Dataset,
    run_folder: RunFolder,
) -> None:
    """Store what every lane answers in float64 on the CPU, and train the weights of P6."""
    model = request.model.name
    members = [Member(replace(lane, device="cpu")) for lane in lanes]
    with Fleet(members, plan.timeout_seconds) as fleet:
        respondents = [Respondent(member) for member in members]
        fleet.each(lambda each: _open(each, request), respondents)
        if "predictions" in plan.probes:
            train = {"trained": request.trained}
            any(each.ask("train_reference", train, dict) is not None for each in respondents)
        fleet.each(lambda each: each.answer(own_probes(plan)), respondents)
    for each in respondents:
        record = reference(model, each.lane, plan, dataset, each.told())
        shard_id = run_folder.next_attempt(f"reference-{model}-{each.lane}")
        run_folder.write(shard_id, record, each.arrays)


def _open(respondent: Respondent, request: ProbesRequest) -> None:
    respondent.member.greet()
    respondent.ask("enable_float64", {}, dict)
    respondent.ask("open_probes", asdict(request), dict)
