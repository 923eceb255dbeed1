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
PHONE, DESK = (390, 844), (1280, 900)


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
    return {
        "good": folder / "good" / "report.html",
        "bad": folder / "bad" / "report.html",
        "history": folder / "history.html",
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
@pytest.mark.parametrize("name", ["good", "bad", "history"])
def test_a_page_opens_fits_and_is_accessible(
    opened: Opened, name: str, size: tuple[int, int], scheme: str
) -> None:
    page = opened(name, size, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in serious] == []


def test_the_answer_is_on_the_first_screen(opened: Opened) -> None:
    page = opened("good")
    for text in ("tensorflow is fastest", "error rate after 10 epochs"):
        box = page.get_by_text(text).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < DESK[1]


def test_what_is_wrong_is_red_and_first(opened: Opened) -> None:
    page = opened("bad")
    alert = page.locator(".alerts li").first
    assert alert.text_content()
    assert page.evaluate("e => getComputedStyle(e).color", alert.element_handle()) == (
        "rgb(176, 0, 32)"
    )
    box, answer = alert.bounding_box(), page.locator("#answer").bounding_box()
    assert box is not None
    assert answer is not None
    assert box["y"] < answer["y"]


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
    table.get_by_role("button", name="backend").press("Enter")
    names = table.locator(f"tbody td:nth-child({places['backend'] + 1})").all_text_contents()
    assert names == sorted(names)


def test_a_figure_changes_its_ink_in_the_dark(opened: Opened) -> None:
    inks = []
    for scheme in ("light", "dark"):
        page = opened("good", DESK, scheme)
        text = page.locator("svg text").first
        inks.append(page.evaluate("e => getComputedStyle(e).fill", text.element_handle()))
    assert len(set(inks)) == 2
