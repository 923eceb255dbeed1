"""Have every subject answer the parity ladder's probes; a test fails where one does not."""

from typing import Any

import pytest

from bench.contract.errors import DataError, ExitCode, StorageError
from bench.contract.units import Subject
from bench.coordinator.parity.ladder import climb
from bench.session.run import Run


@pytest.fixture(scope="session")
def answers(run: Run) -> dict[Subject, dict[str, Any]]:
    """Payloads of all subjects; whoever asks first has them all asked."""
    try:
        with run.progress.half("parity") as tell:
            return climb(run.plan, run.selection.subjects, run.dataset, run.journal, tell)
    except (DataError, StorageError) as error:
        run.exit_code = error.exit_code
        pytest.exit(f"error: {error}", returncode=error.exit_code)


def test_parity(subject: Subject, run: Run, answers: dict[Subject, dict[str, Any]]) -> None:
    """It answered. Whether its answers are right, the report says."""
    payload = answers[subject]
    if payload["status"] != "ok":
        run.exit_code = ExitCode.ENVIRONMENT
        pytest.fail(f"{payload['status']}: {payload['error']}", pytrace=False)
