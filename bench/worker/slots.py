"""Slots in a worker: short, timed, repeated pieces of training, evaluation and prediction.

Every turn starts from the same weights and sees the same examples, so all turns of a workload
are the same work. A turn is two calls, one of a single step and the slot, of many steps, because
each call of `fit` has a price of its own (0.1 s under TensorFlow, nearly nothing under torch):
from the two the report tells that price and the seconds of a step apart.

The clock runs from the begin of the epoch to its end, which callbacks tell, and not around the
call: at the end of a call TensorFlow destroys the iterator of tf.data, and that waits for the
autotuner, which looks up after 10, 30, 70, 150, 310, 630 ms and so on. So a slot of 0.41 s lasted
0.41 s or 0.72 s with both cores idle. What a call takes beside its steps is recorded on its own.
"""

import math
import resource
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from bench.contract.units import ModelRequest, SlotsRequest, Workload
from bench.contract.variants import STOCK
from bench.inputs import draws
from bench.process import steal
from bench.worker.loops.input_pipeline import leaves, sliced
from bench.worker.loops.step_clock import StepClock
from bench.worker.model import building, flops
from bench.worker.model.building import Built
from bench.worker.model.candidate import Candidate, build
from bench.worker.model.initial_weights import as_given, initial
from bench.worker.training import first_steps, peak_rss_mib

MIN_STEPS, MAX_STEPS, MAX_EXAMPLES, MAX_BYTES = 4, 1024, 65_536, 1 << 28
LEAST_GROWTH = 2.5
# Warm-up: at least so many steps, and until a window of steps is no longer faster than the best
# before it by more than this share.
WARM_UP_STEPS = 10
WARM_UP_SECONDS = 30.0
WINDOW_STEPS = 5
AGREEMENT = 0.05


Key = tuple[str, str]
"""Model and variant."""


