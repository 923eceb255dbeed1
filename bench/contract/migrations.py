"""What programs before this one wrote, in the form that this one writes. Files stay as they are."""

from collections.abc import Callable
from typing import Any

SCHEMA = 6

Payload = dict[str, Any]


def migrated(kind: str, payload: Payload, schema: int) -> Payload:
    """A payload of an older schema in today's form.

    Args:
        kind: Of its shard.
        payload: As it was read; it may be of any form, and stays as it is.
        schema: Not older than `OLDEST`.

    Raises:
        LookupError, TypeError, AttributeError: It does not have the form of its schema.
    """
    for step in range(schema, SCHEMA):
        payload = STEPS[step](kind, payload)
    return payload


def _with_variants(kind: str, payload: Payload) -> Payload:
    """Schema 5 knew Keras as shipped alone, and a preparation that failed was none."""
    match kind:
        case "plan":
            return payload | {"variants": ["stock"]}
        case "speed":
            return payload | {"lanes": [_prepared(lane) for lane in payload["lanes"]]}
    return payload


def _prepared(lane: Payload) -> Payload:
    told = [
        {
            "model": each["model"],
            "variant": "stock",
            "error": None,
            "costs": {name: value for name, value in each.items() if name != "model"},
        }
        for each in lane["preparations"]
    ]
    return lane | {"preparations": told}


STEPS: dict[int, Callable[[str, Payload], Payload]] = {5: _with_variants}
OLDEST = min(STEPS)
