import io

import pytest
from rich.console import Console

from bench.contract.schema import Epoch
from bench.session.progress import Estimates, Progress, outcome_of
from tests.bench.planning.test_plan import resolve

EPOCH = Epoch(
    epoch=2,
    feed_seconds=0.1,
    train_seconds=10.0,
    steal_seconds=0.0,
    test_seconds=1.0,
    train_loss=0.5,
    train_accuracy=0.9,
    test_loss=0.5,
    test_accuracy=0.9875,
)


def show(*, terminal: bool) -> str:
    cells = resolve(models="two_layer", variants="stock").cells
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80)
    progress = Progress(console, cells, Estimates(60, 120, lambda some: 100.0 * len(some)))
    with progress.cell(cells[0]):
        progress.epoch_ended(cells[0], EPOCH, epochs=10, examples=60_000)
    progress.cell_ended(cells[0], "error 1.25 %")
    with pytest.raises(KeyboardInterrupt), progress.cell(cells[1]):
        raise KeyboardInterrupt
    return stream.getvalue()


def test_without_a_terminal_every_event_is_a_plain_line() -> None:
    lines = show(terminal=False).splitlines()
    assert lines[0] == "[1/3] two_layer tensorflow  starting  5 min left"
    assert lines[1] == (
        "[1/3] two_layer tensorflow  epoch  2/10   6,000 examples/s  error  1.25 %  5 min left"
    )
    assert lines[2] == "[1/3] two_layer tensorflow  error 1.25 %"
    assert "\x1b" not in "".join(lines)


def test_in_a_terminal_the_line_is_drawn_over() -> None:
    shown = show(terminal=True)
    assert "\x1b[2K" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 2, "the cursor comes back"
    assert "6,000 examples/s" in shown


def test_the_time_left_learns_from_the_time_spent() -> None:
    # The first cell took next to no time here, so little is expected of the others.
    assert show(terminal=False).splitlines()[-1].endswith("starting  0 s left")


def test_the_time_left_is_that_of_all_parts() -> None:
    cells = resolve(models="two_layer", variants="stock").cells
    stream = io.StringIO()
    estimates = Estimates(60, 120, lambda some: 100.0 * len(some))
    progress = Progress(Console(file=stream), cells, estimates)
    progress.ladder("two_layer")
    progress.launch("launch 1", 30)
    assert stream.getvalue().splitlines() == [
        "parity  two_layer  8 min left",
        "speed  launch 1  6 min left",
    ]


@pytest.mark.parametrize(
    ("accuracy", "loss", "words"),
    [(0.9875, 0.1, "error  1.25 %"), (None, 1.5, "loss 1.5"), (None, None, "loss is no number")],
)
def test_an_epoch_is_told_by_error_or_by_loss(
    accuracy: float | None, loss: float | None, words: str
) -> None:
    assert outcome_of(accuracy, loss) == words
