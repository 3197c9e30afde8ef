"""The console's pages, asked in this process: who may see and change what, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heapline.heap.connection import Connection, Region, Send
from heapline.memberships import MembershipReader, SegmentRow
from heapline.words import AppId, SegmentId, Workspace
from tests.fakes.console_data import FakeConsoleData
from tests.small_index import write_index
from tests.web.console.site import Browser
from tests.web.lookup_site import LookupSite
from web.console.data import EventCount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ACME = Connection(Workspace("acme"), 1, 0, AppId("11"), Region.US, Send.OFF)
_SHOP = Connection(Workspace("shop"), 1, 0)


@pytest.fixture
def data() -> FakeConsoleData:
    """Two workspaces, one of them connected."""
    return FakeConsoleData(_ACME, _SHOP)


@pytest.fixture
def indexed(data: FakeConsoleData, tmp_path: Path) -> Iterator[FakeConsoleData]:
    """The same with an index of two workspaces."""
    site = LookupSite(tmp_path / "index")
    site.publish(1)
    data.view = MembershipReader(tmp_path / "index").pinned()
    yield data
    site.stop()


def test_workspaces_are_listed(data: FakeConsoleData) -> None:
    """Each with what its state means."""
    text = Browser(data).page("/")
    assert "acme" in text
    assert "Connected; events are not sent." in text
    assert "Not connected to Heap." in text


def test_send_is_turned_on(data: FakeConsoleData) -> None:
    """By a form, and the page says so."""
    browser = Browser(data)
    assert browser.submit("/console/acme", "/console/acme/send", send="on") == 303
    assert data.rows[Workspace("acme")].send is Send.ON
    assert '<strong id="send-state">on</strong>' in browser.page("/console/acme")


def test_an_unknown_workspace_is_told(data: FakeConsoleData) -> None:
    """With what makes one."""
    answer = Browser(data).client.get("/console/acmee")
    assert answer.status_code == 404
    assert "connect it on the first page" in answer.text


def test_send_may_be_set_before_an_environment_is_chosen(data: FakeConsoleData) -> None:
    """It starts then."""
    browser = Browser(data)
    browser.submit("/console/shop", "/console/shop/send", send="on")
    assert "Starts when a Heap environment is chosen." in browser.page("/")


@pytest.mark.parametrize("send", ["", "loud"])
def test_another_send_is_refused(data: FakeConsoleData, send: str) -> None:
    """Nothing is changed."""
    browser = Browser(data)
    assert browser.submit("/console/acme", "/console/acme/send", send=send) == 400
    assert data.rows[Workspace("acme")].send is Send.OFF


def test_a_form_of_another_site_changes_nothing(data: FakeConsoleData) -> None:
    """It cannot know the form's token."""
    browser = Browser(data)
    for token in ("", "0" * 64):
        sent = {"form_token": token, "send": "on"}
        assert browser.client.post("/console/acme/send", data=sent).status_code == 403
    assert data.rows[Workspace("acme")].send is Send.OFF


def test_an_event_is_switched_off_and_on(data: FakeConsoleData) -> None:
    """Off writes an exact exclude, on takes it away."""
    browser = Browser(data)
    page, row = "/console/acme/events", Workspace("acme")
    assert browser.submit(page, page, event="nudge_shown", on="no") == 303
    assert data.rows[row].exclude == ("nudge_shown",)
    assert browser.submit(page, page, event="nudge_shown", on="yes") == 303
    assert data.rows[row].exclude == ()


def test_an_event_with_a_pattern_in_its_name(data: FakeConsoleData) -> None:
    """Switching `a*` off leaves `ab` on."""
    browser = Browser(data)
    data.counts = [EventCount("a*", "delivered", "", 1, "2026-01-01 10:00 UTC")]
    browser.submit("/console/acme/events", "/console/acme/events", event="a*", on="no")
    assert data.rows[Workspace("acme")].exclude == ("a[*]",)


