"""Nodes that are lost, unfit, slow or hostile, on an engine without processes."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from bench.contract.errors import DataError, ExitCode
from bench.contract.schema import Machine
from bench.farm import archives, drive
from bench.farm.engines import FarmError, LostError, Node, Order
from bench.farm.greeting import FILE, Greeting
from bench.farm.launch_places import HOME, Places
from bench.farm.ledger import TRIES, Ledger
from bench.farm.units import Kind, Unit

ENVIRONMENTS = {"jax": "a" * 64}
GOOD = b"done"

Do = Callable[[str, Unit], int]


def unit(kind: Kind, part: str) -> Unit:
    return Unit(kind, part, "run", "b" * 64, (), ENVIRONMENTS)


def greeting(machine: str, cores: int = 2, **changes: Any) -> Greeting:
    where = Machine(machine, "CPU", cores, 8000, "Linux")
    told: dict[str, Any] = {
        "disk_bytes": 1 << 40,
        "environments": ENVIRONMENTS,
        "errors": {},
    } | changes
    return Greeting("3.11", where, **told)


class Engine:
    """Nodes that do what a test says."""

    def __init__(self, greetings: dict[str, Greeting], do: Do = lambda *_: 0) -> None:
        self.greetings, self.do = greetings, do
        self.gone: set[str] = set()
        self.begun: list[tuple[str, str]] = []
        self.at_once: list[list[tuple[str, Unit]]] = []
        self.closed = False
        self.silent: set[str] = set()
        self.ended = threading.Event()
        self._running: list[tuple[str, Unit]] = []
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True
        self.ended.set()

    def nodes(self) -> Sequence[Node]:
        return [Node(name, 2) for name in self.greetings if name not in self.gone]

    def run(self, node: Node, order: Order) -> int:
        one = Unit.read(order.unit.read_bytes())
        if one.kind == "greeting":
            if node.name in self.silent:
                assert self.ended.wait(60)
                raise LostError("killed")
            content = msgspec.json.encode(self.greetings[node.name])
            order.archive.write_bytes(archives.packed({FILE: content}))
            return 0
        with self._guard:
            self._running.append((node.name, one))
            self.begun.append((node.name, one.title))
            self.at_once.append(list(self._running))
        try:
            code = self.do(node.name, one)
            if not code:
                order.archive.write_bytes(GOOD)
            else:
                order.log.write_text("words\nerror: it said why\n")
        finally:
            with self._guard:
                self._running.remove((node.name, one))
        return code


class Run:
    """What is to be done, and what came back."""

    def __init__(self, folder: Path, pieces: Sequence[Unit], launches: int = 0) -> None:
        for part in ("units", "inputs", "archives", "logs"):
            (folder / part).mkdir()
        self.folder, self.pieces, self.launches = folder, pieces, launches
        self.taken: Counter[str] = Counter()
        self.told: list[str] = []
        self.made: dict[str, Machine] = {}
        self.take_in: Callable[[Unit, bytes], None] = lambda *_: None

    def farmed(self, engine: Engine) -> dict[str, str]:
        return dict(
            drive.drive(
                engine,
                drive.Work(
                    folder=self.folder,
                    pieces=self.pieces,
                    places=Places(self.made, self._timing, timed=self.launches > 0),
                    greeting=unit("greeting", ""),
                    environments=ENVIRONMENTS,
                    take=self._take,
                    say=self.told.append,
                ),
            )
        )

    def _timing(self, place: str) -> Unit | None:
        made = (title for title in self.taken.elements() if title.startswith("launches"))
        done = sum(title.endswith(place[:8]) if place else " on " not in title for title in made)
        following = replace(unit("speed", str(done)), elsewhere=place)
        return following if done < self.launches else None

    def _take(self, one: Unit, data: bytes) -> None:
        assert data == GOOD
        self.take_in(one, data)
        self.taken[one.title] += 1


CELLS = [unit("accuracy", f"cell{number}") for number in range(8)]
MODELS = [unit("parity", f"model{number}") for number in range(2)]
TWO = {"one": greeting("m1", 4), "two": greeting("m2", 2)}


def test_all_is_done_once_and_launches_have_their_machine_alone(tmp_path: Path) -> None:
    alike = {"one": greeting("m1", 4), "two": greeting("m2", 4)}
    run, engine = Run(tmp_path, [*MODELS, *CELLS], launches=3), Engine(alike)
    assert run.farmed(engine) == {}
    assert set(run.taken.values()) == {1}
    assert len(run.taken) == len(CELLS) + len(MODELS) + 3
    where = {node for node, title in engine.begun if title.startswith("launches")}
    assert where == {"one"}
    for running in engine.at_once:
        for node, one in running:
            if one.is_timing:
                assert [each for each in running if each[0] == node] == [(node, one)]
    assert engine.closed


def test_each_kind_of_machine_makes_launches_the_largest_first(tmp_path: Path) -> None:
    kinds = TWO | {"three": greeting("m3", 2), "four": greeting("m4", 1)}
    run, engine = Run(tmp_path, [*MODELS, *CELLS], launches=2), Engine(kinds)
    assert run.farmed(engine) == {}
    launches = [(node, title) for node, title in engine.begun if title.startswith("launches")]
    assert launches[0] == ("one", "launches after 0")
    assert sorted(launches) == [
        ("four", "launches after 0 on m4"),
        ("four", "launches after 1 on m4"),
        ("one", "launches after 0"),
        ("one", "launches after 1"),
        ("two", "launches after 0 on m2"),
        ("two", "launches after 1 on m2"),
    ]
    for running in engine.at_once:
        for node, one in running:
            if one.is_timing:
                assert [each for each in running if each[0] == node] == [(node, one)]


def test_a_kind_whose_machine_goes_before_its_first_launch_is_timed_on_the_next(
    tmp_path: Path,
) -> None:
    def do(node: str, one: Unit) -> int:
        if node == "two" and one.is_timing:
            engine.gone.add("two")
            raise LostError("NodeDiedError")
        return 0

    engine = Engine(TWO | {"three": greeting("m3", 2)}, do)
    run = Run(tmp_path, CELLS, launches=1)
    run.farmed(engine)
    assert run.taken["launches after 0 on m3"] == 1
    assert "launches after 0 on m2" not in run.taken


def test_two_nodes_of_one_machine_share_its_silence(tmp_path: Path) -> None:
    engine = Engine({"one": greeting("m"), "two": greeting("m")})
    Run(tmp_path, CELLS, launches=3).farmed(engine)
    for running in engine.at_once:
        assert len(running) == 1 or not any(one.is_timing for _, one in running)


def test_pieces_that_time_nothing_share_a_node(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def do(_: str, __: Unit) -> int:
        both.wait(30)  # nobody ends before another has begun
        return 0

    run = Run(tmp_path, CELLS)
    assert run.farmed(Engine({"one": greeting("m1")}, do)) == {}


def test_a_piece_of_a_lost_node_is_done_by_another(tmp_path: Path) -> None:
    def do(node: str, one: Unit) -> int:
        if node == "one" and one.part == "cell3":
            engine.gone.add("one")
        if node in engine.gone:
            raise LostError(f"{node}: NodeDiedError")
        return 0

    engine = Engine(TWO, do)
    run = Run(tmp_path, CELLS)
    assert run.farmed(engine) == {}
    assert {one.title for one in CELLS} == set(run.taken)
    assert set(run.taken.values()) == {1}


@pytest.mark.parametrize("code", [ExitCode.ENVIRONMENT, ExitCode.INTERNAL, ExitCode.INTERRUPTED])
def test_a_piece_that_fails_is_tried_elsewhere_and_then_given_up(
    tmp_path: Path, code: ExitCode
) -> None:
    def do(_: str, one: Unit) -> int:
        return code if one.part == "cell1" else 0

    engine, run = Engine(TWO, do), Run(tmp_path, CELLS)
    assert run.farmed(engine) == {"accuracy cell1": "it said why"}
    tried = [node for node, title in engine.begun if title == "accuracy cell1"]
    assert len(tried) == TRIES
    assert set(tried) == {"one", "two"}
    assert len(run.taken) == len(CELLS) - 1


def test_a_mistake_that_every_node_would_meet_is_not_tried_again(tmp_path: Path) -> None:
    engine = Engine(TWO, lambda _, one: ExitCode.DATA if one.part == "cell1" else 0)
    assert Run(tmp_path, CELLS).farmed(engine) == {"accuracy cell1": "it said why"}
    assert [title for _, title in engine.begun].count("accuracy cell1") == 1


def test_what_a_hostile_node_sends_is_no_result(tmp_path: Path) -> None:
    run = Run(tmp_path, CELLS)
    seen: Counter[str] = Counter()

    def take_in(one: Unit, _: bytes) -> None:
        seen[one.part] += 1
        if one.part == "cell2" and seen[one.part] == 1:
            raise DataError("an archive that was cut short")

    run.take_in = take_in
    assert run.farmed(Engine(TWO)) == {}
    assert seen["cell2"] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environments": {"jax": "c" * 64}}, "jax is installed otherwise there; prepare"),
        ({"environments": {}, "errors": {"jax": "no such file"}}, "jax is not there (no such"),
        ({"disk_bytes": 1 << 20}, "1 MiB of disk are free"),
    ],
)
def test_an_unfit_node_is_left_out_with_a_line(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    engine = Engine({"good": greeting("m1"), "bad": greeting("m2", **changes)})
    run = Run(tmp_path, CELLS)
    assert run.farmed(engine) == {}
    assert {node for node, _ in engine.begun} == {"good"}
    assert any(line.startswith("farm  bad is left out") and words in line for line in run.told)


def test_a_node_that_never_answers_keeps_nobody_waiting(tmp_path: Path) -> None:
    engine, run = Engine(TWO), Run(tmp_path, CELLS)
    engine.silent = {"two"}
    assert run.farmed(engine) == {}
    assert {node for node, _ in engine.begun} == {"one"}


def test_where_no_node_ever_answers_it_ends_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(drive, "LONGEST_GREETING", 0.1)
    engine, run = Engine(TWO), Run(tmp_path, CELLS)
    engine.silent = set(TWO)
    with pytest.raises(FarmError, match="no node can take part"):
        run.farmed(engine)
    assert run.told == [f"farm  {name} is left out: it has not answered" for name in TWO]


def test_nodes_may_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "LOOK_SECONDS", 0.01)

    class Late(Engine):
        looked = 0

        def nodes(self) -> Sequence[Node]:
            self.looked += 1
            return super().nodes() if self.looked > 3 else []

    assert Run(tmp_path, CELLS).farmed(Late(TWO)) == {}


def test_where_none_comes_it_ends_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "PATIENCE", 0.05)
    with pytest.raises(FarmError, match=r"no node can take part \(there: none\)"):
        Run(tmp_path, CELLS).farmed(Engine({}))


def test_without_a_node_it_ends_with_a_line(tmp_path: Path) -> None:
    engine = Engine({"bad": greeting("m", disk_bytes=0)})
    with pytest.raises(FarmError, match=r"no node can take part \(there: bad\)"):
        Run(tmp_path, CELLS).farmed(engine)
    assert engine.closed


def test_launches_go_on_where_they_were_begun_or_not_at_all(tmp_path: Path) -> None:
    run = Run(tmp_path, CELLS, launches=2)
    run.made = {HOME: greeting("m3", 4).machine}
    gone = "its machine, which made the first, is gone"
    assert run.farmed(Engine(TWO)) == {"launches after 0": gone}
    # The other kind makes its own.
    assert len(run.taken) == len(CELLS) + 2
    assert {title for title in run.taken if "m2" in title} == {
        "launches after 0 on m2",
        "launches after 1 on m2",
    }


def test_a_home_that_goes_before_its_first_launch_is_followed_by_another(tmp_path: Path) -> None:
    def do(node: str, one: Unit) -> int:
        if node == "one" and one.is_timing:
            engine.gone.add("one")
            raise LostError("NodeDiedError")
        return 0

    engine, run = Engine(TWO, do), Run(tmp_path, CELLS, launches=2)
    assert run.farmed(engine) == {}
    assert [n for n, title in engine.begun if title == "launches after 1"] == ["two"]


def test_a_home_that_goes_while_it_does_something_else_is_followed_by_another(
    tmp_path: Path,
) -> None:
    machines = {name: told.machine for name, told in TWO.items()}
    asked: list[str] = []

    def following(place: str) -> Unit:
        asked.append(place)
        return replace(unit("speed", "0"), elsewhere=place)

    places = Places({}, following, timed=True)
    places.choose(machines.values())
    assert places.wanted("m1")
    places.choose([machines["two"]])  # before its first launch was begun
    assert places.wanted("m2") == unit("speed", "0")
    assert asked == [HOME, HOME]


def test_a_home_whose_launches_are_on_their_way_is_waited_for(tmp_path: Path) -> None:
    machines = [greeting("m1", 4).machine, greeting("m2").machine]
    places = Places({}, lambda place: replace(unit("speed", "0"), elsewhere=place), timed=True)
    places.choose(machines)
    piece = places.wanted("m1")
    assert piece
    places.begin(piece)
    places.choose(machines[1:])  # what it made would be of another machine than the next's
    assert places.wanted("m2") is None
    places.again(piece)
    places.choose(machines[1:])
    assert places.wanted("m2") == piece


def test_a_piece_of_launches_that_brought_none_is_the_last(tmp_path: Path) -> None:
    parts = iter(["0", "3", "3"])
    places = Places({}, lambda _: unit("speed", next(parts)), timed=True)
    places.choose([greeting("m1").machine])
    for _ in range(2):
        piece = places.wanted("m1")
        assert piece
        places.begin(piece)
        places.done(piece)
    assert not places


def test_ctrl_c_ends_what_runs(tmp_path: Path) -> None:
    def do(_: str, one: Unit) -> int:
        if one.part == "cell0":
            assert engine.ended.wait(60)
            raise LostError("killed")
        return 0

    def take_in(*_: object) -> None:
        raise KeyboardInterrupt

    engine, run = Engine({"one": greeting("m1")}, do), Run(tmp_path, CELLS)
    run.take_in = take_in
    with pytest.raises(KeyboardInterrupt):
        run.farmed(engine)
    assert engine.closed


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).add("failed", "u", "one", why="x")
    path.write_bytes(path.read_bytes() + b'{"what": "fai')
    again = Ledger(path)
    assert again.faults("u").total() == 0  # whoever goes on has mended it
    again.add("failed", "u", "two", why="y")
    first, _, last = path.read_text().splitlines()
    assert (json.loads(first)["node"], json.loads(last)["node"]) == ("one", "two")
