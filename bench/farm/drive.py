"""Who does which piece when: nodes are greeted, get pieces, and what comes back is taken in.

Nothing here knows what a piece computes, or how an engine reaches its nodes.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from bench.contract.errors import DataError, ExitCode
from bench.contract.schema import Machine
from bench.farm import archives, greeting
from bench.farm.engines import Engine, FarmError, LostError, Node, Order
from bench.farm.greeting import Greeting
from bench.farm.launch_places import Places
from bench.farm.ledger import TRIES, Ledger
from bench.farm.units import Unit
from bench.process.atomic_files import write_atomically

LOOK_SECONDS = 5.0
"""How long nodes that come or go may go unseen, while nothing ends."""

LONGEST_GREETING = 600.0

PATIENCE = 60.0
"""How long a farm waits for nodes that have yet to join or to answer, in seconds."""

MOST_AT_ONCE = 256

AGAIN = (ExitCode.ENVIRONMENT, ExitCode.INTERNAL, ExitCode.INTERRUPTED)
"""What a command leaves with where another node may do better."""


@dataclass(frozen=True)
class Work:
    """What is to be done, and what becomes of it.

    Attributes:
        folder: Of the farm, in that of the run.
        pieces: Those that time nothing, in the order in which they are wanted.
        places: Where launches are made, each alone on its machine.
        greeting: What every node is asked first.
        environments: What lanes are here.
        take: Takes a piece's archive in; raises `DataError` for what is none.
        say: Takes a line.
    """

    folder: Path
    pieces: Sequence[Unit]
    places: Places
    greeting: Unit
    environments: Mapping[str, str]
    take: Callable[[Unit, bytes], None]
    say: Callable[[str], None]


@dataclass
class _State:
    """Of a farm that goes on.

    Attributes:
        waiting: Pieces that time nothing.
        running: What is being done, where.
        asked: Nodes that were greeted.
        fit: What those said that can take part.
        given_up: Why, by piece.
    """

    waiting: deque[Unit]
    running: dict[Future[int], tuple[Unit, Node, float]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    fit: dict[str, Greeting] = field(default_factory=dict)
    done: int = 0
    seconds: list[float] = field(default_factory=list)
    given_up: dict[str, str] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Whether a piece is being done."""
        return any(unit.kind != "greeting" for unit, *_ in self.running.values())

    @property
    def greeting(self) -> bool:
        """Whether a node has yet to say what it is, and may still do so soon."""
        return any(
            unit.kind == "greeting" and time.monotonic() - since < PATIENCE
            for unit, _, since in self.running.values()
        )

    @property
    def machines(self) -> dict[str, Machine]:
        """Of the nodes that can take part, by id."""
        return {told.machine.id: told.machine for told in self.fit.values()}

    def on(self, node: Node) -> list[Unit]:
        """What a node does."""
        return [unit for unit, where, _ in self.running.values() if where.name == node.name]


def drive(engine: Engine, work: Work) -> Mapping[str, str]:
    """Have all pieces done.

    Returns:
        Why a piece was given up, by its title.

    Raises:
        FarmError: No node can take part.
        StorageError: The results cannot be kept.
    """
    ledger = Ledger(work.folder / "ledger.jsonl")
    state, seen = _State(deque(work.pieces)), time.monotonic()
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool, engine:
        while state.waiting or work.places or state.busy:
            nodes = engine.nodes()
            _forget(state, nodes)
            for unit, node in _next(state, work, nodes, ledger):
                ledger.add("begun", unit.name, node.name, title=unit.title)
                order = _order(work.folder, unit, node)
                begun = pool.submit(engine.run, node, order)
                state.running[begun] = unit, node, time.monotonic()
            if nodes:
                seen = time.monotonic()
            if not state.running:
                if not nodes and time.monotonic() - seen < PATIENCE:
                    time.sleep(min(LOOK_SECONDS, PATIENCE))  # they may have yet to join
                elif _stuck(state, work, nodes):
                    break
                continue
            ended, _ = wait(state.running, LOOK_SECONDS, FIRST_COMPLETED)
            _give_up_silent(state, work)
            for future in ended & state.running.keys():
                unit, node, since = state.running.pop(future)
                _ended(state, work, ledger, unit, node, future, time.monotonic() - since)
    return state.given_up


def _give_up_silent(state: _State, work: Work) -> None:
    """Nodes that do not answer are waited for no longer; what runs there ends with the engine."""
    for future, (unit, node, since) in list(state.running.items()):
        if unit.kind == "greeting" and time.monotonic() - since > LONGEST_GREETING:
            del state.running[future]
            work.say(f"farm  {node.name} is left out: it has not answered")


def _forget(state: _State, nodes: Sequence[Node]) -> None:
    """Nodes that have gone are greeted again when they come back."""
    names = {node.name for node in nodes}
    state.asked &= names
    state.fit = {name: told for name, told in state.fit.items() if name in names}


