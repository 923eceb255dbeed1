"""What stands in the shards of the parity ladder, field by field."""

from typing import Annotated, Literal

from msgspec import Meta

from bench.contract.schema import (
    Count,
    Id,
    LongText,
    Machine,
    Positive,
    Record,
    Setting,
    Sha256,
    Subject,
    Text,
    WorkerInfo,
)

Names = list[Annotated[str, Meta(max_length=500)]]
Precision = Literal["float32", "float16", "bfloat16"]
Loss = float | None
"""None where it was no finite number."""


class Identity(Record, frozen=True):
    """What the model is and is fed, in hashes; `weights` are names.

    `config` is Keras's own JSON of the layers, `compile_config` that of optimizer and loss,
    `settings` what changes rounding: TF32 is off. `trainable` are numbers of weights (None: all
    are), `weights_sha256` of all of them in float32, `still` layers that draw at random in training
    and were kept from it, `random` those of them that nothing else is asked of, `unlike` layers
    that a variant computes in another way, `restless` what differs when it is asked again, as the
    arrays of P2 are called, `moved` what differs when its examples are elsewhere in the batch,
    `precision` the least that a layer computes in, `held` the least that a weight is held in
    (None: float32). The oracle does not give them.
    """

    layers: Names
    parameters: Count
    fed_sha256: dict[Id, Sha256]
    config: LongText | None = None
    compile_config: LongText | None = None
    jit_compile: bool | None = None
    settings: dict[Id, Setting] | None = None
    weights: Names | None = None
    trainable: list[Count] | None = None
    weights_sha256: Sha256 | None = None
    outputs: Names | None = None
    still: Names | None = None
    random: Names | None = None
    unlike: Names | None = None
    restless: Names | None = None
    moved: Names | None = None
    precision: Precision | None = None
    held: Precision | None = None


class Dropout(Record, frozen=True):
    """What a layer of this rate did in training steps, counted in units.

    `drawn` in all steps, `dropped` of these; `pairs` in two steps, one after the other, and
    `dropped_twice` of these; `misscaled` were kept and not divided by 1 - rate.
    """

    rate: Annotated[float, Meta(gt=0, lt=1)]
    drawn: Positive
    dropped: Count
    pairs: Positive
    dropped_twice: Count
    misscaled: Count


class Losses(Record, frozen=True):
    """Of one batch; where outputs are saturated, the oracle has both of Keras's definitions.

    Only a model that ends in a softmax over logits has outputs that can be saturated. Only one that
    has dropout, and not in float64, is asked what that does.
    """

    loss: Loss
    saturated_loss: Loss = None
    saturated_loss_clipped: Loss = None
    dropout: list[Dropout] | None = None


class UpdateSteps(Record, frozen=True):
    """Steps as the optimizers counted them."""

    sgd: Count
    adam: Count


class Update(Record, frozen=True):
    """One step of two optimizers."""

    steps: UpdateSteps


class Trajectory(Record, frozen=True):
    """Steps as the optimizer counted them; of the oracle, the first that clipping changed."""

    steps: Count
    clipped_since: Count | None = None


class Consistency(Record, frozen=True):
    """Examples of a large batch (0: not asked), and how many calls had how many distinct results.

    A reference is not asked.
    """

    large: Count = 0
    calls: Count = 0
    distinct: Count = 0


class Nothing(Record, frozen=True):
    """A probe whose answers are all arrays."""


class Facts(Record, frozen=True, omit_defaults=True):
    """By probe; None where it was not asked, or not answered any more."""

    identity: Identity | None = None
    forward: Nothing | None = None
    gradients: Losses | None = None
    update: Update | None = None
    trajectory: Trajectory | None = None
    predictions: Nothing | None = None
    consistency: Consistency | None = None


class State(Record, frozen=True):
    """Values of a model and its optimizer, and the mean loss of its next two steps."""

    weights_sha256: Sha256
    optimizer_sha256: Sha256
    loss: Loss


class Saved(State, frozen=True):
    """Of what was saved; `model_error` says why there is no whole-model file."""

    model_error: Text | None = None


class WholeModel(Record, frozen=True):
    """What came of a whole-model file, and how training would go on from it.

    Where the optimizer could not be read, `optimizer_error` says why, and only the weights are
    there; where nothing could, `error` does.
    """

    weights_sha256: Sha256 | None = None
    optimizer_sha256: Sha256 | None = None
    config: LongText | None = None
    compile_config: LongText | None = None
    jit_compile: bool | None = None
    optimizer_error: Text | None = None
    error: Text | None = None


class Loaded(Record, frozen=True):
    """What came of one backend's files: of the whole model, and of the weights alone."""

    model: WholeModel
    weights: State


class Portability(Record, frozen=True):
    """What a backend saved, and what it loaded of each backend's."""

    saved: Saved
    loaded: dict[Id, Loaded]


class Asked(Record, frozen=True):
    """What must be alike in two answers before they are compared."""

    dataset: Id
    dataset_sha256: Sha256
    batch_size: Positive
    seed: Count
    probes: list[Id]


class Parity(Asked, frozen=True):
    """One subject's answers, or how its worker ended."""

    subject: Subject
    machine: Machine
    status: Id
    error: Text | None
    log: Text | None
    worker: WorkerInfo | None
    facts: Facts
    portability: Portability | None
    arrays_sha256: Sha256 = ""


class Reference(Asked, frozen=True):
    """Answers in float64: the oracle's (`lane` is numpy), or a lane's of the model itself."""

    model: Id
    lane: Id
    status: Id
    error: Text | None
    log: Text | None
    facts: Facts
    arrays_sha256: Sha256 = ""
