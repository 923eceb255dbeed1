"""What programs before this one wrote, in the form that this one writes. Files stay as they are."""

from collections.abc import Callable
from typing import Any

SCHEMA = 10

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


def _in_lanes(kind: str, payload: Payload) -> Payload:
    """Schema 6 knew backends as pinned alone."""
    match kind:
        case "plan":
            named = {name: value for name, value in payload.items() if name != "backends"}
            speed, parity = payload["speed"], payload["parity"]
            return named | {
                "lanes": [{"name": backend} for backend in payload["backends"]],
                "cells": [_of_lane(each) for each in payload["cells"]],
                "speed": speed and speed | {"lanes": [_of_lane(each) for each in speed["lanes"]]},
                "parity": parity
                and parity | {"subjects": [_of_lane(each) for each in parity["subjects"]]},
            }
        case "accuracy":
            return _met(payload | {"cell": _of_lane(payload["cell"])})
        case "parity":
            return _met(payload | {"subject": _of_lane(payload["subject"])})
        case "reference":
            return _of_lane(payload)
        case "speed":
            lanes = [_met(lane | {"lane": _of_lane(lane["lane"])}) for lane in payload["lanes"]]
            return payload | {"lanes": lanes}
    return payload


def _of_lane(named: Payload) -> Payload:
    return {"lane" if name == "backend" else name: value for name, value in named.items()}


def _met(payload: Payload) -> Payload:
    worker = payload["worker"]
    return payload | {"worker": worker and worker | {"lane": worker["backend"]}}


def _as_it_is(_: str, payload: Payload) -> Payload:
    """Schema 7 knew no command, 8 no precision of weights, 9 not what a machine is known by."""
    return payload


STEPS: dict[int, Callable[[str, Payload], Payload]] = {
    5: _with_variants,
    6: _in_lanes,
    7: _as_it_is,
    8: _as_it_is,
    9: _as_it_is,
}
OLDEST = min(STEPS)
