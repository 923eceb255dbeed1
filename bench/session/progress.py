"""What a person sees while a run goes on: a live line in a terminal, else a line per event."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.contract.schema import Epoch
from bench.contract.units import Cell
from bench.contract.variants import STOCK


@dataclass
class Estimates:
    """What the parts of a run will take, in seconds, in their order.

    Attributes:
        parity: All of it.
        speed: All of it.
        training: Gives those of some cells; speeds that were measured make it better.
    """

    parity: float
    speed: float
    training: Callable[[Sequence[Cell]], float]


class Progress:
    """Tells what is being done, and how long all of it will still take.

    The live line is drawn when something ends and never by a clock of its own: a thread that
    redraws would take time from the worker that is being measured.
    """

    def __init__(self, console: Console, cells: Sequence[Cell], estimates: Estimates) -> None:
        """Begin a run.

        Args:
            console: Where to write.
            cells: All cells in their order.
            estimates: Guesses for what is to come.
        """
        self._console = console
        self._cells = list(cells)
        self._estimates = estimates
        self._spent = 0.0
        self._guessed = 0.0
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @contextmanager
    def live(self) -> Iterator[None]:
        """While something runs; the terminal is given back whatever happens."""
        if self._console.is_terminal:
            self._live.start()
        try:
            yield
        finally:
            self._live.stop()

    @contextmanager
    def cell(self, cell: Cell) -> Iterator[None]:
        """While `cell` runs."""
        started = time.monotonic()
        with self.live():
            self._show(cell, "starting")
            yield
        self._spent += time.monotonic() - started
        self._guessed += self._estimates.training([cell])

    def epoch_ended(self, cell: Cell, epoch: Epoch, epochs: int, examples: int) -> None:
        """An epoch of `cell` is done."""
        self._show(
            cell,
            f"epoch {epoch.epoch:>{len(str(epochs))}}/{epochs}  "
            f"{examples / epoch.train_seconds:>6,.0f} examples/s  "
            f"{outcome_of(epoch.test_accuracy, epoch.test_loss)}",
            done=epoch.epoch / epochs,
        )

    def cell_ended(self, cell: Cell, outcome: str) -> None:
        """`cell` is done; `outcome` says in a few words what came of it."""
        self.say(f"{self._name(cell)}  {outcome}")

    def ladder(self, text: str) -> None:
        """How far the parity ladder is."""
        later = self._estimates.speed + self._estimates.training(self._cells)
        self._draw(f"parity  {text}  {_left(self._estimates.parity + later)}")

    def launch(self, text: str, seconds: float) -> None:
        """How far the launches are, and what they will still take."""
        self._draw(f"speed  {text}  {_left(seconds + self._estimates.training(self._cells))}")

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _show(self, cell: Cell, text: str, done: float = 0.0) -> None:
        self._draw(f"{self._name(cell)}  {text}  {_left(self._trainings_left(cell, done))}")

    def _draw(self, text: str) -> None:
        if self._console.is_terminal:
            line = Text(text, no_wrap=True, overflow="ellipsis", style="bold")
            self._live.update(line, refresh=True)
        else:
            self.say(text)

    def _name(self, cell: Cell) -> str:
        number = self._cells.index(cell) + 1
        seed = f" seed {cell.seed}" if any(other.seed for other in self._cells) else ""
        model = cell.model if cell.variant == STOCK else f"{cell.model} {cell.variant}"
        return f"[{number}/{len(self._cells)}] {model} {cell.lane}{seed}"

    def _trainings_left(self, cell: Cell, done: float) -> float:
        """The guess for what is left, scaled by how the guesses did so far."""
        guess = self._estimates.training
        later = self._cells[self._cells.index(cell) + 1 :]
        seconds = guess(later) + (1 - done) * guess([cell])
        return seconds * (self._spent / self._guessed if self._guessed else 1)


def _left(seconds: float) -> str:
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


def outcome_of(accuracy: float | None, loss: float | None) -> str:
    """What the test set said after an epoch: a classifier's error, another model's loss."""
    if accuracy is not None:
        return f"error {100 * (1 - accuracy):5.2f} %"
    return "loss is no number" if loss is None else f"loss {loss:.4g}"
