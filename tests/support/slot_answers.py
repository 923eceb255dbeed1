"""What a worker says of its slots, for the fakes and the stored runs."""

from typing import Any

COSTS = {
    "parameters": 100,
    "weights_sha256": "a" * 64,
    "jit_compile": False,
    "build_seconds": 0.5,
    "first_step_seconds": 4.0,
    "second_step_seconds": 0.2,
    "forward_flops": 10_000,
    "train_flops": 30_000,
}


def turn(steps: int, seconds: float, one_step_seconds: float | None, **more: Any) -> dict[str, Any]:
    """The answer to a turn, less its own CPU time, where nothing else went on."""
    return {
        "seconds": seconds,
        "one_step_seconds": one_step_seconds,
        "outside_seconds": 0.0,
        "one_step_outside_seconds": 0.0,
        "steps": steps,
        "latencies": [],
        "cpu_seconds": 0.0,
        "minor_faults": 0,
        "compilations": 0,
        "steal_seconds": 0.0,
    } | more
