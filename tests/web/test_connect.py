"""Connecting in the browser, against the simulator's own OAuth screens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from devstack.heap_simulator import running_simulator
from heapline.errors import HeaplineError, KafkaUnavailable, NotReady
from heapline.heap.connection import Connection, Region, Send
from heapline.heap.segment_record import HeapSegment, PageAside, SegmentStatus
from heapline.words import AppId, SegmentId, Workspace
from tests.fakes.connect_site import ACME, PUBLIC, ConnectSite, links_of, text_of
from tests.fakes.page_log import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from devstack.heap_simulator import SimulatorClient

PRODUCTION, DEVELOPMENT = AppId("3100100101"), AppId("3100100909")
DAY_MS = 86_400_000
SECRET = "secret-of-a-link"


@pytest.fixture
def heap() -> Iterator[SimulatorClient]:
    """A Heap of the test's own."""
    with running_simulator() as running:
        yield running


@pytest.fixture
def site(heap: SimulatorClient) -> Iterator[ConnectSite]:
    """Pages for connecting, with nothing connected."""
    with ConnectSite(heap) as made:
        yield made


def allow(site: ConnectSite, address: str, env_id: str = PRODUCTION) -> str:
    """Open a link, choose on Heap's page, and give where Heap sends the browser."""
    back = site.heap.decide(site.browser.opens(address), env_id=env_id)
    assert back.startswith(f"{PUBLIC}/heap/callback?")
    return back


def connect(site: ConnectSite, address: str, env_id: str = PRODUCTION) -> httpx.Response:
    """The whole way; gives the page after Allow."""
    answer = site.browser.get(allow(site, address, env_id))
    assert answer.status_code == 303, answer.text
    return site.browser.get(answer.headers["location"])


def trouble(answer: httpx.Response) -> tuple[int, str]:
    """Give a page's status and the name of what went wrong."""
    text = text_of(answer)
    assert "For support: " in text, text
    return answer.status_code, text.rpartition("For support: ")[2]


def connected(workspace: str, **fields: object) -> Connection:
    """A row of a connected workspace."""
    row = Connection(Workspace(workspace), 1, region=Region.US, id_token=f"token-{workspace}")
    return replace(row, **fields)  # type: ignore[arg-type] # fields by name


def test_the_whole_way(site: ConnectSite) -> None:
    """Link, Allow, exchange, metadata: the row holds who allowed what, and no access token."""
    page = connect(site, site.invites(region=Region.EU))
    row = site.rows.rows[ACME]
    assert (row.app_id, row.env_id, row.region) == (PRODUCTION, PRODUCTION, Region.EU)
    assert row.id_token == site.heap.grants()[PRODUCTION]
    assert (row.partner_app_id, row.allowed_by) == (
        "simulated-partner-app",
        "admin@customer.example",
    )
    assert row.allowed_at_ms is not None
    assert (row.invitation_digest, row.invitation_expires_at_ms, row.send) == (None, None, Send.OFF)
    text = text_of(page)
    for said in ("acme is connected", PRODUCTION, "Data → Segments", "Confirm", "Recurring sync"):
        assert said in text
    assert row.id_token is not None
    assert row.id_token not in page.text


def test_pages_take_nothing_from_other_hosts_and_leak_no_address(site: ConnectSite) -> None:
    """No referrer, no frames, no caching; style and script are served here."""
    page = connect(site, site.invites(region=Region.US))
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "https://" not in page.text.replace(PUBLIC, "")
    for name, kind in (("connect.css", "text/css"), ("connect.js", "text/javascript")):
        assert f"/heap/assets/{name}" in page.text
        asset = site.browser.get(f"/heap/assets/{name}")
        assert (asset.status_code, asset.headers["content-type"].split(";")[0]) == (200, kind)
    assert site.browser.get("/heap/assets/other.css").status_code == 404


def test_the_cookie_stays_with_this_server(site: ConnectSite) -> None:
    """Not for scripts, not in the clear, gone after Allow."""
    answer = site.browser.get(site.invites(region=Region.US))
    cookie = answer.headers["set-cookie"].lower()
    for attribute in ("httponly", "secure", "samesite=lax", "path=/heap"):
        assert attribute in cookie
    back = site.browser.get(site.heap.decide(answer.headers["location"], env_id=PRODUCTION))
    assert "max-age=0" in back.headers["set-cookie"].lower()


