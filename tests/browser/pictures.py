"""Takes the pictures of `docs/console.md`: `python -m tests.browser.pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS, chromium_path
from tests.browser.sample_site import OPERATOR, PAGES, sample_site

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "images"
SHOWN: Final = (
    "workspaces",
    "heap-card",
    "events",
    "segment",
    "audience",
    "delivery",
    "dead-letter",
)
WIDTH: Final = 1_000
_TALLEST: Final = 1_100


def take() -> None:
    """Write a picture of each page, and of one by night."""
    path = chromium_path()
    if path is None:
        raise SystemExit("there is no Chromium here: `make browser` says how to get one")
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        sample_site(Path(folder)) as (url, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 700})
        page.goto(url)
        page.get_by_label("API token").fill(OPERATOR)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Integrations").wait_for()
        for name in SHOWN:
            page.goto(url + PAGES[name])
            height = min(page.evaluate("document.documentElement.scrollHeight"), _TALLEST)
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
            page.screenshot(path=FOLDER / f"console-{name}.png", full_page=True, clip=clip)  # type: ignore[arg-type]  # a dict will do
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=FOLDER / "console-dark.png")
        browser.close()


if __name__ == "__main__":
    take()
