"""A worker that imports no framework and misbehaves as it is told.

`python -m tests.support.fake_worker BEHAVIOUR -m bench.worker REQUESTS REPLIES`. A behaviour
strikes when training or a turn is asked for; `good` answers like a real worker. `packaged` does
what the package `madeup` says that is installed beside it.
"""

import faulthandler
import importlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.process import wire
from bench.process.parent_death import die_with_parent
from bench.worker.__main__ import _receive
from bench.worker.installed import distributions
from tests.support import slot_answers

EPOCH = {
    "feed_seconds": 2**-14,
    "train_seconds": 2**-13,
    "steal_seconds": 0.0,
    "test_seconds": 2**-14,
    "train_loss": 0.5,
    "train_accuracy": 0.875,
    "test_loss": 0.25,
}


def hello(behaviour: str, installed: dict[str, str]) -> dict[str, Any]:
    backend = os.environ["KERAS_BACKEND"]
    return {
        "backend": "torch" if behaviour == "wrong_backend" else backend,
        "device": "cpu",
        "versions": {"keras": "3.15.1", "numpy": "2.0.0", "python": "3.11.0"}
        | {backend: "2.0.0" if behaviour == "other_version" else "1.0.0"},
        "settings": {"threads": 1 if behaviour == "other_settings" else 2},
        "prefix": "/fake",
        "floatx": "float32",
        "epsilon": 1e-7,
        "image_data_format": "channels_last",
        "import_seconds": 0.001,
        "distributions": installed,
        "installed_mib": 100.0,
    }


def train(request: dict[str, Any], behaviour: str, reply: Any) -> dict[str, Any]:
    import numpy as np

    with np.load(request["model"]["data"]) as data:
        labels, examples = data["y_test"], len(data["y_train"])
    examples = min(request["train_examples"] or examples, examples)
    # Right for 15 of 16 examples.
    answers = np.where(np.arange(len(labels)) % 16, labels, (labels + 1) % 10)
    probabilities = np.full((len(labels), 10), 0.01, np.float32)
    probabilities[np.arange(len(labels)), answers] = 0.91
    if behaviour == "diverged":
        probabilities[:] = np.nan
    if behaviour != "no_predictions":
        np.savez(request["predictions"], probabilities=probabilities)
    test_accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    epochs = []
    for number in range(1, request["epochs"] + 1):
        epochs.append({"epoch": number, "test_accuracy": test_accuracy, **EPOCH})
        no_time = {"train_seconds": 0.0} if behaviour == "epochs_in_no_time" else {}
        reply("event", epochs[-1] | no_time)
    if behaviour == "other_accuracy":
        epochs[-1]["test_accuracy"] += 0.01
    if behaviour == "too_few_epochs":
        del epochs[-1]
    steps = request["epochs"] * -(-examples // request["batch_size"])
    return {
        "parameters": 100,
        "weights_sha256": "a" * 64,
        "batches_sha256": ("c" if behaviour == "other_batches" else "b") * 64,
        "steps": steps - (behaviour == "too_few_steps"),
        "load_seconds": 0.25,
        "build_seconds": 0.5,
        "first_step_seconds": 1.5,
        "second_step_seconds": 0.125,
        "peak_rss_mib": 512.0,
        "jit_compile": False,
        "epochs": epochs,
    }


def prepare(request: dict[str, Any], behaviour: str) -> dict[str, Any]:
    # No machine is fast enough for more in steps as short as ours.
    costs = slot_answers.COSTS | {"forward_flops": 10, "train_flops": 30}
    prepared = []
    for model in request["models"]:
        bad = behaviour == "bad_variant" and model["variant"] != "stock"
        why = "RuntimeError: no compiler" if bad else None
        identity = {"model": model["name"], "variant": model["variant"]}
        prepared.append(identity | {"error": why, "costs": None if bad else costs})
    return {"preparations": prepared}


def describe(_: dict[str, Any]) -> dict[str, Any]:
    """A classifier of images, as the shipped models are."""
    weight = {"path": "output/kernel", "sha256": "d" * 64, "random": True, "drawn": True}
    return {
        "inputs": [{"name": "image", "shape": [28, 28, 1], "dtype": "float32", "values": None}],
        "outputs": [
            {
                "name": "output",
                "shape": [10],
                "dtype": "float32",
                "loss": "categorical_crossentropy",
            }
        ],
        "chosen": "",
        "classes": 10,
        "batch": None,
        "rows": [],
        "weights": [weight],
    }


def turn(request: dict[str, Any], slowdown: float) -> dict[str, Any]:
    """Samples so short that even this worker has not answered sooner."""
    steps, step_seconds = request["steps"], slowdown * 1e-6
    workload = request["workload"]
    latency = (workload["phase"], workload["batch_size"]) == ("predict", 1)
    latencies = [step_seconds] * steps if latency else []
    one = None if latency else step_seconds
    told = slot_answers.turn(steps, steps * step_seconds, one, latencies=latencies)
    return told | {"turn_cpu_seconds": time.process_time()}


SLOTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "describe": describe,
    "warm_up": lambda _: {"steps": 24, "seconds": 0.001, "steady": True},
    "calibrate": lambda _: {"steps": 8},
    "usage": lambda _: {"peak_rss_mib": 512.0},
}


BAD = {
    "bad_model": {"type": "ModelError", "message": "mine: build() raises ValueError: no"},
    "bad_data": {"type": "DataError", "message": "x of shape 8x8x1 does not fit the model"},
}


