"""The pages in a real Chromium: from disk, without a network."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from reports import __main__ as command
from tests.reports.pages.test_pages import HOSTILE
from tests.support import golden
from tests.support.stored_runs import accuracy_payload, failed_payload, store_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE, DESK, FIRST_SCREEN = (390, 844), (1280, 900), (1280, 800)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium"
    quiet = ("networking", "component-update", "sync")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
            + [
                f"--disable-{'background-' if name == 'networking' else ''}{name}" for name in quiet
            ],
        )
        yield found
        found.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    command.main([str(golden.RUN), "--output", str(folder / "good")])
    bad = [accuracy_payload("jax"), failed_payload("torch") | {"error": HOSTILE}]
    run = store_run(folder, bad, dataset_note=HOSTILE).path
    command.main([str(run), "--output", str(folder / "bad")])
    for number in range(6):
        made = store_run(folder / "made", [accuracy_payload("jax")]).path
        made.rename(folder / f"run{number}")
    command.main(["history", str(folder)])
    command.main(["compare", str(golden.RUN), str(golden.RUN), "--output", str(folder / "good")])
    return {
        "good": folder / "good" / "report.html",
        "bad": folder / "bad" / "report.html",
        "history": folder / "history.html",
        "compare": folder / "good" / "compare.html",
    }


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, files: dict[str, Path]) -> Iterator[Opened]:
    """Open a page; whatever the browser complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(name: str, size: tuple[int, int] = DESK, scheme: Any = "light") -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            offline=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:"))
                else complaints.append(request.url)
            ),
        )
        page.goto(files[name].as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("name", ["good", "bad", "history", "compare"])
def test_a_page_opens_fits_and_is_accessible(
    opened: Opened, name: str, size: tuple[int, int], scheme: str
) -> None:
    page = opened(name, size, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in serious] == []


@pytest.mark.parametrize("size", [PHONE, FIRST_SCREEN])
def test_the_answer_is_on_the_first_screen(opened: Opened, size: tuple[int, int]) -> None:
    """Which is fastest, by how much, whether they answer alike, and whether to believe it."""
    page = opened("good", size)
    for text in ("fastest", "0.49x", "yes", "trains fastest here", "Can be believed: yes"):
        box = page.get_by_text(text).first.bounding_box()
        assert box is not None, text
        assert box["y"] + box["height"] < size[1], text


def test_a_page_is_not_endless_with_its_details_folded(opened: Opened) -> None:
    page = opened("good", (1280, 800))
    assert page.evaluate("document.documentElement.scrollHeight") <= 8_000


def test_what_is_wrong_is_red_and_first(opened: Opened) -> None:
    page = opened("bad")
    alert = page.locator(".notes .grave").first
    assert alert.text_content()
    assert page.evaluate("e => getComputedStyle(e).color", alert.element_handle()) == (
        "rgb(176, 0, 32)"
    )
    box, section = alert.bounding_box(), page.locator("h2").first.bounding_box()
    assert box is not None
    assert section is not None
    assert box["y"] < section["y"]


def test_filters_narrow_tables_and_figures(opened: Opened) -> None:
    page = opened("good")
    page.locator("#table-ratios summary").click()
    rows = page.locator("#table-ratios tbody tr:visible")
    everything = rows.count()
    page.select_option("select[name=model]", "two_layer")
    assert 0 < rows.count() < everything
    assert {text.split()[0] for text in rows.locator("td:first-child").all_text_contents()} == {
        "two_layer"
    }
    assert not page.locator("#ratios-single_layer").is_visible()
    page.select_option("select[name=lane]", "JAX")
    pairs = rows.all_text_contents()
    assert pairs
    assert all("JAX" in text for text in pairs)
    page.select_option("select[name=model]", "")
    page.select_option("select[name=lane]", "")
    assert rows.count() == everything


def test_a_link_opens_what_is_folded(opened: Opened) -> None:
    page = opened("good")
    assert not page.locator("#table-ratios table").is_visible()
    page.evaluate("location.hash = 'ratios-single_layer-train'")
    row = page.locator("#ratios-single_layer-train")
    row.wait_for(state="visible")
    assert "single_layer" in (row.text_content() or "")


def test_commands_are_copied_and_data_is_saved(opened: Opened) -> None:
    page = opened("good")
    figure = page.locator("#ratios-single_layer")
    with page.expect_download() as saved:
        figure.get_by_role("button", name="Save").click()
    text = Path(saved.value.path()).read_text()
    assert saved.value.suggested_filename == "ratios-single_layer.csv"
    assert text.splitlines()[0].startswith("model,variant,")
    figure.get_by_role("button", name="Copy").click()
    assert "copied" in (figure.get_by_role("button", name="Copy").text_content() or "")
    page.locator("#table-ratios summary").click()
    with page.expect_download() as saved:
        page.locator("#table-ratios").get_by_role("button", name="Save").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    assert len(lines) == 1 + page.locator("#table-ratios tbody tr").count()


def test_without_script_all_can_be_read(browser: Browser, files: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(files["good"].as_uri())
    assert not page.locator(".filters").is_visible()
    assert not page.locator(".tools").first.is_visible()
    assert page.get_by_text("trains fastest here").first.is_visible()
    page.locator("#table-ratios summary").click()
    assert page.locator("#table-ratios table").is_visible()
    context.close()


def test_a_click_on_a_heading_sorts_by_number(opened: Opened) -> None:
    page = opened("good")
    table = page.locator("details", has_text="Every cell").last
    table.locator("summary").click()
    places = {text: n for n, text in enumerate(table.locator("th").all_text_contents())}
    column = places["error_percent"]

    def shown() -> list[float]:
        cells = table.locator(f"tbody td:nth-child({column + 1})").all_text_contents()
        return [float(cell) for cell in cells]

    before = shown()
    button = table.get_by_role("button", name="error_percent")
    button.click()
    assert shown() == sorted(before)
    assert table.locator("th").nth(column).get_attribute("aria-sort") == "ascending"
    button.click()
    assert shown() == sorted(before, reverse=True)
    table.get_by_role("button", name="lane").press("Enter")
    names = table.locator(f"tbody td:nth-child({places['lane'] + 1})").all_text_contents()
    assert names == sorted(names)


def test_a_figure_changes_its_ink_in_the_dark(opened: Opened) -> None:
    inks = []
    for scheme in ("light", "dark"):
        page = opened("good", DESK, scheme)
        text = page.locator("svg text").first
        inks.append(page.evaluate("e => getComputedStyle(e).fill", text.element_handle()))
    assert len(set(inks)) == 2
