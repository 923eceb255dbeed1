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

import importlib
import math
import resource
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from bench import building, flops, order, steal
from bench.building import Built
from bench.feed import leaves, sliced
from bench.training import first_steps, peak_rss_mib, weights_kept
from bench.weights import set_initial_weights
from bench.workload import ModelRequest, SlotsRequest, Workload

MIN_STEPS, MAX_STEPS, MAX_EXAMPLES, MAX_BYTES = 4, 1024, 65_536, 1 << 28
LEAST_GROWTH = 2.5
# Warm-up: at least so many steps, and until a window of steps is no longer faster than the best
# before it by more than this share.
WARM_UP_STEPS = 10
WARM_UP_SECONDS = 30.0
WINDOW_STEPS = 5
AGREEMENT = 0.05


class StepClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Times the steps of one call, from before the first until the last has really been done.

    It can work on for a share of that time, as slower code would: `bench.selfcheck` does so. It
    listens to no batch, which would end Keras's asynchronous dispatch on JAX and torch.

    Attributes:
        seconds: The result, after the call.
    """

    def __init__(self, wait: Callable[[], None], slowdown: float) -> None:
        """Time with `wait`, which returns when all that was dispatched is done."""
        super().__init__()
        self._wait = wait
        self._slowdown = slowdown
        self._start = self.seconds = math.nan

    def _begin(self, *_: object) -> None:
        self._start = time.perf_counter()

    def _end(self, *_: object) -> None:
        self._wait()
        self.seconds = needed = time.perf_counter() - self._start
        while self.seconds < self._slowdown * needed:
            self.seconds = time.perf_counter() - self._start

    on_epoch_begin = on_test_begin = on_predict_begin = _begin
    on_epoch_end = on_test_end = on_predict_end = _end


class Slots:
    """The models of one worker, built and compiled, with the data of their slots."""

    def __init__(self, request: SlotsRequest) -> None:
        """Load the data; nothing is built yet.

        Raises:
            DataError: The dataset is not the one whose hash was sent.
        """
        self._request = request
        self._examples = {model.name: building.examples(model)["train"] for model in request.models}
        self._built: dict[str, Built] = {}
        self._fed: dict[str, tuple[Any, Any]] = {}
        self._outside_seconds = 0.0
        self._loop = importlib.import_module(f"bench.loops.{keras.backend.backend()}")

    def prepare(self) -> list[dict[str, Any]]:
        """Build every model and take its first steps, which are timed and undone.

        Returns:
            For each model what `reports.speed_schema.Preparation` says.
        """
        return [self._prepare(model) for model in self._request.models]

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
            while not steady and time.perf_counter() - start < WARM_UP_SECONDS:
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
        return {"steps": steps, "seconds": time.perf_counter() - start, "steady": steady}

    def calibrate(self, workload: Workload, seconds: float) -> dict[str, Any]:
        """Choose how many steps make a slot.

        Returns:
            `steps`: the first power of two that lasts so many seconds beyond a single step and is
            well above it, as long as its examples are not too many.
        """
        size = workload.batch_size
        self._feed(workload.model, size * MIN_STEPS)
        with self._untouched(workload):
            one, few = (self._best_of_two(workload, count) for count in (1, MIN_STEPS))
            steps = MIN_STEPS
            # With the price of the call in it a step looks longer than it is, so this stays below;
            # trying all sizes from the bottom would last as long as ten launches' turns.
            while 2 * steps * few / MIN_STEPS < seconds and self._may_double(workload, steps):
                steps *= 2
            while self._may_double(workload, steps):
                self._feed(workload.model, size * steps)
                slot = self._best_of_two(workload, steps)
                if slot - one >= seconds and slot >= LEAST_GROWTH * one:
                    break
                steps *= 2
        self._feed(workload.model, size * steps)
        return {"steps": steps}

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

    def _prepare(self, request: ModelRequest) -> dict[str, Any]:
        keras.utils.set_random_seed(self._request.seed)
        examples = self._examples[request.name]
        start = time.perf_counter()
        built = building.build(request, examples.take(slice(1)))
        build_seconds = time.perf_counter() - start
        model = built.model
        set_initial_weights(model, self._request.seed, request)
        weights_sha256 = order.arrays_sha256(model.get_weights())
        self._built[request.name] = built
        x, y = self._feed(request.name, self._request.batch_size)
        first, second = first_steps(model, x, y)
        with weights_kept(model):  # counting is a step, too
            forward = flops.forward(model) or self._loop.forward_flops(model, x)
            train = flops.train(model) or self._loop.train_flops(model, x, y)
        return {
            "model": request.name,
            "parameters": model.count_params(),
            "weights_sha256": weights_sha256,
            "jit_compile": bool(model.jit_compile),
            "build_seconds": build_seconds,
            "first_step_seconds": first,
            "second_step_seconds": second,
            "forward_flops": forward,
            "train_flops": train,
        }

    def _feed(self, name: str, count: int) -> tuple[Any, Any]:
        """Inputs and targets of the first `count` examples, repeated where there are fewer."""
        if name not in self._fed or len(leaves(self._fed[name][0])[0]) < count:
            built, examples = self._built[name], self._examples[name].repeated(count)
            self._fed[name] = built.x(examples), built.y(examples)
        x, y = self._fed[name]
        few = slice(count)
        return sliced(x, few), sliced(y, few)

    def _timed(self, workload: Workload, steps: int, is_slot: bool) -> dict[str, Any]:
        """One of the two calls of a turn."""
        outside, done = self._outside_seconds, _iterations(self._model(workload))
        seconds = self._call(workload, steps)
        outside = self._outside_seconds - outside
        if not is_slot:
            return {"one_step_seconds": seconds, "one_step_outside_seconds": outside}
        if workload.phase == "train":
            steps = _iterations(self._model(workload)) - done
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

    def _best_of_two(self, workload: Workload, steps: int) -> float:
        return min(self._call(workload, steps) for _ in range(2))

    def _untouched(self, workload: Workload) -> AbstractContextManager[None]:
        """Training is undone afterwards: the next turn shall do the same work."""
        return weights_kept(self._model(workload)) if workload.phase == "train" else nullcontext()

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
        model, size = self._model(workload), workload.batch_size
        x, y = self._feed(workload.model, size * steps)
        clock = StepClock(self._loop.wait, self._request.slowdown)
        start = time.perf_counter()
        match workload.phase:
            case "train":
                model.fit(x, y, batch_size=size, shuffle=False, verbose=0, callbacks=[clock])
            case "evaluate":
                model.evaluate(x, y, batch_size=size, verbose=0, callbacks=[clock])
            case _:
                model.predict(x, batch_size=size, verbose=0, callbacks=[clock])
        self._outside_seconds += time.perf_counter() - start - clock.seconds
        return clock.seconds

    def _latencies(self, workload: Workload, calls: int) -> list[float]:
        model = self._model(workload)
        x, _ = self._feed(workload.model, calls)
        seconds = []
        for one in [sliced(x, slice(index, index + 1)) for index in range(calls)]:
            start = time.perf_counter()
            model.predict_on_batch(one)  # gives NumPy arrays
            seconds.append(time.perf_counter() - start)
        return seconds

    def _compilations(self, workload: Workload) -> int:
        return int(self._loop.compilations(self._model(workload)))

    def _may_double(self, workload: Workload, steps: int) -> bool:
        x, y = self._feed(workload.model, 1)
        examples = 2 * steps * workload.batch_size
        size = sum(array.nbytes for array in (*leaves(x), *leaves(y)))
        return steps < MAX_STEPS and examples <= MAX_EXAMPLES and examples * size <= MAX_BYTES

    def _model(self, workload: Workload) -> keras.Model:
        return self._built[workload.model].model


def _iterations(model: keras.Model) -> int:
    """Steps that the optimizer has counted."""
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))