def consistent() -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts and arrays of P9 from a backend that always gives the same."""
    import numpy as np

    ways = ("whole", "parts", "first", "farthest", "eager")
    arrays: dict[str, Any] = {f"{way}.output0": np.eye(3) for way in ways}
    arrays |= {f"{way}.gradient0": np.ones(4) for way in ways[:-1]}
    return {"large": 4096, "calls": 200, "distinct": 1}, arrays


class FakeProbes:
    """The oracle's own answers, rounded: a backend without a fault but that of float32."""

    def __init__(self, request: dict[str, Any], behaviour: str) -> None:
        import numpy as np

        from bench.coordinator.parity.oracle_answers import Reference

        model = request["model"]
        with np.load(model["data"]) as data:
            arrays = {name: data[name] for name in data.files}
        self.behaviour = behaviour
        self.reference = Reference(model["name"], request["seed"], request["batch_size"], arrays)

    def probe(self, request: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        facts, arrays = self.reference.answer(request["probe"])
        if request["probe"] == "consistency":
            facts, arrays = consistent()
        facts.pop("weights", None)
        facts.pop("saturated_loss_clipped", None)
        if request["probe"] == "identity":
            facts |= OWN | {"settings": {}}
        answered = {
            name: array.astype(np.float32)
            for name, array in arrays.items()
            if "_clipped" not in name and name != "logits"
        }
        if request["probe"] == "gradients" and self.behaviour == "other_gradient":
            answered["gradient0"] *= 1.001
        if request["probe"] == "forward" and self.behaviour == "wrong_past_32768":
            for array in answered.values():
                array.reshape(-1)[32768:] *= 1.01
        np.savez(request["arrays"], **answered)  # type: ignore[arg-type]
        return facts


OWN = {"config": "{}", "compile_config": "{}", "jit_compile": False}
HASHES = {"weights_sha256": "e" * 64, "optimizer_sha256": "f" * 64}
STATE = HASHES | {"loss": 0.5}
WHOLE_MODEL = HASHES | OWN | {"optimizer_error": None}


def strike(behaviour: str, replies: int) -> None:
    """Do what ends or spoils a conversation; return if the behaviour is of another kind."""
    match behaviour:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit_0" | "exit_3":
            os._exit(int(behaviour[-1]))
        case "dies_building":
            os._exit(3)
        case "closes_pipe":
            os.close(replies)
            signal.pause()
        case "hang":
            signal.pause()
        case "ignores_sigterm":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        case "grandchild":
            if os.fork():
                os._exit(0)
            os.set_inheritable(replies, True)
            signal.pause()
        case "garbage":
            os.write(replies, b"\x1b[31m<script>\xff\n")
        case "long_line":
            os.set_blocking(replies, True)
            for _ in range(3):
                os.write(replies, b"x" * wire.MAX_LINE_BYTES)
        case "wrong_id":
            os.write(replies, wire.encode({"id": 99, "result": {}}))
        case "not_an_object":
            os.write(replies, b"[1, 2]\n")
        case "unknown_message":
            os.write(replies, wire.encode({"id": 1, "what": {}}))
        case "partial_line":
            os.write(replies, b'{"id": 2, "res')
            os._exit(0)
        case "flood":
            for _ in range(200):
                os.write(1, b"noise " * 10_000)


def main() -> None:
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    die_with_parent()
    behaviour, requests, replies = sys.argv[1], int(sys.argv[-2]), int(sys.argv[-1])
    installed = {"package": behaviour} if behaviour.startswith("has_") else {}
    if behaviour == "packaged":
        behaviour, installed = importlib.import_module("madeup").BEHAVIOUR, distributions()
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    stream = os.fdopen(requests, "rb")
    threading.Thread(target=_receive, args=(stream, inbox), daemon=True).start()
    print("a framework's chatter")
    Path(os.environ["KERAS_HOME"], "keras.json").touch()
    while True:
        request = wire.decode(inbox.get())

        def reply(kind: str, value: dict[str, Any], number: int = request["id"]) -> None:
            os.write(replies, wire.encode({"id": number, kind: value}))

        if request["call"] == "hello":
            if behaviour == "no_keras":
                reply(
                    "error", {"type": "ModuleNotFoundError", "message": "No module named 'keras'"}
                )
            else:
                reply("result", hello(behaviour, installed))
            continue
        if request["call"] == "describe" and behaviour == "batches_of_20":
            reply("result", describe({}) | {"batch": 20})
            continue
        if request["call"] == "describe":
            strike(behaviour if behaviour == "dies_building" else "good", replies)
        if request["call"] == "describe" and behaviour in BAD:
            reply("error", BAD[behaviour])
            continue
        if request["call"] == "prepare":
            if behaviour == "hangs_preparing":
                signal.pause()
            reply("result", prepare(request["arguments"], behaviour))
            continue
        if request["call"] == "turn":
            strike(behaviour, replies)
            reply("result", turn(request["arguments"], 1.07 if behaviour == "slower" else 1.0))
            continue
        if request["call"] in SLOTS:
            reply("result", SLOTS[request["call"]](request["arguments"]))
            continue
        match request["call"]:
            case "open_probes":
                probes = FakeProbes(request["arguments"], behaviour)
                reply("result", {})
                continue
            case "probe":
                strike(behaviour, replies)
                reply("result", probes.probe(request["arguments"]))
                continue
            case "save":
                reply("result", STATE)
                continue
            case "load":
                reply("result", {"model": WHOLE_MODEL, "weights": STATE})
                continue
        strike(behaviour, replies)
        if behaviour == "raises":
            reply("error", {"type": "ValueError", "message": "bad", "traceback": "line 7"})
        else:
            reply("result", train(request["arguments"], behaviour, reply))


if __name__ == "__main__":
    main()
