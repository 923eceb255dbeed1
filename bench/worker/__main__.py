"""`python -m bench.worker REQUESTS REPLIES`: does what the coordinator asks, in one backend.

The two numbers are inherited pipe ends. The parent has set `KERAS_BACKEND` and all that
belongs to it; Keras is imported by the first request, `hello`, and nowhere else before.
"""

import faulthandler
import importlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bench.contract.errors import in_one_line
from bench.contract.units import (
    ModelRequest,
    ProbesRequest,
    SlotsRequest,
    TrainingRequest,
    Workload,
)
from bench.process import wire
from bench.process.parent_death import die_with_parent
from bench.process.system import usable_cores
from bench.worker import allocator

if TYPE_CHECKING:
    from bench.worker.parity.probes import Probes
    from bench.worker.slots import Slots

Emit = Callable[[dict[str, Any]], None]

_slots: "Slots"
_probes: "Probes"


def hello(arguments: dict[str, Any], _: Emit) -> dict[str, Any]:
    """Import Keras and say who this is: backend, device, versions, interpreter, defaults.

    The lane's precision is that of every model that is built from now on, and of nothing else.
    """
    allocator_state = allocator.settle()
    start = time.perf_counter()
    import keras

    import_seconds = time.perf_counter() - start
    _module("model.precision").of_lane(arguments.get("precision", ""))
    backend = keras.backend.backend()
    loop = importlib.import_module(f"bench.worker.loops.{backend}")
    return {
        "backend": backend,
        "device": loop.device(),
        # As the modules say it: the distribution may be tensorflow-cpu, or a nightly build.
        "versions": {
            name: str(importlib.import_module(name).__version__)
            for name in ("keras", "numpy", backend)
        }
        | {"python": sys.version.split()[0]},
        "settings": loop.settings() | {"cores": usable_cores(), "allocator": allocator_state},
        "prefix": sys.prefix,
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
        "import_seconds": import_seconds,
        "distributions": _module("installed").distributions(),
        "installed_mib": _module("installed").mebibytes(),
    }


def prepare(arguments: dict[str, Any], _: Emit) -> dict[str, Any]:
    """Make everything ready for slots; see `bench.worker.slots`."""
    from bench.worker.slots import Slots

    global _slots
    models = [ModelRequest(**model) for model in arguments.pop("models")]
    _slots = Slots(SlotsRequest(models, **arguments))
    return {"preparations": _slots.prepare()}


def open_probes(arguments: dict[str, Any], _: Emit) -> None:
    """Build a model for the parity ladder; see `bench.worker.parity.probes`."""
    from bench.worker.parity.probes import Probes

    global _probes
    _probes = Probes(ProbesRequest(**_with_model(arguments)))


def probe(arguments: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Answer one probe: facts at once, arrays in a file."""
    import numpy as np

    facts, arrays = _probes.answer(arguments["probe"], alive=lambda: emit({}))
    np.savez(arguments["arrays"], **arrays)  # type: ignore[arg-type]
    return facts


def share(arguments: dict[str, Any], _: Emit) -> None:
    """Write the weights that this backend shares with the others."""
    model = ModelRequest(**arguments.pop("model"))
    _module("model.description").share(model, **arguments)


CALLS: dict[str, Callable[[dict[str, Any], Emit], dict[str, Any] | None]] = {
    "hello": hello,
    "describe": lambda told, _: _module("model.description").describe(ModelRequest(**told)),
    "share": share,
    "enable_float64": lambda *_: _module("parity.float64").enable_float64(),
    "train": lambda told, emit: _module("training").train(
        TrainingRequest(**_with_model(told)), emit
    ),
    "prepare": prepare,
    "warm_up": lambda told, _: _slots.warm_up(_workload(told), told["steps"]),
    "calibrate": lambda told, _: _slots.calibrate(_workload(told), told["seconds"]),
    "turn": lambda told, _: _slots.turn(_workload(told), told["steps"], told["slot_first"]),
    "usage": lambda *_: _slots.usage(),
    "open_probes": open_probes,
    "probe": probe,
    "train_reference": lambda told, _: _probes.write_trained(Path(told["trained"])),
    "save": lambda told, _: _probes.save(Path(told["folder"])),
    "load": lambda told, _: _probes.load(Path(told["folder"])),
}
"""What can be asked, by name: from arguments and a way to emit events to a result."""


def _module(name: str) -> Any:
    """A module that imports Keras, which nothing does before `hello`."""
    return importlib.import_module(f"bench.worker.{name}")


def _workload(told: dict[str, Any]) -> Workload:
    return Workload(**told["workload"])


def _with_model(arguments: dict[str, Any]) -> dict[str, Any]:
    return {**arguments, "model": ModelRequest(**arguments["model"])}


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until they end."""
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    while True:
        request = wire.decode(inbox.get())

        def reply(kind: str, value: dict[str, Any], number: int = request["id"]) -> None:
            replies.write(wire.encode({"id": number, kind: value}))

        def emit(event: dict[str, Any], reply: Callable[..., None] = reply) -> None:
            reply("event", event)

        try:
            reply("result", CALLS[request["call"]](request["arguments"], emit) or {})
        except Exception as error:  # noqa: BLE001 - whatever it is, the coordinator is told
            reply(
                "error",
                {
                    "type": type(error).__name__,
                    "message": _message(error),
                    "traceback": traceback.format_exc()[-20_000:],
                },
            )


def _message(error: Exception) -> str:
    """What the error says in one line; for one that says nothing, the line that raised it."""
    said = in_one_line(error)[:500]
    return said or f"at {traceback.extract_tb(error.__traceback__)[-1].line}"


def _receive(requests: IO[bytes], inbox: "queue.SimpleQueue[bytes]") -> None:
    """Take requests; when they end the coordinator is done or dead: leave, whatever runs."""
    while line := requests.readline(wire.MAX_LINE_BYTES + 1):
        inbox.put(line)
    os._exit(0)


def main() -> None:
    """Serve on the pipe ends that were inherited."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    die_with_parent()
    requests, replies = (int(number) for number in sys.argv[1:3])
    for descriptor in (requests, replies):
        os.set_inheritable(descriptor, False)
    serve(os.fdopen(requests, "rb"), os.fdopen(replies, "wb", buffering=0))


if __name__ == "__main__":
    main()
