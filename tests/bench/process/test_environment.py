from pathlib import Path

import pytest

from bench.contract.backends import BACKENDS
from bench.contract.units import Lane
from bench.process.worker_environment import worker_environment

HOSTILE = {
    "KERAS_MAX_EPOCHS": "1",
    "KERAS_MAX_STEPS_PER_EPOCH": "1",
    "KERAS_BACKEND": "numpy",
    "KERAS_HOME": "/home/user/.keras",
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "JAX_ENABLE_X64": "1",
    "JAX_PLATFORMS": "tpu",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONPATH": "/elsewhere",
    "PATH": "/usr/bin",
    "TMPDIR": "/full",
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_fault_23_nothing_inherited_can_change_a_measurement(backend: str, device: str) -> None:
    environment = worker_environment(Lane(backend, device, ""), Path("/run/keras"), HOSTILE)
    assert environment["KERAS_BACKEND"] == backend
    assert environment["KERAS_HOME"] == "/run/keras"
    assert environment["TMPDIR"] == "/run/keras"
    assert environment["PATH"] == "/usr/bin"
    left = {name for name in HOSTILE if environment.get(name) == HOSTILE[name]}
    assert left == {"PATH"}


def test_each_backend_is_put_on_its_device() -> None:
    def environment(backend: str, device: str) -> dict[str, str]:
        return worker_environment(Lane(backend, device, ""), Path(), {})

    assert environment("jax", "cpu")["JAX_PLATFORMS"] == "cpu"
    assert environment("jax", "gpu")["JAX_PLATFORMS"] == "cuda"
    assert environment("torch", "cpu")["KERAS_TORCH_DEVICE"] == "cpu"
    assert environment("torch", "gpu")["KERAS_TORCH_DEVICE"] == "cuda"
    assert environment("tensorflow", "cpu")["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "CUDA_VISIBLE_DEVICES" not in environment("tensorflow", "gpu")


def test_what_a_lane_declares_is_let_in_and_nothing_else() -> None:
    lane = Lane("jax@flags", "cpu", "", environment=(("XLA_FLAGS", "--mine"),))
    told = worker_environment(lane, Path(), {"XLA_FLAGS": "--inherited", "OMP_NUM_THREADS": "1"})
    assert (told["KERAS_BACKEND"], told["XLA_FLAGS"]) == ("jax", "--mine")
    assert "OMP_NUM_THREADS" not in told
