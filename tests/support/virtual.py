"""Workers on a virtual clock: all lanes run on one made-up machine whose speed is scripted."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.contract.errors import WorkerError
from bench.contract.units import Lane
from tests.support import slot_answers


@dataclass
class Machine:
    """A machine that every 30 to 90 virtual seconds changes between two speeds, 1 and 1.4.

    Attributes:
        step_seconds: True seconds of a step by lane name, at the faster speed.
        call_seconds: What each call costs beside its steps.
        launch_sd: Spread of the log of a worker's own speed, drawn once per worker.
        noise_sd: Spread of the log of a call's seconds.
        seed: Of all that is random.
        fails: Lane name to the calls of `turn` after which it dies, one entry per worker of it.
        shortfall: Lane name to steps that its slots leave out.
        says: Lane name and call to what alters the answer.
    """

    step_seconds: dict[str, float]
    call_seconds: float = 0.05
    launch_sd: float = 0.02
    noise_sd: float = 0.05
    seed: int = 0
    fails: dict[str, list[int]] = field(default_factory=dict)
    shortfall: dict[str, int] = field(default_factory=dict)
    says: dict[tuple[str, str], Callable[[dict[str, Any]], object]] = field(default_factory=dict)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.slow, self.until = False, 0.0
        self.calls: list[tuple[str, str]] = []
        self.turns: list[tuple[str, dict[str, Any], bool]] = []

    def spend(self, seconds: float) -> float:
        """Let work of so many seconds (at the faster speed) happen; give the time it took."""
        while self.now >= self.until:
            self.slow = not self.slow
            self.until += self.random.uniform(30, 90)
        taken = seconds * (1.4 if self.slow else 1.0) * self.random.lognormvariate(0, self.noise_sd)
        self.now += taken
        return taken


class VirtualWorker:
    """Stands in for `bench.process.worker_process.Worker`."""

    machine: Machine
    sleeper: int

    def __init__(self, lane: Lane, _: float) -> None:
        machine = self.machine
        self.lane, self.pid = lane, self.sleeper
        self.step = machine.step_seconds[lane.id] * machine.random.lognormvariate(
            0, machine.launch_sd
        )
        lives = machine.fails.get(lane.id, [])
        self.turns_left = lives.pop(0) if lives else 10**9

    def __enter__(self) -> "VirtualWorker":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def kill(self) -> None:
        pass

    def greet(self) -> dict[str, Any]:
        versions = {"keras": "3.15.1", "numpy": "2.0.0", "python": "3.11.0"}
        return {
            "backend": self.lane.backend,
            "device": "cpu",
            "versions": versions | {self.lane.backend: "1.0"},
            "settings": {},
            "prefix": "/virtual",
            "floatx": "float32",
            "epsilon": 1e-7,
            "image_data_format": "channels_last",
            "import_seconds": 0.5,
        }

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        told = self._answer(name, arguments)
        if alter := self.machine.says.get((self.lane.id, name)):
            alter(told)
        return told

    def _answer(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        machine = self.machine
        machine.calls.append((self.lane.id, name))
        match name:
            case "prepare":
                machine.spend(5)
                kinds = [(model["name"], model["variant"]) for model in arguments["models"]]
                return {
                    "preparations": [
                        {
                            "model": name,
                            "variant": variant,
                            "error": None,
                            "costs": slot_answers.COSTS,
                        }
                        for name, variant in kinds
                    ]
                }
            case "warm_up":
                return {"steps": 24, "seconds": machine.spend(24 * self.step), "steady": True}
            case "calibrate":
                return {"steps": 8}
            case "usage":
                return {"peak_rss_mib": 512.0}
        if self.turns_left == 0:
            raise WorkerError("crashed", f"{self.lane.id}: killed by SIGSEGV", "stack")
        self.turns_left -= 1
        steps, workload = arguments["steps"], arguments["workload"]
        machine.turns.append((self.lane.id, workload, arguments["slot_first"]))
        machine.now += 0.02  # outside of the steps
        latency = (workload["phase"], workload["batch_size"]) == ("predict", 1)
        one = None if latency else machine.spend(machine.call_seconds + self.step)
        done = steps - machine.shortfall.get(self.lane.id, 0)
        told = slot_answers.turn(
            done,
            machine.spend(machine.call_seconds + steps * self.step),
            one,
            outside_seconds=0.01,
            one_step_outside_seconds=0.01,
            cpu_seconds=0.1,
            latencies=[self.step] * done if latency else [],
        )
        return told | {"turn_cpu_seconds": 0.0}