def test_a_persons_own_filter_is_left_alone(data: FakeConsoleData) -> None:
    """What a pattern decides, a switch does not."""
    data.rows[Workspace("acme")] = Connection(
        Workspace("acme"), 1, 0, AppId("11"), Region.US, exclude=("nudge_*",)
    )
    browser = Browser(data)
    page = "/console/acme/events"
    assert browser.submit(page, page, event="nudge_shown", on="yes") == 400
    assert data.rows[Workspace("acme")].exclude == ("nudge_*",)


def test_events_say_what_became_of_them(data: FakeConsoleData) -> None:
    """Counts of the last day, and reasons in words; an unknown name is an event like any other."""
    data.counts = [
        EventCount("nudge_shown", "delivered", "", 1_234, "2026-01-01 10:00 UTC"),
        EventCount("brand_new", "skipped", "anonymous", 7, "2026-01-01 10:00 UTC"),
    ]
    text = Browser(data).page("/console/acme/events")
    assert "1,234" in text
    assert "It carried no user id. (7)" in text
    assert "not in the published catalogue" in text


def test_nobody_is_let_in_without_a_token(data: FakeConsoleData) -> None:
    """Every page leads to the sign-in, and no form is taken."""
    browser = Browser(data, guarded=True)
    for path in ("/", "/console/acme", "/console/acme/segments"):
        answer = browser.client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
    assert browser.client.post("/console/acme/send", data={"send": "on"}).status_code == 303
    assert data.rows[Workspace("acme")].send is Send.OFF


@pytest.mark.parametrize("token", ["wrong", "", "publish-token-0001"])
def test_a_token_that_is_not_good_here(data: FakeConsoleData, token: str) -> None:
    """Wrong ones, and those that may only publish."""
    browser = Browser(data, guarded=True)
    assert browser.sign_in(token) == 403
    assert browser.client.get("/").status_code == 303


def test_a_reader_looks_and_changes_nothing(data: FakeConsoleData) -> None:
    """There is no button, and a forged form is refused."""
    browser = Browser(data, guarded=True)
    assert browser.sign_in("reading-token-0001") == 303
    assert "Turn Send on" not in browser.page("/console/acme")
    assert browser.submit("/console/acme", "/console/acme/send", send="on") == 403
    assert data.rows[Workspace("acme")].send is Send.OFF


def test_a_token_of_one_workspace_sees_no_other(data: FakeConsoleData) -> None:
    """Not even that it is there."""
    browser = Browser(data, guarded=True)
    browser.sign_in("limited-token-0001")
    assert "shop" not in browser.page("/")
    assert browser.client.get("/console/shop").status_code == 404
    assert browser.submit("/console/acme", "/console/acme/send", send="on") == 303


def test_signing_out(data: FakeConsoleData) -> None:
    """The cookie is gone."""
    browser = Browser(data, guarded=True)
    browser.sign_in("operate-token-0001")
    assert browser.submit("/", "/console/sign-out") == 303
    assert browser.client.get("/").status_code == 303


def test_a_cookie_of_another_key_is_none(data: FakeConsoleData) -> None:
    """Forged, cut, or of another process."""
    other = Browser(data, guarded=True)
    other.sign_in("operate-token-0001")
    cookie = other.client.cookies["heapline_console"]
    browser = Browser(data, guarded=True)
    for text in (cookie, cookie[:-3], "x", ""):
        browser.client.cookies.set("heapline_console", text)
        assert browser.client.get("/").status_code == 303


def test_guessing_is_slow(data: FakeConsoleData) -> None:
    """After ten tries, wait; even a right token does then."""
    browser = Browser(data, guarded=True)
    assert [browser.sign_in("wrong") for _ in range(11)] == [403] * 10 + [429]
    assert browser.sign_in("operate-token-0001") == 429


def test_a_foreign_host_is_refused(data: FakeConsoleData) -> None:
    """Without tokens the console answers to localhost only: DNS may point anywhere."""
    browser = Browser(data)
    answer = browser.client.get("/", headers={"host": "evil.example"})
    assert answer.status_code == 421


