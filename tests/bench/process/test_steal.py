import os
from pathlib import Path

import psutil
import pytest

from bench.process import steal


def test_it_is_what_psutil_reads_of_our_cores() -> None:
    before = steal.taken_seconds()
    cores = [psutil.cpu_times(percpu=True)[core] for core in os.sched_getaffinity(0)]
    read = sum(getattr(core, "steal", 0.0) for core in cores)
    assert before - 0.001 <= read <= steal.taken_seconds() + 0.001


def test_only_our_own_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "cpu  9 9 9 9 9 9 9 900 0 0\ncpu0 1 2 3 4 5 6 7 100 0 0\ncpu1 1 2 3 4 5 6 7 800 0 0\nintr 1"
    )
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1})
    assert steal.taken_seconds() == 800 / os.sysconf("SC_CLK_TCK")