class Slots:
    """The models of one worker, built and compiled, with the data of their slots."""

    def __init__(self, request: SlotsRequest) -> None:
        """Load the data; nothing is built yet.

        Raises:
            DataError: The dataset is not the one whose hash was sent.
        """
        self._request = request
        first = {model.name: model for model in reversed(request.models)}
        self._examples = {name: building.examples(one)["train"] for name, one in first.items()}
        self._candidates: dict[Key, Candidate] = {}
        self._fed: dict[str, tuple[Any, Any]] = {}
        self._placed: dict[tuple[Key, int], tuple[Any, Any]] = {}
        self._outside_seconds = 0.0
        self._best_window: dict[Workload, float] = {}

    def prepare(self) -> list[dict[str, Any]]:
        """Build every model in its variants and take its first steps, which are timed and undone.

        Returns:
            For each what the schema's `Preparation` says; of a variant that cannot be prepared, as
            one that cannot be compiled, `error` and nothing else. What Keras ships
            has to be there.
        """
        request = self._request
        return [
            self._prepared(model, phases)
            for model, phases in zip(request.models, request.phases, strict=True)
        ]

    def warm_up(self, workload: Workload, steps_of_slot: int) -> dict[str, Any]:
        """Repeat the workload until it gets no faster, or for `WARM_UP_SECONDS`.

        Args:
            workload: What to repeat.
            steps_of_slot: Steps that its slots will have; 0 if that is still open.

        Returns:
            `steps`, `seconds` and `steady`.
        """
        start = time.perf_counter()
        steps, best, steady = 0, math.inf, False
        # The examples are made here, so that no turn pays for it.
        self._feed(workload.model, workload.batch_size * max(WINDOW_STEPS, steps_of_slot))
        with self._untouched(workload):
            if steps_of_slot:
                self._compile_turn(workload, steps_of_slot)
            begun = time.perf_counter()  # a slow machine may have compiled for longer than that
            while not steady and (not steps or time.perf_counter() - begun < WARM_UP_SECONDS):
                compiled = self._compilations(workload)
                window = self._call(workload, WINDOW_STEPS)
                steps += WINDOW_STEPS
                # Noise makes a window slower as often as not, warming up only ever faster: so
                # the newest is compared with the best, and only a gain counts.
                steady = (
                    steps >= WARM_UP_STEPS
                    and self._compilations(workload) == compiled
                    and window > (1 - AGREEMENT) * best
                )
                best = min(best, window)
        self._best_window[workload] = best
        return {"steps": steps, "seconds": time.perf_counter() - start, "steady": steady}

    def calibrate(self, workload: Workload, seconds: float) -> dict[str, Any]:
        """Choose how many steps make a slot.

        Returns:
            `steps`: the first power of two that lasts so many seconds beyond a single step and is
            well above it, as long as its examples are not too many. The warm-up has told how long
            a step is about, or a little more, for the price of a call is in it.
        """
        size, steps = workload.batch_size, MIN_STEPS
        window = self._best_window[workload] / WINDOW_STEPS
        with self._untouched(workload):
            one = min(self._call(workload, 1) for _ in range(2))
            while 2 * steps * window < seconds and self._may_double(workload, steps):
                steps *= 2
            while True:
                self._feed(workload.model, size * steps)
                compiled = self._compilations(workload)
                slot = self._call(workload, steps)
                if self._compilations(workload) != compiled:
                    slot = self._call(workload, steps)
                long_enough = slot - one >= seconds and slot >= LEAST_GROWTH * one
                if long_enough or not self._may_double(workload, steps):
                    return {"steps": steps}
                steps *= 2

    def turn(self, workload: Workload, steps: int, slot_first: bool) -> dict[str, Any]:
        """One turn of a lane.

        Args:
            workload: What to do.
            steps: How many steps (or calls, for latency) the slot has.
            slot_first: Whether the slot comes before the call of one step. The first call finds
                caches that are cold and threads that sleep, so the two take turns at it.

        Returns:
            `seconds` of the slot's steps and `one_step_seconds` of the other call, by a
            monotonic clock, until the last step has really been done; `outside_seconds` and
            `one_step_outside_seconds` that the calls took beside their steps; `steps` as the
            optimizer counted them; of both calls `cpu_seconds` of the process, `minor_faults`,
            `compilations`, and `steal_seconds` that the hypervisor took from all our cores;
            `latencies` of each call, for latency alone; `turn_cpu_seconds` of all that this
            turn did, timed or not.
        """
        begun = time.process_time()
        with self._untouched(workload):
            before = self._counters(workload)
            if workload.is_latency:
                timed = self._latency_turn(workload, steps)
            else:
                timed = {}
                for is_slot in (slot_first, not slot_first):
                    timed |= self._timed(workload, steps if is_slot else 1, is_slot)
            after = self._counters(workload)
        return timed | {
            # A counter of the kernel's may step back.
            **{name: max(0, after[name] - before[name]) for name in after},
            "turn_cpu_seconds": time.process_time() - begun,
        }

    def usage(self) -> dict[str, Any]:
        """`peak_rss_mib` of the process so far."""
        return {"peak_rss_mib": peak_rss_mib()}

    def _prepared(self, request: ModelRequest, phases: Sequence[str]) -> dict[str, Any]:
        identity = {"model": request.name, "variant": request.variant}
        try:
            return identity | {"error": None, "costs": self._prepare(request, phases)}
        except Exception as error:
            if request.variant == STOCK:
                raise
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:1000]}"
            return identity | {"error": said, "costs": None}

    def _prepare(self, request: ModelRequest, phases: Sequence[str]) -> dict[str, Any]:
        keras.utils.set_random_seed(self._request.seed)
        examples = self._examples[request.name]
        start = time.perf_counter()
        candidate = build(request, examples.take(slice(1)))
        build_seconds = time.perf_counter() - start
        model = candidate.built.model
        given = initial(model, self._request.seed, request)
        candidate.set_weights(given)
        held = as_given(model, candidate.get_weights(), given)
        weights_sha256 = draws.arrays_sha256(held)
        key = request.name, request.variant
        self._candidates[key] = candidate
        size = self._request.batch_size
        x, y = self._feed(request.name, size)
        first, second = first_steps(candidate, x, y)
        if "evaluate" in phases:  # whatever fails shall fail here
            candidate.evaluate(*self._place(key, size), size)
        if "predict" in phases:
            candidate.predict(self._place(key, size)[0], size)
        loop = candidate.loop
        with candidate.state_restored():  # counting is a step, too
            forward = flops.forward(model) or loop.forward_flops(model, x)
            train = flops.train(model) or loop.train_flops(model, x, y)
        return {
            "parameters": model.count_params(),
            "weights_sha256": weights_sha256,
            "jit_compile": candidate.jit_compile,
            "build_seconds": build_seconds,
            "first_step_seconds": first,
            "second_step_seconds": second,
            "forward_flops": forward,
            "train_flops": train,
        }

    def _feed(self, name: str, count: int) -> tuple[Any, Any]:
        """Inputs and targets of the first `count` examples, repeated where there are fewer."""
        if name not in self._fed or len(leaves(self._fed[name][0])[0]) < count:
            built, examples = self._built(name), self._examples[name].repeated(count)
            self._fed[name] = built.x(examples), built.y(examples)
        x, y = self._fed[name]
        few = slice(count)
        return sliced(x, few), sliced(y, few)

    def _place(self, key: Key, count: int) -> tuple[Any, Any]:
        """The same as a candidate takes them."""
        if (key, count) not in self._placed:
            x, y = self._feed(key[0], count)
            candidate = self._candidates[key]
            self._placed[key, count] = candidate.inputs(x), candidate.targets(y)
        return self._placed[key, count]

    def _built(self, name: str) -> Built:
        """Any variant's: all are fed alike."""
        return next(each.built for (model, _), each in self._candidates.items() if model == name)

    def _timed(self, workload: Workload, steps: int, is_slot: bool) -> dict[str, Any]:
        """One of the two calls of a turn."""
        candidate = self._candidate(workload)
        outside, done = self._outside_seconds, candidate.steps
        seconds = self._call(workload, steps)
        outside = self._outside_seconds - outside
        if not is_slot:
            return {"one_step_seconds": seconds, "one_step_outside_seconds": outside}
        if workload.phase == "train":
            steps = candidate.steps - done
        return {"seconds": seconds, "outside_seconds": outside, "steps": steps, "latencies": []}

    def _latency_turn(self, workload: Workload, calls: int) -> dict[str, Any]:
        latencies = self._latencies(workload, calls)
        return {
            "one_step_seconds": None,
            "one_step_outside_seconds": 0.0,
            "seconds": sum(latencies),
            "outside_seconds": 0.0,
            "steps": calls,
            "latencies": latencies,
        }

    def _compile_turn(self, workload: Workload, steps: int) -> None:
        """Have a turn's two calls made once: a loop over an epoch is compiled for its steps."""
        for count in (1, steps):
            self._call(workload, count)

    def _untouched(self, workload: Workload) -> AbstractContextManager[None]:
        """Training is undone afterwards: the next turn shall do the same work."""
        return (
            self._candidate(workload).state_restored()
            if workload.phase == "train"
            else nullcontext()
        )

    def _counters(self, workload: Workload) -> dict[str, Any]:
        return {
            "cpu_seconds": time.process_time(),
            "minor_faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt,
            "compilations": self._compilations(workload),
            "steal_seconds": steal.taken_seconds(),
        }

    def _call(self, workload: Workload, steps: int) -> float:
        """Seconds of the steps of one call; what the call takes beside them is added up apart."""
        if workload.is_latency:
            return sum(self._latencies(workload, steps))
        candidate, size = self._candidate(workload), workload.batch_size
        x, y = self._place((workload.model, workload.variant), size * steps)
        clock = StepClock(candidate.loop.wait, self._request.slowdown)
        start = time.perf_counter()
        match workload.phase:
            case "train":
                candidate.fit(x, y, size, clock)
            case "evaluate":
                candidate.evaluate(x, y, size, clock)
            case _:
                candidate.predict(x, size, clock)
        self._outside_seconds += time.perf_counter() - start - clock.seconds
        return clock.seconds

    def _latencies(self, workload: Workload, calls: int) -> list[float]:
        candidate = self._candidate(workload)
        x, _ = self._feed(workload.model, calls)
        seconds = []
        for one in [sliced(x, slice(index, index + 1)) for index in range(calls)]:
            start = time.perf_counter()
            candidate.predict_one(one)  # gives NumPy arrays
            seconds.append(time.perf_counter() - start)
        return seconds

    def _compilations(self, workload: Workload) -> int:
        return self._candidate(workload).compilations()

    def _may_double(self, workload: Workload, steps: int) -> bool:
        x, y = self._feed(workload.model, 1)
        examples = 2 * steps * workload.batch_size
        size = sum(array.nbytes for array in (*leaves(x), *leaves(y)))
        return steps < MAX_STEPS and examples <= MAX_EXAMPLES and examples * size <= MAX_BYTES

    def _candidate(self, workload: Workload) -> Candidate:
        return self._candidates[workload.model, workload.variant]
