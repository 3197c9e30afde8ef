"""The console in a real browser, from the sign-in on, with real Kafka and a simulated Heap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import running_simulator
from tests.browser.installation import OPERATOR, READER, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from devstack.world import World
    from tests.browser.installation import Installation

pytestmark = pytest.mark.slow


@pytest.fixture
def installation(
    chromium: Browser, world: World, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """All of heapline; not started where there is no browser to look at it."""
    del chromium
    with (
        running_simulator() as heap,
        installed(world, prefix, heap, tmp_path_factory.mktemp("heapline")) as running,
    ):
        yield running


def test_signing_in(installation: Installation, page: Page) -> None:
    """A wrong token is refused; a reader sees no switches."""
    installation.open(page, "/")
    page.get_by_label("API token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "not good here" in page.get_by_role("alert").inner_text()
    installation.sign_in(page, READER)
    page.get_by_role("button", name="Sign out").click()
    installation.sign_in(page, OPERATOR)
