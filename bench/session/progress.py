"""What a person sees while a run goes on: a live line in a terminal, else a line per event."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.contract.schema import Epoch
from bench.contract.units import Cell
from bench.contract.variants import STOCK


class Progress:
    """Tells which cell runs, its epoch, examples per second, error so far and time left.

    The live line is drawn when an epoch ends and never by a clock of its own: a thread that
    redraws would take time from the worker that is being measured.
    """

    def __init__(
        self, console: Console, cells: Sequence[Cell], estimate: Callable[[Sequence[Cell]], float]
    ) -> None:
        """Begin a run.

        Args:
            console: Where to write.
            cells: All cells in their order.
            estimate: Seconds that some cells will take, guessed before the run.
        """
        self._console = console
        self._cells = list(cells)
        self._estimate = estimate
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
    def cell(self, cell: Cell) -> Iterator[None]:
        """While `cell` runs; the terminal is given back whatever happens."""
        started = time.monotonic()
        if self._console.is_terminal:
            self._live.start()
        try:
            self._show(cell, "starting")
            yield
        finally:
            self._live.stop()
            self._spent += time.monotonic() - started
            self._guessed += self._estimate([cell])

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
        self._line(f"{self._name(cell)}  {outcome}")

    @contextmanager
    def half(self, name: str) -> Iterator[Callable[[str], None]]:
        """While speed or parity is seen to; gives a function for lines on how far it is."""
        if self._console.is_terminal:
            self._live.start()
        try:
            yield lambda text: self._draw(f"{name}  {text}")
        finally:
            self._live.stop()

    def _show(self, cell: Cell, text: str, done: float = 0.0) -> None:
        self._draw(f"{self._name(cell)}  {text}  {self._time_left(cell, done)}")

    def _draw(self, text: str) -> None:
        if self._console.is_terminal:
            line = Text(text, no_wrap=True, overflow="ellipsis", style="bold")
            self._live.update(line, refresh=True)
        else:
            self._line(text)

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _name(self, cell: Cell) -> str:
        number = self._cells.index(cell) + 1
        seed = f" seed {cell.seed}" if any(other.seed for other in self._cells) else ""
        model = cell.model if cell.variant == STOCK else f"{cell.model} {cell.variant}"
        return f"[{number}/{len(self._cells)}] {model} {cell.backend}{seed}"

    def _time_left(self, cell: Cell, done: float) -> str:
        """The guess for what is left, scaled by how the guesses did so far."""
        later = self._cells[self._cells.index(cell) + 1 :]
        seconds = self._estimate(later) + (1 - done) * self._estimate([cell])
        if self._guessed:
            seconds *= self._spent / self._guessed
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


def outcome_of(accuracy: float | None, loss: float | None) -> str:
    """What the test set said after an epoch: a classifier's error, another model's loss."""
    if accuracy is not None:
        return f"error {100 * (1 - accuracy):5.2f} %"
    return "loss is no number" if loss is None else f"loss {loss:.4g}"
