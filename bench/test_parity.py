"""Have every subject answer the parity ladder's probes; a test fails where one does not."""

import pytest

from bench.contract.parity_schema import Parity
from bench.contract.units import Subject
from bench.coordinator.parity.ladder import ask_subjects, last_answers
from bench.outcome import ending_the_run, fail_undone, fail_unless_ok
from bench.session.run import Run


@pytest.fixture(scope="session")
def answers(run: Run) -> dict[Subject, Parity]:
    """Answers of all subjects; whoever asks first has them all asked."""
    if run.plan.farm:
        return last_answers(run.folder, run.selection.subjects)
    with ending_the_run(run), run.progress.live():
        tell = run.progress.ladder
        return ask_subjects(run.plan, run.selection.subjects, run.dataset, run.folder, tell)


def test_parity(subject: Subject, run: Run, answers: dict[Subject, Parity]) -> None:
    """It answered. Whether its answers are right, the report says."""
    if subject not in answers:
        fail_undone(run, f"parity {subject.model}")
    fail_unless_ok(run, answers[subject].status, answers[subject].error)
