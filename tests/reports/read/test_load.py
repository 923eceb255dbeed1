"""`reports.load`, the way into a notebook, and the page that states what it gives."""

from pathlib import Path

import pytest

import reports
from reports.tables.columns import dtypes
from tests.support import golden
from tests.support.stored_runs import accuracy_payload, store_run
from tests.tools import tables_page


def test_every_table_has_the_columns_that_are_declared_and_documented() -> None:
    assert tables_page.PAGE.read_text(encoding="utf-8") == tables_page.page()
    for name, frame in golden.loaded().tables().items():
        assert frame.dtypes.astype(str).to_dict() == dtypes(name), name


def test_runs_are_merged_and_what_is_damaged_is_told(tmp_path: Path) -> None:
    folders = [store_run(tmp_path, [accuracy_payload(name)]).path for name in ("jax", "torch")]
    assert set(reports.load(*folders).accuracy["lane"]) == {"jax", "torch"}
    next(folders[0].glob("shards/single*.json")).write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        reports.load(str(folders[0]))
    with pytest.raises(ValueError, match="no such run"):
        reports.load(tmp_path / "nowhere")