def test_the_region_is_asked_for_and_never_assumed(site: ConnectSite) -> None:
    """Three answers; without one the app id waits for it."""
    address = site.invites()
    question = site.browser.get(address)
    assert "Where does Heap keep your data?" in text_of(question)
    links = links_of(question)
    assert [parse_qs(urlsplit(each).query)["region"] for each in links] == [
        ["us"],
        ["eu"],
        ["unknown"],
    ]
    page = connect(site, links[2])
    row = site.rows.rows[ACME]
    assert (row.app_id, row.region, row.connected) == (PRODUCTION, None, False)
    assert "connections set acme --region us" in text_of(page)


def test_a_link_is_good_once(site: ConnectSite) -> None:
    """Also the callback: replayed, or begun twice and ended twice."""
    address = site.invites(region=Region.US)
    second = site.browser.opens(address)
    back = allow(site, address)
    assert site.browser.get(back).status_code == 303
    version = site.rows.rows[ACME].version
    assert trouble(site.browser.get(address)) == (404, "link_not_open")
    again = site.heap.decide(second, env_id=PRODUCTION)
    site.browser.forget()
    for replayed in (back, again):
        page = site.browser.get(replayed, headers={"cookie": f"heapline_invitation={SECRET}"})
        assert trouble(page) == (404, "link_not_open")
    assert site.rows.rows[ACME].version == version


def test_a_link_expires_after_a_day(site: ConnectSite) -> None:
    """On opening, and on coming back."""
    address = site.invites(region=Region.US)
    site.clock.now_ms += DAY_MS - 1
    back = allow(site, address)
    site.clock.now_ms += 1
    assert trouble(site.browser.get(address)) == (410, "link_expired")
    assert trouble(site.browser.get(back)) == (410, "link_expired")
    assert site.rows.rows[ACME].id_token is None


def test_a_newer_link_closes_the_older(site: ConnectSite) -> None:
    """Also for who is on Heap's page already; and so does removing the connection."""
    back = allow(site, site.invites("first", Region.US))
    newer = site.invites("second", Region.US)
    assert trouble(site.browser.get(back)) == (404, "link_not_open")
    site.rows.remove(ACME)
    assert trouble(site.browser.get(newer)) == (404, "link_not_open")


@pytest.mark.parametrize("address", ["/heap/connect", "/heap/connect?invitation=guessed"])
def test_a_guessed_link_is_not_open(site: ConnectSite, address: str) -> None:
    """Knowing a workspace's name is not enough."""
    site.invites()
    assert trouble(site.browser.get(address)) == (404, "link_not_open")


def test_deny_changes_nothing_and_may_be_taken_back(site: ConnectSite) -> None:
    """The page offers the same link again."""
    address = site.invites(region=Region.US)
    before = site.rows.rows[ACME]
    page = site.browser.get(site.heap.decide(site.browser.opens(address), allow=False))
    assert trouble(page) == (403, "denied")
    assert site.rows.rows[ACME] == before
    assert links_of(page) == [address]
    assert "is connected" in text_of(connect(site, links_of(page)[0]))


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda state: "x" + state[1:],
        lambda state: state[:-1] + ("A" if state[-1] != "A" else "B"),
        lambda state: state.partition(".")[0] + ".",
        lambda _: "é.ü",
    ],
)
def test_a_forged_state_is_refused(site: ConnectSite, change: object) -> None:
    """Before Heap is asked for anything."""
    assert callable(change)
    back = allow(site, site.invites(region=Region.US))
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    page = site.browser.get("/heap/callback", params={**query, "state": change(query["state"])})
    assert trouble(page) == (400, "callback_forged")
    assert site.rows.rows[ACME].id_token is None


