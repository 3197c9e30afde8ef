"""The console in a real browser, from the sign-in on, with real Kafka and a simulated Heap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import SyncOptions, running_simulator
from devstack.heap_simulator.faults import Poison
from tests.browser.installation import OPERATOR, READER, eventually, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from devstack.world import World
    from tests.browser.installation import Installation

pytestmark = pytest.mark.slow
ENV = "3100100101"
SEGMENT = "8101"


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
        heap.replace_environments({ENV: "Acme, production"})
        yield running


def test_from_the_sign_in_to_a_replayed_dead_letter(installation: Installation, page: Page) -> None:
    """Connect, Send, switches, a synced segment, an audience, a dead letter, replay."""
    installation.open(page, "/")
    page.get_by_label("API token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "not good here" in page.get_by_role("alert").inner_text()
    installation.sign_in(page, OPERATOR)
    _connect(page)
    _switch(page)
    _sync(installation, page)
    _target(page)
    _dead_letter(installation, page)
    page.get_by_role("button", name="Sign out").click()
    installation.sign_in(page, READER)
    page.get_by_role("link", name="acme").click()
    page.get_by_role("heading", name="acme: Heap").wait_for()
    assert page.get_by_role("button", name="Turn Send off").count() == 0


def _connect(page: Page) -> None:
    """Through Heap's own page and back."""
    page.get_by_role("textbox", name="Workspace").fill("acme")
    page.get_by_role("button", name="Connect").click()
    page.get_by_role("link", name="Go on to Heap").click()
    page.get_by_role("link", name="United States").click()
    page.get_by_role("button", name="Allow").click()
    page.get_by_role("heading", name="acme is connected with Heap").wait_for()


def _switch(page: Page) -> None:
    """Send on, one event off, and new ones off and on."""
    page.goto(page.url.partition("/heap/")[0] + "/console/acme")
    assert "by admin@customer.example" in page.inner_text("main")
    page.get_by_role("button", name="Turn Send on").click()
    assert page.locator("#send-state").inner_text() == "on"
    page.get_by_role("link", name="Events sent to Heap").click()
    page.get_by_role("switch", name="nudge_clicked").click()
    assert page.get_by_role("switch", name="nudge_clicked").inner_text() == "off"
    for state in ("off", "on"):
        page.get_by_role("switch", name="New events").click()
        page.get_by_role("switch", name="New events", checked=state == "on").wait_for()


def _sync(installation: Installation, page: Page) -> None:
    """Two pages, the first of which shows while the other is kept back."""
    heap = installation.heap
    every = {"every_seconds": 14_400, "starts_in_seconds": 14_400}
    heap.set_segment(ENV, SEGMENT, name="Paying customers", **every)
    heap.number_members(ENV, SEGMENT, 40)
    heap.sync(ENV, SEGMENT, SyncOptions(page_size=20, hold_pages=frozenset({2})))
    eventually(page, f"{installation.url}/console/acme/segments", "page 1 of 2")
    heap.send_late(ENV, SEGMENT)
    eventually(page, f"{installation.url}/console/acme/segments", "complete")
    page.get_by_role("link", name="Paying customers").click()
    assert "40 members" in page.inner_text("#state")
    page.get_by_label("User id", exact=True).fill("user-7")
    page.get_by_role("button", name="Look").click()
    assert "user-7 is in, since" in page.inner_text("main")
    page.get_by_label("User id", exact=True).fill("u7")
    page.get_by_role("button", name="Look").click()
    assert "The usual cause is a wrong Heap User ID" in page.inner_text("main")
    page.get_by_label("Part of a user id").fill("USER-3")
    page.get_by_role("button", name="Find").click()
    assert page.locator("ul.ids li").count() == 11
    eventually(page, page.url, "between 0 and 40 meanwhile")


def _target(page: Page) -> None:
    """An audience's size, and one user's answer."""
    page.get_by_role("link", name="Audience").click()
    page.get_by_label("Heap Segment").fill("Paying customers")
    page.get_by_label("Test a user id").fill("user-7")
    page.get_by_role("button", name="Show").click()
    assert "40 users match" in page.inner_text("main")
    assert "user-7: match." in page.inner_text("main")
    page.get_by_label("Operator of condition 1").select_option("is not")
    page.get_by_role("button", name="Show").click()
    assert "user-7: no match." in page.inner_text("main")


def _dead_letter(installation: Installation, page: Page) -> None:
    """Heap refuses an event, a person finds out why, and sends it again when Heap is mended."""
    heap = installation.heap
    heap.faults(Poison(event="survey_response"))
    good = [{"name": "nudge_shown", "data": {"n": n}, "user_id": f"user-{n}"} for n in range(9)]
    bad = {"name": "survey_response", "data": {"score": 9}, "user_id": "user-7"}
    installation.publish([*good, bad])
    eventually(page, f"{installation.url}/console/acme/delivery", "rejected_by_heap")
    page.locator("tbody th a").first.click()
    page.get_by_role("heading", name="Dead letter").wait_for()
    eventually(page, page.url, "survey_response")
    assert '"score": 9' in page.inner_text("main")
    heap.clear_faults()
    page.get_by_role("button", name="Replay").click()
    assert "1 event is on the way" in page.get_by_role("status").inner_text()
    for _ in range(60):
        if len(heap.keys(ENV)) == len(good) + 1:
            break
        page.wait_for_timeout(500)
    assert len(heap.keys(ENV)) == len(good) + 1
    page.get_by_role("link", name="Back to Delivery").click()
    assert page.get_by_text("rejected_by_heap").count() == 0
    page.get_by_role("link", name="Heap", exact=True).click()
    eventually(page, page.url, "user-7")
