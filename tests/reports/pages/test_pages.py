"""The pages as text; tests/browser looks at them in a browser."""

import functools
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from reports import __main__ as command
from reports.judging import comparison
from reports.pages import html, markdown
from reports.read import shards
from tests.support import golden
from tests.support.stored_answers import store_answers
from tests.support.stored_runs import BACKENDS, accuracy_payload, failed_payload, store_run

HOSTILE = "<script>alert(1)</script> =cmd|' /C calc'!A0 \x1b[31mred ../../etc/passwd \u202e |**x**"


class Parsed(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@functools.cache
def drawn() -> list[html.Drawn]:
    return html.draw(golden.loaded())


@pytest.fixture(scope="module")
def page() -> str:
    return html.report(golden.loaded(), drawn())


def test_a_page_needs_nothing_but_itself(page: str) -> None:
    parsed = Parsed(page)
    for name, value in parsed.attributes:
        if name in {"src", "href", "xlink:href"}:
            assert value.startswith(("#", "data:")), value
    assert not re.search(r"url\((?!#)|@import", page)
    assert "default-src 'none'" in page
    assert parsed.tags["script"] == 1
    assert parsed.tags["h1"] == 1
    assert parsed.tags["svg"] == parsed.tags["figure"] > 15
    assert len(page.encode()) < 1_500_000


def test_figures_are_files_too_and_bring_their_colours(page: str) -> None:
    files = {name: text for picture in drawn() for name, text in picture.files().items()}
    assert len(files) == Parsed(page).tags["figure"]
    assert {"ratios-1.svg", "ratios-2.svg"} <= files.keys()
    for text in files.values():
        style = ElementTree.fromstring(text)[0]  # noqa: S314 - our own
        assert style.tag.endswith("style")
        assert style.text is not None
        used = set(re.findall(r"var\((--\w+)\)", text))
        assert used <= set(re.findall(r"(--\w+):", style.text))


def test_the_sections_are_the_questions_each_with_its_finding(page: str) -> None:
    titles = re.findall(r'<h2 id="([\w-]+)">([^<]+)</h2>\s*<p class="finding', page)
    assert titles == [
        ("same-answers", "Same answers?"),
        ("how-fast", "How fast?"),
        ("where-the-time-goes", "Where does the time go?"),
        ("how-well", "How well does it learn?"),
        ("trust", "Can I believe it?"),
    ]
    first = page.index('<h2 id="same-answers"')
    assert page.index('class="screen"') < first


def test_every_figure_and_table_has_its_command_and_its_data(page: str) -> None:
    parsed = Parsed(page)
    copies = [value for name, value in parsed.attributes if name == "data-copy"]
    saves = [value for name, value in parsed.attributes if name == "data-save"]
    shown = parsed.tags["figure"] + len(re.findall(r'<details class="table"', page))
    assert len(copies) == len(saves) == shown
    assert all(copy.startswith("nox -s report -- results/golden  # ") for copy in copies)
    assert parsed.tags["template"] == parsed.tags["figure"]


def test_rows_and_figures_can_be_linked_to(page: str) -> None:
    ids = [value for name, value in Parsed(page).attributes if name == "id"]
    assert {"ratios-single_layer", "ratios-single_layer-train", "table-ratios"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_what_is_wrong_comes_before_everything_else(tmp_path: Path) -> None:
    payloads = [accuracy_payload("jax"), failed_payload("torch")]
    folder = store_run(tmp_path, payloads).path
    compared = comparison.compare(shards.read([folder]))
    text = Parsed(html.report(compared, html.draw(compared))).text
    assert text.index("FAILED single_layer") < text.index("How well does it learn?")
    lines = markdown.render(compared)
    assert lines.index("**FAILED") < lines.index("<details>")


def test_fault_28_hostile_words_are_shown_and_do_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every field of free text that a shard has."""
    good = accuracy_payload("jax")
    good["worker"] |= {"prefix": HOSTILE, "settings": {"threads": HOSTILE, "devices": [HOSTILE]}}
    bad = failed_payload("torch") | {"error": HOSTILE, "log": HOSTILE}
    other = accuracy_payload("tensorflow")
    for payload in (good, bad, other):
        payload["machine"] |= {"cpu_model": HOSTILE, "system": HOSTILE}
    folder = store_run(tmp_path, [good, bad, other], dataset_note=HOSTILE).path
    command.main([str(folder)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "alert(1)" in out
    written = (folder / "report.html").read_text()
    parsed = Parsed(written)
    assert parsed.tags["script"] == 1
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert parsed.text.count("<script>alert(1)</script>") >= 4
    summary = (folder / "report.md").read_text()
    assert "<script>" not in summary
    assert "\\*\\*x\\*\\*" in summary
    for file in [folder / "report.md", *(folder / "tables").glob("*.csv")]:
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", file.read_text()), file


def test_fault_28_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    def rename(payload: dict[str, Any], _: dict[str, Any]) -> None:
        payload["facts"]["identity"]["layers"] = ["=cmd|' /C calc'!A0", "@SUM(1)\x1b[31m"]

    changes: dict[str, Any] = dict.fromkeys((*BACKENDS, "reference"), rename)
    folder = store_answers(tmp_path, **changes).path
    command.main([str(folder)])
    quantities = pd.read_csv(folder / "tables" / "parity.csv")["quantity"]
    assert "'=cmd|' /C calc'!A0" in set(quantities)
    assert not quantities.str.match(r"[=+\-@]|.*\x1b").any()


def test_a_summary_of_a_huge_run_fits_where_it_is_read(tmp_path: Path) -> None:
    payloads = [accuracy_payload("jax", f"m{number:03}") for number in range(150)]
    text = markdown.render(comparison.compare(shards.read([store_run(tmp_path, payloads).path])))
    assert len(text.encode()) <= markdown.MAX_BYTES
    assert text.rstrip().endswith(markdown.LEFT_OUT)
    whole = markdown.render(golden.loaded())
    assert len(whole.encode()) <= markdown.MAX_BYTES
    assert len(re.sub(r"<details>.*?</details>", "", whole, flags=re.DOTALL).encode()) <= 6_000