def test_a_state_expires(site: ConnectSite) -> None:
    """Half an hour on Heap's page, and the link is still good."""
    address = site.invites(region=Region.US)
    back = allow(site, address)
    site.clock.now_ms += 30 * 60_000
    page = site.browser.get(back)
    assert trouble(page) == (400, "callback_expired")
    assert "is connected" in text_of(connect(site, links_of(page)[0]))


def test_a_callback_in_another_browser_is_refused(site: ConnectSite) -> None:
    """Somebody else's Allow must not become this workspace's connection."""
    back = allow(site, site.invites(region=Region.US))
    page = site.another_browser().get(back)
    assert trouble(page) == (400, "callback_of_another_browser")
    assert site.rows.rows[ACME].id_token is None
    assert site.browser.get(back).status_code == 303


def test_an_environment_of_another_workspace_is_refused(site: ConnectSite) -> None:
    """By its app id or its id_token; the page names neither workspace nor token."""
    token = site.heap.grant(PRODUCTION)
    for other in (
        connected("globex", app_id=PRODUCTION, id_token=None),
        connected("globex", id_token=token),
        connected("globex", env_id=PRODUCTION),
    ):
        site.rows.rows = {other.workspace: other}
        page = site.browser.get(allow(site, site.invites(region=Region.US)))
        assert trouble(page) == (409, "already_claimed")
        assert "globex" not in page.text
        assert token not in page.text
        assert site.rows.rows[ACME].id_token is None


def test_an_app_id_that_is_there_is_left(site: ConnectSite) -> None:
    """A person set it: another environment is asked for first, and then only its segments move."""
    site.rows.rows[ACME] = connected("acme", app_id=DEVELOPMENT, id_token=None)
    question = site.browser.get(site.invites())
    assert DEVELOPMENT in text_of(question)
    same, move = links_of(question)
    page = site.browser.get(allow(site, same, PRODUCTION))
    assert trouble(page) == (409, "other_environment")
    page = connect(site, move, PRODUCTION)
    row = site.rows.rows[ACME]
    assert (row.app_id, row.env_id) == (DEVELOPMENT, PRODUCTION)
    assert f"connections set acme --app-id {PRODUCTION}" in text_of(page)
    assert site.segments.drained == []


def test_reconnecting_to_another_environment_asks_and_drains(site: ConnectSite) -> None:
    """The same one again drains nothing."""
    site.segments.segments = [segment("7")]
    connect(site, site.invites("first", Region.US))
    same, move = links_of(site.browser.get(site.invites("second")))
    connect(site, same, PRODUCTION)
    assert site.segments.drained == []
    _, move = links_of(site.browser.get(site.invites("third")))
    page = connect(site, move, DEVELOPMENT)
    assert site.segments.drained == [ACME]
    assert "1 segments of the earlier environment are being emptied" in text_of(page)
    assert site.rows.rows[ACME].env_id == DEVELOPMENT


def test_a_drain_that_fails_is_told(site: ConnectSite) -> None:
    """The connection stands; the page says which command empties the segments."""
    connect(site, site.invites("first", Region.US))
    _, move = links_of(site.browser.get(site.invites("second")))
    site.segments.problem = KafkaUnavailable("down")
    page = connect(site, move, DEVELOPMENT)
    assert "connections offboard acme --keep-connection" in text_of(page)
    assert "cannot be looked up just now" in text_of(page)
    assert site.rows.rows[ACME].env_id == DEVELOPMENT


@pytest.mark.parametrize(
    ("endpoint", "status", "expected"),
    [
        ("token", 500, (503, "heap_unavailable")),
        ("token", 429, (503, "heap_unavailable")),
        ("token", 200, (503, "heap_unavailable")),
        ("token", 400, (400, "grant_refused")),
        ("token", 401, (502, "installation_unknown")),
        ("metadata", 503, (503, "heap_unavailable")),
        ("metadata", 401, (400, "grant_refused")),
        ("metadata", 200, (503, "heap_unavailable")),
    ],
)
def test_a_heap_that_fails_uses_nothing_up(
    site: ConnectSite, endpoint: str, status: int, expected: tuple[int, str]
) -> None:
    """The same link may be opened again."""
    address = site.invites(region=Region.US)
    site.heap.spoil_oauth(endpoint, status)
    assert trouble(site.browser.get(allow(site, address))) == expected
    assert site.rows.rows[ACME].id_token is None
    assert "is connected" in text_of(connect(site, address))