def _next(
    state: _State, work: Work, nodes: Sequence[Node], ledger: Ledger
) -> Iterator[tuple[Unit, Node]]:
    """Pieces for nodes that have room."""
    for node in nodes:
        if node.name not in state.asked:
            state.asked.add(node.name)
            yield work.greeting, node
    fit = [node for node in nodes if node.name in state.fit]
    if not state.greeting:
        work.places.choose(state.machines.values())
    for node in fit:
        own = state.on(node)
        beside = [unit for each in fit if _same(state, each, node) for unit in state.on(each)]
        if any(unit.is_timing for unit in beside):
            continue
        alone = work.places.wanted(state.fit[node.name].machine.id)
        if alone is not None:
            # A run asks for the ladder first, if it has no other node for that.
            others = any(work.places.wanted(machine) is None for machine in state.machines)
            first = [u for u in state.waiting if u.kind == "parity"]
            if others or not first:
                if not beside:
                    work.places.begin(alone)
                    yield alone, node
                continue
        while len(own) < node.slots and (unit := _fitting(state, ledger, node, fit)):
            own.append(unit)
            yield unit, node


def _same(state: _State, one: Node, other: Node) -> bool:
    return state.fit[one.name].machine.id == state.fit[other.name].machine.id


def _fitting(state: _State, ledger: Ledger, node: Node, fit: Sequence[Node]) -> Unit | None:
    """The first piece that waits and has not failed here, or nowhere else to go."""
    for unit in state.waiting:
        faults = ledger.faults(unit.name)
        if node.name not in faults or all(other.name in faults for other in fit):
            state.waiting.remove(unit)
            return unit
    return None


def _stuck(state: _State, work: Work, nodes: Sequence[Node]) -> bool:
    """Whether what is left can be done by nobody, and all else is done."""
    if not state.fit:
        names = ", ".join(node.name for node in nodes) or "none"
        raise FarmError(f"no node can take part (there: {names}); what is finished is kept")
    gone = [] if state.waiting else work.places.orphans(state.machines.values())
    for unit in gone:
        state.given_up[unit.title] = "its machine, which made the first, is gone"
        work.say(f"farm  {unit.title}: {state.given_up[unit.title]}")
    return bool(gone)


def _order(folder: Path, unit: Unit, node: Node) -> Order:
    """The files of a piece, on the disk."""
    path = folder / "units" / f"{unit.name}.json"
    if not path.exists() or path.read_bytes() != unit.content:
        write_atomically(path, unit.content)
    return Order(
        unit=path,
        inputs=tuple(folder / "inputs" / f"{name}.tar" for name in unit.inputs),
        archive=folder / "archives" / f"{unit.name}.{_plain(node.name)}.tar",
        log=folder / "logs" / f"{unit.kind}-{unit.name[:12]}.{_plain(node.name)}.log",
    )


def _plain(name: str) -> str:
    return "".join(each if each.isalnum() or each in "-." else "_" for each in name)


def _ended(
    state: _State,
    work: Work,
    ledger: Ledger,
    unit: Unit,
    node: Node,
    future: Future[int],
    seconds: float,
) -> None:
    """Take in what came, or have it done elsewhere."""
    order = _order(work.folder, unit, node)
    final = False
    try:
        code = future.result()
        why = "" if code == ExitCode.OK else _last_line(order.log, code)
        final = code != ExitCode.OK and code not in AGAIN
        if not why:
            data = order.archive.read_bytes()
            if unit.kind == "greeting":
                _greeted(state, work, node, data)
                order.archive.unlink()
                return
            work.take(unit, data)
            order.archive.unlink()
    except OSError as error:
        why = f"no archive ({error.strerror})"
    except (LostError, DataError) as error:
        why = str(error)
    if not why:
        state.done += 1
        state.seconds.append(seconds)
        ledger.add("done", unit.name, node.name, seconds=round(seconds, 3))
        if unit.is_timing:
            work.places.done(unit)
        work.say(f"farm  {unit.title} on {node.name}: done  {_progress(state, work)}")
        return
    if unit.kind == "greeting":
        work.say(f"farm  {node.name} is left out: {why}")
        return
    ledger.add("failed", unit.name, node.name, why=why)
    if final or ledger.faults(unit.name).total() >= TRIES:
        state.given_up[unit.title] = why
        work.say(f"farm  {unit.title} on {node.name}: given up, {why}")
    else:
        work.say(f"farm  {unit.title} on {node.name}: {why}; it is tried again")
        if unit.is_timing:
            work.places.again(unit)
        else:
            state.waiting.appendleft(unit)


def _greeted(state: _State, work: Work, node: Node, data: bytes) -> None:
    told = greeting.read(archives.unpacked(data).get(greeting.FILE, b""))
    if why := greeting.unfit(told, work.environments):
        work.say(f"farm  {node.name} is left out: {why}")
        return
    state.fit[node.name] = told
    work.say(f"farm  {node.name}: ready, {told.machine.kind}")


def _progress(state: _State, work: Work) -> str:
    running = [unit for unit, _, _ in state.running.values() if unit.kind != "greeting"]
    left = len(state.waiting) + len(running) + len(work.places)
    told = f"{state.done} done, {len(running)} running, {left} left, {len(state.given_up)} given up"
    if left and state.seconds:
        slots = max(1, len(running))
        minutes = sum(state.seconds) / len(state.seconds) * left / slots / 60
        told += f", about {max(1, round(minutes))} min"
    return told


def _last_line(log: Path, code: int) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    said = next((line for line in reversed(lines) if line.startswith("error: ")), "")
    return said.removeprefix("error: ") or f"left with {code}"
