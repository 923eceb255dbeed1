"""One file of a run, read as what it is: foreign input. Whatever is wrong is a `ShardError`."""

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.contract.limits import BYTES_A_NUMBER, MAX_ARRAYS, MAX_JSON_BYTES, MAX_RUN_ARRAYS
from bench.contract.migrations import OLDEST, SCHEMA, migrated
from bench.contract.npz import ArrayError, Claim, claims
from bench.contract.parity_schema import Parity, Reference
from bench.contract.schema import Accuracy, Envelope, Images, Plan, Record
from bench.contract.speed_schema import Speed

ZIP_MEMBER = b"PK\1\2"

T = TypeVar("T")


@dataclass
class Room:
    """What the arrays of a run may still take.

    Attributes:
        left: Bytes in memory, where most become float64.
        arrays: How many.
    """

    left: int
    arrays: int = MAX_RUN_ARRAYS

    def enter(self, path: Path, arrays: int) -> None:
        """Whether they will be accepted or not.

        Raises:
            ShardError: They are too many.
        """
        if arrays > self.arrays:
            raise ShardError(f"{path}: more than {MAX_RUN_ARRAYS:,} arrays in its run")
        self.arrays -= arrays

    def take(self, path: Path, wanted: int) -> None:
        """Whatever comes of them.

        Raises:
            ShardError: They are too large.
        """
        if wanted > self.left:
            raise ShardError(
                f"{path}: takes {wanted:,} bytes, and {self.left:,} are left for its run's arrays"
            )
        self.left -= wanted


class ShardError(ValueError):
    """A file that is no good shard; the message says which and why."""


KINDS: Mapping[str, type[Record]] = {
    "plan": Plan,
    "images": Images,
    "accuracy": Accuracy,
    "speed": Speed,
    "parity": Parity,
    "reference": Reference,
}
"""What the payload of each kind of shard is."""


def kind_of(record: Record) -> str:
    """The kind of shard that a record makes."""
    return next(kind for kind, struct in KINDS.items() if type(record) is struct)


def sealed(kind: str, run_id: str, shard_id: str, payload: Mapping[str, Any]) -> bytes:
    """The bytes of a shard, with the hash of all that stands beside it.

    Raises:
        ValueError: The payload holds NaN or infinity.
    """
    content = {
        "schema": SCHEMA,
        "kind": kind,
        "run_id": run_id,
        "shard_id": shard_id,
        "payload": payload,
    }
    content["sha256"] = content_sha256(content)
    return json.dumps(content, allow_nan=False, sort_keys=True, indent=1).encode() + b"\n"


def content_sha256(content: Mapping[str, Any]) -> str:
    """Of a shard without its hash, as canonical JSON."""
    canonical = json.dumps(content, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_envelope(path: Path) -> Envelope:
    """One shard file, checked down to its hash; the payload is not looked into.

    Raises:
        ShardError: The file is damaged, of another schema, or nothing like a shard.
    """
    try:
        content = json.loads(
            _read_bytes(path, MAX_JSON_BYTES).decode("utf-8"),
            parse_constant=_reject_constant,
            object_pairs_hook=_unique_keys,
        )
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}") from error
    except ShardError:
        raise
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{path}: not JSON: {error}") from error
    _check_schema(path, content)
    try:
        envelope = msgspec.convert(content, Envelope)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise ShardError(f"{path}: {error}") from error
    stored = content.pop("sha256")
    try:
        sha256 = content_sha256(content)
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate is no text
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{path}: {error}") from error
    if sha256 != stored:
        raise ShardError(f"{path}: its content does not have the hash that it states")
    if envelope.shard_id != path.stem:
        raise ShardError(f"{path}: this is shard {envelope.shard_id}, under another name")
    return envelope


def payload(path: Path, envelope: Envelope, struct: type[T]) -> T:
    """What the envelope holds, as `struct`.

    Raises:
        ShardError: It is of another form.
    """
    try:
        content = migrated(envelope.kind, envelope.payload, envelope.schema)
    except (LookupError, TypeError, AttributeError) as error:
        raise ShardError(f"{path}: not of schema {envelope.schema}: {error!r}") from error
    try:
        return msgspec.convert(content, struct)
    except (msgspec.ValidationError, ValueError) as error:
        raise ShardError(f"{path}: {error}") from error


def read_arrays(path: Path, sha256: str | None, room: Room) -> dict[str, NDArray[Any]]:
    """The arrays beside a shard.

    Args:
        path: Their file.
        sha256: Its hash, as the shard states it.
        room: What they may take.

    Raises:
        ShardError: They are missing, damaged, too large, no numbers, or not those of the shard.
    """
    try:
        data = _read_bytes(path, room.left)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ShardError(f"{path}: its content does not have the hash that its shard states")
        if data.count(ZIP_MEMBER) > MAX_ARRAYS:
            raise ShardError(f"{path}: more than {MAX_ARRAYS:,} arrays")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            room.enter(path, len(members))
            if len({member.filename for member in members}) != len(members):
                raise ShardError(f"{path}: duplicate array")
            room.take(path, sum(_claimed(path, claim) for claim in claims(archive)))
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror or error}") from error
    except ShardError:
        raise
    except ArrayError as error:
        raise ShardError(f"{path}: {error}") from error
    except Exception as error:
        raise ShardError(f"{path}: not the arrays of a shard: {error}") from error
    return arrays


def check_predictions(path: Path, arrays: Mapping[str, NDArray[Any]], accuracy: Accuracy) -> None:
    """See that the arrays beside an accuracy shard are what it says.

    Probabilities, float32, shape (test examples, classes), and labels, unsigned, shape (test
    examples,).

    Raises:
        ShardError: They are not.
    """
    if not {"probabilities", "labels"} <= arrays.keys():
        raise ShardError(f"{path}: not the arrays of a shard: {', '.join(arrays)}")
    probabilities, labels = arrays["probabilities"], arrays["labels"]
    examples = accuracy.protocol.test_examples
    if probabilities.ndim != 2 or probabilities.dtype != np.float32:
        raise ShardError(f"{path}: probabilities are {probabilities.dtype} {probabilities.shape}")
    if labels.dtype.kind != "u" or labels.shape != (examples,) or len(probabilities) != examples:
        raise ShardError(f"{path}: {labels.shape} labels for {examples} test examples")
    if labels.max() >= probabilities.shape[1]:
        raise ShardError(f"{path}: a label beyond the {probabilities.shape[1]} classes")


def _claimed(path: Path, claim: Claim) -> int:
    """What an array takes."""
    if claim.dtype.kind not in "fiub" or claim.dtype.itemsize > BYTES_A_NUMBER:
        raise ShardError(f"{path}: {claim.name} is {claim.dtype}")
    return claim.elements * BYTES_A_NUMBER


def _read_bytes(path: Path, most: int) -> bytes:
    """Of a plain file: a link may lead anywhere, and a pipe never ends."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ShardError(f"{path}: not a plain file")
    if status.st_size > most:
        raise ShardError(f"{path}: larger than {most:,} bytes")
    return path.read_bytes()


def _check_schema(path: Path, content: object) -> None:
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, int) or schema < 1 or OLDEST <= schema <= SCHEMA:
        return  # what is no schema at all is told by `Envelope`
    if schema > SCHEMA:
        raise ShardError(
            f"{path}: schema {schema} is newer than this program's {SCHEMA}; "
            "use a newer Keras Backend Bench"
        )
    raise ShardError(
        f"{path}: schema {schema} is older than {OLDEST}, the oldest that this program reads; "
        "measure again, or read it with the Keras Backend Bench that wrote it"
    )


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("duplicate key")
    return content