def test_nothing_is_loaded_from_elsewhere(data: FakeConsoleData) -> None:
    """The browser is told, and the pages name no other host."""
    browser = Browser(data)
    for path in ("/", "/console/acme", "/console/acme/events"):
        answer = browser.client.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "http://" not in answer.text
        assert "https://" not in answer.text
    for name in ("console.css", "console.js"):
        text = browser.client.get(f"/console/static/{name}").text
        assert text
        assert "http" not in text
    assert browser.client.get("/console/static/%2e%2e%2froutes.py").status_code == 404


def test_what_people_typed_is_shown_as_text(data: FakeConsoleData) -> None:
    """A name cannot smuggle in a script."""
    data.counts = [EventCount("<script>alert(1)</script>", "delivered", "", 1, "now")]
    text = Browser(data).page("/console/acme/events")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_without_an_index_the_page_says_what_to_do(data: FakeConsoleData) -> None:
    """And the rest of the console works."""
    browser = Browser(data)
    assert "heapline materialize" in browser.page("/console/acme/segments")
    assert browser.client.get("/console/acme/audience").status_code == 503


def test_segments_and_their_members(indexed: FakeConsoleData) -> None:
    """Name, size and state; a user is in or not."""
    browser = Browser(indexed)
    view = indexed.memberships()
    row = view.segments("acme")[0]
    text = browser.page("/console/acme/segments")
    assert row.name in text
    (member, *_) = view.members_page("acme", row.segment_id, None, 1).users
    path = f"/console/acme/segments/{row.segment_id}"
    assert "is in, since" in browser.client.get(path, params={"user": member}).text
    assert "is not in" in browser.client.get(path, params={"user": "nobody"}).text
    assert browser.client.get("/console/acme/segments/nope").status_code == 404


def test_many_segments_come_page_by_page(data: FakeConsoleData, tmp_path: Path) -> None:
    """By name, and found by a part of it."""
    rows = [SegmentRow("acme", str(n), f"Segment {n:03}", "complete") for n in range(150)]
    write_index(tmp_path / "index", rows, {})
    data.view = MembershipReader(tmp_path / "index").pinned()
    browser = Browser(data)
    first = browser.page("/console/acme/segments")
    assert "1 to 100 of 150" in first
    assert "Segment 100" not in first
    assert "Segment 149" in browser.page("/console/acme/segments?find=&from=100")
    found = browser.page("/console/acme/segments?find=SEGMENT+14")
    assert found.count('<th scope="row">') == 10
    assert "No segment has that" in browser.page("/console/acme/segments?find=nope")


def test_a_drain_has_to_be_meant(indexed: FakeConsoleData) -> None:
    """The box must be ticked."""
    browser = Browser(indexed)
    segment = indexed.memberships().segments("acme")[0].segment_id
    page = f"/console/acme/segments/{segment}"
    assert browser.submit(page, f"{page}/drain") == 400
    assert browser.submit(page, f"{page}/drain", sure="yes") == 303
    assert indexed.drained == [(Workspace("acme"), SegmentId(segment))]


def test_an_audience_is_built(indexed: FakeConsoleData) -> None:
    """Its exact size, a user's answer, and the JSON that the API takes."""
    browser = Browser(indexed)
    view = indexed.memberships()
    row = view.segments("acme")[0]
    (member, *_) = view.members_page("acme", row.segment_id, None, 1).users
    asked = {"g0.operator": "is", "g0.segment": row.name, "user": member}
    text = browser.client.get("/console/acme/audience", params=asked).text
    assert f"<strong>{view.count('acme', row.segment_id):,}</strong> users match" in text
    assert f"<strong>{member}</strong>: match." in text
    assert "rule_expression" in text
    wrong = {"g0.operator": "is", "g0.segment": "nope"}
    assert "no segment nope" in browser.client.get("/console/acme/audience", params=wrong).text
