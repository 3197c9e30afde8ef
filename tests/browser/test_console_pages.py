"""Every page of the console in a real browser: seen, heard, by keyboard, without scripts."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from heapline.heap.connection import Send
from tests.browser.accessibility import colour_problems, keyboard_problems, naming_problems
from tests.browser.sample_site import ACME, OPERATOR, PAGES, sample_site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, StorageState

    from tests.fakes.console_data import FakeConsoleData

    Show = Callable[..., Page]

EVERY_PAGE = pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)


@pytest.fixture(scope="module")
def site(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, FakeConsoleData]]:
    """The console over made-up data."""
    del chromium
    with sample_site(tmp_path_factory.mktemp("index")) as serving:
        yield serving


@pytest.fixture(scope="module")
def cookies(chromium: Browser, site: tuple[str, FakeConsoleData]) -> StorageState:
    """Sign in once, as an operator."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(site[0])
    page.get_by_label("API token").fill(OPERATOR)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Integrations").wait_for()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def shown(
    chromium: Browser, site: tuple[str, FakeConsoleData], cookies: StorageState
) -> Iterator[Show]:
    """Open a page of the operator's, in a browser of its own."""
    with ExitStack() as contexts:

        def show(path: str, **options: Any) -> Page:  # noqa: ANN401 -- of `new_context`
            context = chromium.new_context(storage_state=cookies, **options)
            contexts.callback(context.close)
            page = context.new_page()
            page.goto(site[0] + path)
            return page

        yield show


@EVERY_PAGE
def test_everything_can_be_read(shown: Show, path: str) -> None:
    """Text and controls stand out from their ground, by day and by night."""
    page = shown(path, color_scheme="light")
    assert colour_problems(page) == []
    page.emulate_media(color_scheme="dark")
    assert colour_problems(page) == []


@EVERY_PAGE
def test_everything_has_a_name_and_a_place(shown: Show, path: str) -> None:
    """For a screen reader, and by keyboard: Tab goes from top to bottom, seen at every step."""
    page = shown(path)
    assert naming_problems(page) == []
    assert keyboard_problems(page) == []


@EVERY_PAGE
def test_nothing_is_wider_than_a_phone(shown: Show, path: str) -> None:
    """Only tables scroll sideways, within themselves (WCAG 1.4.10)."""
    page = shown(path, viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_nothing_comes_from_another_host(shown: Show, site: tuple[str, FakeConsoleData]) -> None:
    """Neither scripts nor pictures nor type."""
    page, asked = shown("/"), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES.values():
        page.goto(site[0] + path, wait_until="networkidle")
    assert {urlsplit(each).netloc for each in asked} == {urlsplit(site[0]).netloc}


def test_the_skip_link_leads_to_the_content(shown: Show) -> None:
    """The first Tab, then Enter."""
    page = shown("/console/acme")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_without_scripts(shown: Show, site: tuple[str, FakeConsoleData]) -> None:
    """Switches, audiences and replays are forms like any other."""
    url, data = site
    page = shown("/console/acme", java_script_enabled=False)
    page.get_by_role("button", name="Hold events").click()
    assert page.locator("#send-state").inner_text() == "hold"
    assert data.rows[ACME].send is Send.HOLD
    page.get_by_role("button", name="Turn Send on").click()
    page.goto(url + PAGES["audience"])
    assert "users match" in page.inner_text("main")
    page.get_by_role("button", name="Add group").click()
    assert page.get_by_role("group").count() == 3
    page.goto(url + PAGES["dead-letter"])
    page.get_by_role("button", name="Replay").click()
    assert "1 event is on the way" in page.inner_text("main")


def test_a_live_part_renews_itself(shown: Show, site: tuple[str, FakeConsoleData]) -> None:
    """The page is not loaded again for it."""
    page, data = shown("/console/birch/delivery"), site[1]
    before = data.status
    data.status = replace(before, workspaces=[])
    page.get_by_text("Nothing is waiting.").wait_for()
    data.status = before
    page.get_by_text("Heap refuses the app id").wait_for()
