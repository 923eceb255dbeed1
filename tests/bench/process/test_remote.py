import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bench.contract.errors import ExitCode, WorkerError
from bench.contract.units import Lane
from bench.coordinator.preflight import Greeting, PreflightError, greet_lanes
from bench.planning import resolving
from bench.planning.lanes import Setup
from bench.planning.options import NOT_GIVEN
from bench.process import worker_process
from bench.process.worker_process import Worker
from tests.bench.planning.test_plan import resolve

FakePython = Callable[[str], str]


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(worker_process, "POLL_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def nothing_is_left() -> object:
    """No test leaves a process, a zombie, a descriptor or a folder behind."""
    before = set(Path("/proc/self/fd").iterdir())
    yield
    assert psutil.Process().children(recursive=True) == []
    assert set(Path("/proc/self/fd").iterdir()) == before


def train(python: str, tmp_path: Path, timeout: float = 20) -> None:
    """Start a worker and send it a request that most behaviours never get to answer."""
    with Worker(Lane("jax", "cpu", python), timeout) as worker:
        worker.call("train", {})


@pytest.mark.parametrize(
    ("behaviour", "status", "words"),
    [
        ("segfault", "crashed", "killed by SIGSEGV"),
        ("killed", "crashed", "killed by SIGKILL"),
        ("exit_3", "crashed", "left with exit code 3"),
        ("exit_0", "protocol_error", "left before answering"),
        ("grandchild", "protocol_error", "left before answering"),
        ("partial_line", "protocol_error", "left before answering"),
        ("closes_pipe", "protocol_error", "closed its pipe"),
        ("garbage", "protocol_error", r"\\x1b\[31m<script>\\xff"),
        ("long_line", "protocol_error", "line of more than"),
        ("wrong_id", "protocol_error", "answers another request"),
        ("not_an_object", "protocol_error", "not a JSON object"),
        ("unknown_message", "protocol_error", "unknown message"),
        ("raises", "python_error", "ValueError: bad"),
    ],
)
def test_fault_04_05_06_every_misbehaviour_has_its_status(
    fake_python: FakePython, tmp_path: Path, behaviour: str, status: str, words: str
) -> None:
    with pytest.raises(WorkerError, match=words) as caught:
        train(fake_python(behaviour), tmp_path)
    assert caught.value.status == status
    assert "\n" not in str(caught.value)


def test_fault_03_silence_is_timed_out_with_the_stacks_of_the_worker(
    fake_python: FakePython, tmp_path: Path
) -> None:
    with pytest.raises(WorkerError, match="silent for") as caught:
        train(fake_python("hang"), tmp_path, timeout=5)
    assert caught.value.status == "timed_out"
    assert "in strike" in caught.value.log


def test_fault_04_a_worker_that_ignores_sigterm_is_killed(
    fake_python: FakePython, tmp_path: Path
) -> None:
    lane = Lane("jax", "cpu", fake_python("ignores_sigterm"))
    with pytest.raises(WorkerError, match="silent for"), Worker(lane, 5) as worker:
        worker.call("train", {})
    assert worker._process.returncode == -signal.SIGKILL


def test_fault_02_out_of_memory_is_told_apart_from_a_crash(
    fake_python: FakePython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = iter([3, 4])
    monkeypatch.setattr(worker_process, "_oom_kills", lambda: next(kills))
    with pytest.raises(WorkerError, match="out of memory") as caught:
        train(fake_python("killed"), tmp_path)
    assert caught.value.status == "out_of_memory"


def test_the_traceback_of_the_worker_is_kept(fake_python: FakePython, tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as caught:
        train(fake_python("raises"), tmp_path)
    assert caught.value.log == "line 7"


def test_fault_07_a_flood_of_output_neither_blocks_nor_fills_the_memory(
    fake_python: FakePython, tmp_path: Path
) -> None:
    with pytest.raises(WorkerError) as caught:
        train(fake_python("flood"), tmp_path)  # then fails for want of arguments
    assert caught.value.status == "crashed"
    assert len(caught.value.log) <= worker_process.LOG_BYTES
    assert "KeyError" in caught.value.log


def test_what_a_framework_prints_is_no_answer(fake_python: FakePython) -> None:
    with Worker(Lane("jax", "cpu", fake_python("good")), 20) as worker:
        assert worker.greet()["backend"] == "jax"
        assert worker.scratch.joinpath("keras.json").exists()
    assert not worker.scratch.exists()


def test_an_interpreter_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"cannot start .*No such file") as caught:
        Worker(Lane("jax", "cpu", str(tmp_path / "python")), 20)
    assert caught.value.status == "wrong_environment"


@pytest.mark.parametrize(
    ("behaviour", "device", "words"),
    [
        ("wrong_backend", "cpu", "backend is 'torch', wanted 'jax'"),
        ("good", "gpu", "device is 'cpu', wanted 'gpu'"),
    ],
)
def test_fault_22_a_worker_that_is_not_what_was_asked_for(
    fake_python: FakePython, behaviour: str, device: str, words: str
) -> None:
    with Worker(Lane("jax", device, fake_python(behaviour)), 20) as worker:
        with pytest.raises(WorkerError, match=words) as caught:
            worker.greet()
    assert caught.value.status == "wrong_environment"


def test_preflight_names_every_backend_that_is_not_there(
    fake_python: FakePython, tmp_path: Path
) -> None:
    workers = (
        f"tensorflow={fake_python('good')}",
        f"jax={fake_python('no_keras')}",
        f"torch={tmp_path / 'nothing'}",
    )
    with pytest.raises(PreflightError) as caught:
        greet_lanes(resolve(workers=workers), [])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("jax on cpu: ModuleNotFoundError: No module named 'keras'")
    assert lines[1].startswith("torch: cannot start")
    assert "'worker(jax-cpu)'" in lines[2]
    assert caught.value.exit_code == ExitCode.ENVIRONMENT


def test_two_lanes_that_are_the_same_are_refused(fake_python: FakePython) -> None:
    def greet(one: str, other: str) -> None:
        others = [Setup("jax@new", ("package==2",))]
        workers = (f"jax={fake_python(one)}", f"jax@new={fake_python(other)}")
        greet_lanes(resolving.resolve(NOT_GIVEN, workers, {}, others=others), [])

    greet("has_1", "has_2")
    with pytest.raises(PreflightError, match="jax@new and jax are the same: equal packages"):
        greet("has_1", "has_1")


def test_a_lane_that_was_added_goes_missing_where_it_fails_and_ends_the_run_where_it_is_not_there(
    fake_python: FakePython, tmp_path: Path
) -> None:
    def greet(new: str) -> dict[str, Greeting]:
        others = [Setup("jax@new", ("package==2",))]
        workers = (f"jax={fake_python('has_1')}", f"jax@new={new}")
        return greet_lanes(resolving.resolve(NOT_GIVEN, workers, {}, others=others), [])

    greetings = greet(fake_python("no_keras"))
    assert greetings["jax"].error is None
    assert "No module named 'keras'" in str(greetings["jax@new"].error)
    with pytest.raises(PreflightError, match=r"jax@new: cannot start .*\n.*nox -s bench, or"):
        greet(str(tmp_path / "nothing"))


def test_fault_21_a_gpu_that_is_not_used_ends_the_run_before_anything_is_timed(
    fake_python: FakePython,
) -> None:
    plan = resolve({"BENCH_DEVICE": "gpu"}, (f"torch={fake_python('good')}",))
    with pytest.raises(PreflightError, match="device is 'cpu', wanted 'gpu'"):
        greet_lanes(plan, [])


@pytest.mark.parametrize("behaviour", ["hang", "ignores_sigterm"])
def test_a_worker_may_be_killed_while_another_thread_waits_for_it(
    fake_python: FakePython, behaviour: str
) -> None:
    """The call ends as that of a worker that died; nothing is closed under it.

    The call goes on only when the other thread wants the pipes, or has done without asking.
    """
    waiting, wanted = threading.Event(), threading.Event()

    class Watched:
        def __init__(self, lock: threading.Lock) -> None:
            self._lock = lock

        def __enter__(self) -> None:
            if threading.current_thread() is threading.main_thread():
                wanted.set()
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    with Worker(Lane("jax", "cpu", fake_python(behaviour)), 60) as worker:
        worker.greet()
        select = worker._selector.select
        worker._pipes = Watched(worker._pipes)  # type: ignore[assignment]

        def selected(timeout: float) -> object:
            waiting.set()
            found = select(timeout)
            return found if not found or wanted.wait(20) else []

        worker._selector.select = selected  # type: ignore[method-assign, assignment]
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(worker.call, "train", {})
            assert waiting.wait(20)
            worker.kill()
            wanted.set()
            with pytest.raises(WorkerError, match="killed by SIG") as caught:
                call.result()
        assert caught.value.status == "crashed"
        with pytest.raises(WorkerError, match="was ended by the harness"):
            worker.call("train", {})
