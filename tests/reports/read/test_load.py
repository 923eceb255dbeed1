"""`reports.load`, the way into a notebook, and the page that states what it gives."""

import re
from pathlib import Path

import pytest

import reports
from bench.planning.plan import ROOT
from reports.judging.comparison import TABLES
from tests.support import golden
from tests.support.stored_runs import accuracy_payload, store_run


def test_every_column_is_documented_with_its_dtype() -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"## `(\w+)`\n(.*?)(?=\n## |\Z)", page, re.DOTALL))
    loaded = golden.loaded()
    assert set(sections) == set(TABLES)
    for name, frame in loaded.tables().items():
        told = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", sections[name], re.MULTILINE))
        assert told == frame.dtypes.astype(str).to_dict(), name


def test_runs_are_merged_and_what_is_damaged_is_told(tmp_path: Path) -> None:
    folders = [store_run(tmp_path, [accuracy_payload(name)]).folder for name in ("jax", "torch")]
    assert set(reports.load(*folders).accuracy["backend"]) == {"jax", "torch"}
    next(folders[0].glob("shards/single*.json")).write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        reports.load(str(folders[0]))
    with pytest.raises(ValueError, match="no such run"):
        reports.load(tmp_path / "nowhere")
