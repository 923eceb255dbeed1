"""What is kept of what workers say."""

import pytest

from bench.contract.errors import WorkerError
from bench.contract.units import Lane
from bench.coordinator.records import KEPT_CHARACTERS, checked, ended, greeted
from bench.process.worker_process import Worker
from tests.support.stored_runs import accuracy_payload

LANE = Lane("jax", "cpu", "")


@pytest.mark.parametrize("told", [float("inf"), {"a": float("nan")}, "\ud800", ["1"]])
def test_what_no_report_reads_is_refused_in_the_name_of_who_said_it(told: object) -> None:
    with pytest.raises(WorkerError, match=r"^jax on cpu: said what no report reads: ") as caught:
        checked(told, float, LANE)
    assert caught.value.status == "invalid"


def test_of_a_long_error_the_beginning_is_kept_and_of_a_long_log_the_end() -> None:
    error = WorkerError(
        "crashed", "a" + "\udc80" * KEPT_CHARACTERS, "\udc80" * KEPT_CHARACTERS + "z"
    )
    kept = ended(error)
    assert len(kept["error"]) == len(kept["log"]) == KEPT_CHARACTERS
    assert kept["error"][0] + kept["log"][-1] == "az"


def test_a_worker_that_names_no_version_of_its_backend_is_refused() -> None:
    class Nameless(Worker):
        def __init__(self) -> None:
            self.lane = LANE

        def greet(self) -> dict[str, object]:
            told = dict(accuracy_payload("jax")["worker"])
            return told | {"versions": {"keras": "3.0", "numpy": "2.0", "python": "3.11"}}

    with pytest.raises(WorkerError, match=r"^jax on cpu: named no version of jax$"):
        greeted(Nameless())