def test_a_wrong_client_secret_is_the_operators_to_mend(site: ConnectSite) -> None:
    """The person at the browser can do nothing about it."""
    address = site.invites(region=Region.US)
    site.heap.change_partner_app(client_secret="another")
    assert trouble(site.browser.get(allow(site, address))) == (502, "installation_unknown")


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (KafkaUnavailable("down"), (503, "unavailable")),
        (NotReady("no topic"), (503, "not_ready")),
        (HeaplineError("what is this"), (500, "failed")),
    ],
)
def test_a_kafka_that_fails_gets_a_page(
    site: ConnectSite, problem: HeaplineError, expected: tuple[int, str]
) -> None:
    """Not a problem document: a person reads it."""
    address = site.invites(region=Region.US)
    site.rows.problem = problem
    page = site.browser.get(address)
    assert trouble(page) == expected
    assert page.headers["content-type"].startswith("text/html")


def segment(segment_id: str, **fields: object) -> HeapSegment:
    """A row of workspace acme."""
    row = HeapSegment(ACME, SegmentId(segment_id), NOW_MS, 0, 0, SegmentStatus.COMPLETE)
    return replace(row, **fields)  # type: ignore[arg-type] # fields by name


def test_the_page_shows_what_arrives(site: ConnectSite) -> None:
    """At first nothing, then the first segment; with a script, or by reloading."""
    page = connect(site, site.invites(region=Region.US))
    address = page.text.partition('data-from="')[2].partition('"')[0]
    assert "Nothing yet" in text_of(page)
    site.segments.segments = [segment("7", name="<Free> customers")]
    for shown in (site.browser.get(str(page.url)), site.browser.get(address)):
        assert "<Free> customers" in text_of(shown)
        assert "<Free>" not in shown.text
    site.clock.now_ms += DAY_MS
    assert site.browser.get(address).status_code == 400
    assert trouble(site.browser.get(str(page.url)))[0] == 400


def test_a_page_refused_for_good_is_shown_with_its_repair(site: ConnectSite) -> None:
    """Whatever its reason; until the segment was drained."""
    page = connect(site, site.invites(region=Region.US))
    aside = PageAside(NOW_MS, 3, "unknown_action")
    row = segment("7", name="Free", has_gap=True, put_aside=(aside,), put_aside_count=1)
    site.segments.segments = [row]
    shown = text_of(site.browser.get(str(page.url)))
    assert "Needs a repair" in shown
    assert "unknown_action" in shown
    assert "turn the segment's toggle" in shown
    site.segments.segments = [replace(row, has_gap=False)]
    assert "Needs a repair" not in text_of(site.browser.get(str(page.url)))


def test_a_workspace_disconnected_since_is_told_so(site: ConnectSite) -> None:
    """And a view that nobody signed shows nothing."""
    page = connect(site, site.invites(region=Region.US))
    site.rows.remove(ACME)
    assert "not connected any more" in text_of(site.browser.get(str(page.url)))
    assert trouble(site.browser.get("/heap/connected?view=acme"))[0] == 400
    assert site.browser.get("/heap/connected/status?view=acme").status_code == 400


def test_a_server_below_a_path_finds_its_own_pages(heap: SimulatorClient) -> None:
    """HEAPLINE_WEB__PUBLIC_URL may end in a path that a proxy takes away."""
    with ConnectSite(heap, f"{PUBLIC}/carrier") as site:
        address = site.invites(region=Region.US)
        back = site.heap.decide(site.browser.opens(address), env_id=PRODUCTION)
        assert back.startswith(f"{PUBLIC}/carrier/heap/callback?")
        answer = site.browser.get(
            back.replace("/carrier", "", 1), headers={"cookie": f"heapline_invitation={SECRET}"}
        )
        assert answer.headers["location"].startswith("/carrier/heap/connected?view=")
        page = site.browser.get(answer.headers["location"].removeprefix("/carrier"))
        assert '"/carrier/heap/assets/connect.css"' in page.text
