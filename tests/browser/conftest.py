"""A real headless Chromium for tests; they are skipped, with the reason, where there is none."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_ANSWER_MS: Final = 30_000
"""How long a page or a part of it may take on a loaded machine."""


# Chromium's own sandbox does not work for root; the pages are ours.
FLAGS: Final = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.getuid() == 0 else [])]


def chromium_path() -> str | None:
    """Tell where this machine has a Chromium."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start the browser that this machine has."""
    path = chromium_path()
    if path is None:
        pytest.skip("there is no Chromium here: `make browser` says how to get one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Open an empty page with no cookies; an error in a page's script fails the test."""
    context = chromium.new_context(viewport={"width": 1_100, "height": 800}, locale="en-GB")
    opened = context.new_page()
    opened.set_default_timeout(_ANSWER_MS)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []
