"""What a piece is: everything that a node must know to do it, as a file whose hash is its name."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal, Self

import msgspec

from bench.contract.errors import DataError

SCHEMA = 1

Kind = Literal["greeting", "parity", "speed", "accuracy"]


@dataclass(frozen=True)
class Unit:
    """A piece of a run.

    Attributes:
        kind: What is done: nodes are greeted, a model climbs the ladder in all lanes, launches are
            made of all lanes, or a cell is trained.
        part: Id of the cell, name of the model, or how many launches there are already.
        run: The run's id.
        plan_sha256: Of its plan.
        inputs: Hashes of the archives that hold plan, data and models, and earlier launches.
        environments: What is installed for each lane, as `greeting.environment` hashes it.
        workers: Interpreters that are not where nox puts them, as `--worker` takes them.
        elsewhere: Id of the machine that makes launches, where that is not the run's own.
        schema: Of this file.
    """

    kind: Kind
    part: str
    run: str
    plan_sha256: str
    inputs: tuple[str, ...]
    environments: dict[str, str] = field(default_factory=dict)
    workers: tuple[str, ...] = ()
    elsewhere: str = ""
    schema: int = SCHEMA

    @property
    def content(self) -> bytes:
        """The file, always the same bytes."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode() + b"\n"

    @property
    def name(self) -> str:
        """SHA-256 of its content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def title(self) -> str:
        """What a person calls it."""
        if self.kind == "speed":
            where = f" on {self.elsewhere[:8]}" if self.elsewhere else ""
            return f"launches after {self.part}{where}"
        return f"{self.kind} {self.part}".strip()

    @property
    def is_timing(self) -> bool:
        """Whether it must have its machine alone."""
        return self.kind == "speed"

    @classmethod
    def read(cls, content: bytes) -> Self:
        """The unit of a file.

        Raises:
            DataError: It is none, or of another program.
        """
        try:
            found = msgspec.json.decode(content, type=cls, strict=True)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise DataError(f"not a unit of a farm: {error}") from error
        if found.schema != SCHEMA or found.content != content:
            raise DataError(f"a unit of schema {found.schema}, where {SCHEMA} is wanted")
        return found
