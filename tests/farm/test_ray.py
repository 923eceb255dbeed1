"""Pieces on a real Ray cluster of a head and two nodes, all on this machine."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster as RayCluster

from bench.contract.errors import UsageError
from bench.farm import drive
from bench.farm.engines import FarmError
from bench.farm.launch_places import Places
from bench.farm.ray_cluster import Cluster
from bench.farm.units import Kind, Unit

ENVIRONMENTS = {"jax": "a" * 64}
FAKE = Path(__file__).with_name("fake_piece.py")


def unit(kind: Kind, part: str) -> Unit:
    return Unit(kind, part, "run", "b" * 64, (), ENVIRONMENTS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a farm, and a checkout whose interpreter runs `fake_piece` whatever it is asked for."""
    python = tmp_path / "root" / ".nox" / "harness" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    python.chmod(0o755)
    for part in ("units", "inputs", "archives", "logs"):
        (tmp_path / part).mkdir()
    monkeypatch.setenv("BENCH_FARM_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("FARM_TEST", str(tmp_path))
    (tmp_path / "seconds").write_text("0.5")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return tmp_path


@pytest.fixture
def cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCluster]:
    found = RayCluster(initialize_head=True, head_node_args={"num_cpus": 0})
    found.two = [found.add_node(num_cpus=1) for _ in range(2)]
    found.wait_for_nodes()
    monkeypatch.setenv("RAY_ADDRESS", found.address)
    yield found
    ray.shutdown()
    found.shutdown()


class Run:
    """What is done, and said."""

    def __init__(
        self,
        folder: Path,
        pieces: Sequence[Unit],
        launches: int = 0,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self.pieces, self.launches = folder, pieces, launches
        self.heard = heard
        self.taken: list[str] = []
        self.told: list[str] = []

    def farmed(self) -> dict[str, str]:
        work = drive.Work(
            folder=self.folder,
            pieces=self.pieces,
            places=Places({}, self._timing, timed=self.launches > 0),
            greeting=unit("greeting", ""),
            environments=ENVIRONMENTS,
            take=self._take,
            say=self._say,
        )
        return dict(drive.drive(Cluster(), work))

    def _say(self, text: str) -> None:
        self.told.append(text)
        self.heard(text)

    def stamps(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "stamps").read_text().splitlines()]

    def _timing(self, _: str) -> Unit | None:
        done = sum(title.startswith("launches") for title in self.taken)
        return unit("speed", str(done)) if done < self.launches else None

    def _take(self, one: Unit, _: bytes) -> None:
        self.taken.append(one.title)


def cells(count: int) -> list[Unit]:
    return [unit("accuracy", f"cell{number}") for number in range(count)]


def beside(one: dict[str, Any], stamps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ran on the same node at the same time."""
    return [
        other
        for other in stamps
        if other is not one
        and other["raylet"] == one["raylet"]
        and other["begun"] < one["ended"]
        and one["begun"] < other["ended"]
    ]


@pytest.mark.usefixtures("cluster")
def test_launches_are_alone_and_trainings_share(folder: Path) -> None:
    run = Run(folder, cells(16), launches=4)
    assert run.farmed() == {}
    assert len(run.taken) == len(set(run.taken)) == 20
    stamps = run.stamps()
    assert len(stamps) == 20
    timing = [each for each in stamps if each["kind"] == "speed"]
    assert len({each["raylet"] for each in timing}) == 1
    assert not any(beside(each, stamps) for each in timing)
    assert any(beside(each, stamps) for each in stamps)
    assert len({each["raylet"] for each in stamps}) > 1


def test_a_piece_of_a_node_that_goes_is_done_by_another(folder: Path, cluster: RayCluster) -> None:
    def remove(text: str) -> None:
        if "  4 done" in text:
            cluster.remove_node(cluster.two.pop(), allow_graceful=False)

    run = Run(folder, cells(24), heard=remove)
    assert run.farmed() == {}
    assert sorted(run.taken) == sorted(one.title for one in run.pieces)
    assert any("it is tried again" in line for line in run.told)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("number", [1, 2, 5])
def test_ctrl_c_ends_it_whenever_it_comes(folder: Path, number: int) -> None:
    def interrupt(text: str) -> None:
        if f"  {number} done" in text:
            raise KeyboardInterrupt

    run = Run(folder, cells(24), heard=interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.farmed()
    assert len(run.taken) == number
    assert not ray.is_initialized()


@pytest.mark.usefixtures("cluster")
def test_a_node_of_another_environment_is_left_out(folder: Path) -> None:
    (folder / "odd").touch()
    run = Run(folder, cells(4))
    assert run.farmed() == {}
    assert sum("is left out: jax is installed otherwise" in line for line in run.told) == 1


@pytest.mark.usefixtures("cluster")
def test_two_hundred_pieces_of_a_second(folder: Path) -> None:
    """How busy two nodes are; `-s` shows it."""
    (folder / "seconds").write_text("1")
    run = Run(folder, cells(200))
    assert run.farmed() == {}
    stamps = run.stamps()
    whole = max(each["ended"] for each in stamps) - min(each["begun"] for each in stamps)
    spent = sum(each["ended"] - each["begun"] for each in stamps)
    nodes = {each["raylet"] for each in stamps}
    print(f"\n{spent:.0f} s of pieces in {whole:.0f} s on {len(nodes)} nodes, two at once on each")
    assert len(stamps) == 200


@pytest.mark.usefixtures("folder")
def test_no_cluster_and_no_token_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(FarmError, match="no cluster"), Cluster():
        pass
    monkeypatch.delenv("RAY_AUTH_MODE")
    with pytest.raises(UsageError, match="RAY_AUTH_MODE=token"):
        Cluster()
    assert not os.environ.get("RAY_AUTH_MODE")
