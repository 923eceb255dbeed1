"""What a repository keeps of a run, to judge later ones by on whatever machine they are made.

Speeds of two machines are not comparable, and CI has another one every day. Ratios within a run
are, on machines of one kind: so these are kept, launch by launch, of as many kinds as there are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, structs

from bench.contract.errors import DataError
from bench.contract.limits import MAX_JSON_BYTES
from bench.contract.schema import Id, Lane, Protocol, Record, Sha256, Text, Version, Workload
from reports.across_runs.two_runs import ComparedRun
from reports.statistics.intervals import MIN_LAUNCHES, LaunchValues
from reports.tables import seeds

SCHEMA: Literal[1] = 1

Side = tuple[str, str]
"""A lane and a variant."""

Key = tuple[str, str, Side, Side]
"""A model, a device, and the two sides of a ratio of training speeds."""


class Ratio(Record, frozen=True):
    """Of the training speeds of two lanes, or of two variants: its logs, one for each launch."""

    model: Id
    device: Id
    lane: Id
    variant: Id
    over_lane: Id
    over_variant: Id
    logs: Annotated[list[Annotated[float, Meta(ge=-20, le=20)]], Meta(min_length=MIN_LAUNCHES)]

    @property
    def key(self) -> Key:
        """Whose it is."""
        one, other = (self.lane, self.variant), (self.over_lane, self.over_variant)
        return self.model, self.device, one, other


class Training(Record, frozen=True):
    """Of one seed: its test error in percent, and the hash of its answers."""

    model: Id
    variant: Id
    lane: Id
    device: Id
    seed: int
    error_percent: Annotated[float, Meta(ge=0, le=100)]
    answers_sha256: Sha256


class Kept(Record, frozen=True):
    """Of one run; `command` repeats it."""

    command: Text
    protocol: Protocol
    versions: dict[Id, dict[Id, Version]]
    ratios: list[Ratio]
    trainings: list[Training]


class Baseline(Record, frozen=True):
    """A file: what was kept, by the kind of machine that it was measured on."""

    schema: Literal[1]
    kinds: dict[Text, Kept]


def kept(run: ComparedRun) -> dict[str, Kept]:
    """What of a run is kept, by its kind of machine.

    Raises:
        DataError: There is nothing to keep, or it is not to be trusted.
    """
    plan = next(iter(run.found.plans.values()), None)
    kind = kind_of(run)
    if plan is None or not kind or len(run.found.plans) > 1:
        raise DataError("a baseline is made of one run that timed or trained something")
    if doubts := (*run.comparison.untrusted, *run.comparison.incomplete):
        raise DataError(f"a baseline of a run that is itself in doubt: {doubts[0]}")
    told = Kept(
        command=plan.command,
        protocol=plan.protocol,
        versions={
            row["lane"]: {name: row[name] for name in ("version", "keras", "numpy", "python")}
            for row in run.comparison.ledger.to_dict("records")
        },
        ratios=[
            Ratio(model, device, *one, *other, logs=values.round(6).tolist())
            for (model, device, one, other), values in ratios(run)
        ],
        trainings=list(trainings(run)),
    )
    if not told.ratios and not told.trainings:
        raise DataError(
            "nothing in this run has an interval: speeds want three launches of two backends "
            "(-k speed --budget 10m), errors want trainings on --data"
        )
    return {kind: told}


def kind_of(run: ComparedRun) -> str:
    """The kind of machine that a run was made on; empty if it did nothing there."""
    made = run.machine or next((shard.payload.machine for shard in run.found.accuracy), None)
    return made.kind if made else ""


def ratios(run: ComparedRun) -> Iterator[tuple[Key, LaunchValues]]:
    """Of training at the protocol's batch size, in all that has enough launches; no twins."""
    for table, other, same in (
        (run.comparison.main_ratios, "baseline", "variant"),
        (run.comparison.main_variants, "over", "lane"),
    ):
        for row in table.to_dict("records"):
            one = {name: row[name] for name in ("lane", "variant")}
            over = one | {"lane" if same == "variant" else "variant": row[other]}
            if one == over:
                continue
            sides = [
                (
                    Workload(row["model"], side["variant"], row["phase"], row["batch_size"]),
                    Lane(side["lane"], row["device"], twin=False),
                )
                for side in (one, over)
            ]
            if (values := run.pair_values(*sides)) is not None:
                key = [(side["lane"], side["variant"]) for side in (one, over)]
                yield (row["model"], row["device"], key[0], key[1]), values


def trainings(run: ComparedRun) -> Iterator[Training]:
    """Those that went well."""
    for (model, variant, lane, device), by_seed in run.trainings.items():
        for seed, shard in by_seed.items():
            error, answers = seeds.error_percent(shard), seeds.answers_sha256(shard)
            yield Training(model, variant, lane, device, seed, error, answers)


def read(path: Path) -> Baseline:
    """A file of `written`.

    Raises:
        DataError: It is none.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise DataError(f"{path}: larger than a baseline is")
        found = msgspec.json.decode(path.read_bytes(), type=Baseline, strict=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no baseline: {error}") from error
    return found


def written(run: ComparedRun, before: Baseline | None) -> bytes:
    """The file with this run in it, in the place of an earlier one of its kind of machine.

    What this run has none of, ratios or trainings, stays as it was.

    Raises:
        DataError: There is nothing to keep, or what stays was made by another protocol.
    """
    kinds = dict(before.kinds) if before else {}
    for kind, new in kept(run).items():
        old = kinds.get(kind, new)
        if new.protocol != old.protocol and not (new.ratios and new.trainings):
            raise DataError(
                f"the baseline of {kind} is of another protocol, or of other data; keep this run "
                "in another file"
            )
        kinds[kind] = structs.replace(
            new, ratios=new.ratios or old.ratios, trainings=new.trainings or old.trainings
        )
    text = msgspec.json.encode(Baseline(SCHEMA, dict(sorted(kinds.items()))))
    return msgspec.json.format(text, indent=1) + b"\n"
