"""A plan as its run keeps it, and how `--resume` goes on from there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec
from msgspec.structs import asdict

from bench.contract import schema
from bench.contract.backends import BACKENDS
from bench.contract.errors import UsageError
from bench.contract.units import Cell, Series, Subject, Workload, main_workloads
from bench.coordinator.speed.launch import lane_record
from bench.planning.bundles import bundled
from bench.planning.lanes import Setup
from bench.planning.options import DATASETS, refuse_decided
from bench.planning.plan import Plan
from bench.planning.resolving import user_models
from bench.planning.selection import Selection
from bench.planning.suites import SUITES

R = TypeVar("R")


def plan_record(
    plan: Plan,
    selection: Selection,
    protocol: schema.Protocol,
    dataset_note: str,
    model_notes: Sequence[str],
) -> schema.Plan:
    """What the run keeps of the plan, and of what of it is done."""
    speed = schema.SpeedPlan(
        workloads=_records(selection.workloads, schema.Workload),
        lanes=[lane_record(lane) for lane in selection.lanes],
        launches=min((bundle.launches for bundle in bundled(plan, selection)), default=1),
        rounds=plan.rounds,
        precision_percent=plan.precision_percent,
        budget_seconds=plan.budget_seconds,
    )
    parity = schema.ParityPlan(_records(selection.subjects, schema.Subject), list(plan.probes))
    return schema.Plan(
        suite=plan.name,
        command=plan.command,
        farmed=bool(plan.farm),
        models=list(plan.models),
        variants=list(plan.variants),
        own_models=[
            schema.OwnModel(file.name, str(file.path), file.function, file.sha256)
            for file in plan.user_models
        ],
        model_notes=list(model_notes),
        lanes=[
            _setup_record(one.name, {each.name: each for each in plan.setups}) for one in plan.lanes
        ],
        device=plan.device,
        seeds=plan.seeds,
        protocol=protocol,
        dataset_note=dataset_note,
        cells=_records(selection.cells, schema.Cell),
        speed=speed if selection.series else None,
        parity=parity if selection.subjects else None,
    )


def again(
    stored: schema.Plan,
    options: Mapping[str, str | None],
    environ: Mapping[str, str],
    files: Sequence[str] = (),
    against: Sequence[str] = (),
) -> tuple[dict[str, str | None], dict[str, str], list[str], list[Setup]]:
    """Options, variables, model files and lanes with which a stored run goes on.

    Raises:
        UsageError: An option was given that the run has decided already, or a model has changed.
    """
    refuse_decided(options, files, against)
    protocol, own = stored.protocol, stored.own_models
    named = {model.name for model in own}
    shipped = [name for name in stored.models if name not in named]
    # The prepared dataset is taken by its hash; which one it was is all that must be known.
    dataset = None if protocol.dataset == "drawn" else protocol.dataset
    own_variants = tuple(stored.variants) == SUITES[stored.suite].variants
    decided = {
        "suite": stored.suite,
        "models": ",".join(shipped) or None,
        # Where they are the suite's, it also says which of them are trained.
        "variants": None if own_variants else ",".join(stored.variants),
        "seeds": str(stored.seeds),
        "epochs": str(protocol.epochs),
        "batch_size": str(protocol.batch_size),
        "dataset" if dataset in DATASETS else "data": dataset,
    }
    if stored.speed and stored.speed.budget_seconds is not None:
        decided |= {
            "budget": f"{stored.speed.budget_seconds:.0f}s",
            "precision": f"{stored.speed.precision_percent:g}",
        }
    selected = {
        "BENCH_BACKENDS": ",".join(lane.name for lane in stored.lanes if lane.name in BACKENDS),
        "BENCH_DEVICE": stored.device,
    }
    texts = [f"{model.path}:{model.function}" for model in own]
    for model, file in zip(own, user_models(texts), strict=True):
        if model.sha256 != file.sha256:
            raise UsageError(
                f"--resume: {model.path} has changed since the run was begun; start a new one"
            )
    others = [_setup(lane) for lane in stored.lanes if lane.name not in BACKENDS]
    return {**options, **decided}, {**environ, **selected}, texts, others


def check_farm(stored: schema.Plan, farm: str | None) -> None:
    """Refuse to go on with a farmed run here, or with another on a farm: what is alike differs.

    Raises:
        UsageError: Which option is missing, or too many.
    """
    if stored.farmed and not farm:
        raise UsageError("--resume: this run was begun with --farm; give it again (any engine)")
    if farm and not stored.farmed:
        raise UsageError("--resume: this run was begun without --farm; leave it out")


def begun(stored: schema.Plan, plan: Plan) -> Selection:
    """What a stored run selected of `plan`, which was resolved as `again` says."""
    speed, parity = stored.speed, stored.parity
    workloads = [Workload(**asdict(each)) for each in speed.workloads] if speed else []
    lanes = [
        replace(plan.lane(lane.lane), twin=lane.twin) for lane in (speed.lanes if speed else ())
    ]
    return Selection(
        tuple(Cell(**asdict(cell)) for cell in stored.cells),
        tuple(
            Series(each, lane)
            for each in workloads
            for lane in lanes
            if not lane.twin or each in main_workloads(workloads)
        ),
        tuple(Subject(**asdict(subject)) for subject in (parity.subjects if parity else ())),
    )


def _setup_record(name: str, setups: Mapping[str, Setup]) -> schema.LaneSetup:
    one = setups.get(name, Setup(name))
    return schema.LaneSetup(
        one.name, list(one.requirements), one.python, dict(one.environment), one.precision
    )


def _setup(stored: schema.LaneSetup) -> Setup:
    variables = tuple(sorted(stored.environment.items()))
    return Setup(
        stored.name, tuple(stored.requirements), stored.python, variables, stored.precision
    )


def _records(units: Sequence[object], struct: type[R]) -> list[R]:
    return [msgspec.convert(unit, struct, from_attributes=True) for unit in units]
