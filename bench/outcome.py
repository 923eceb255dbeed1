"""What becomes of a test that meets a fault of a worker's, of the data, or of the disk."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.contract.errors import DataError, ExitCode, StorageError
from bench.farm.engines import FarmError
from bench.session.run import Run


@contextmanager
def ending_the_run(run: Run) -> Iterator[None]:
    """End the session where the disk or the data is of no use: every later test would meet it."""
    try:
        yield
    except (DataError, FarmError, StorageError) as error:
        run.exit_code = error.exit_code
        pytest.exit(f"error: {error}", returncode=error.exit_code)


def fail_undone(run: Run, part: str) -> None:
    """Fail where no node of a farm has brought a part back."""
    why = (run.given_up or {}).get(part, "no node has brought it back")
    fail_unless_ok(run, "missing", why)


def fail_unless_ok(run: Run, status: str, error: str | None) -> None:
    """Fail where a worker failed, with the exit code that says so."""
    if status != "ok":
        run.exit_code = ExitCode.ENVIRONMENT
        pytest.fail(f"{status}: {error}", pytrace=False)
