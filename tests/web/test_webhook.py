"""The webhook as Heap sees it: what is accepted, what is refused, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heapline.errors import KafkaUnavailable, NotReady
from heapline.heap.connection import Connection
from heapline.heap.segment_page import Action
from heapline.heap.signature import Window
from heapline.kafka.position import HEADER as POSITION
from heapline.kafka.position import Position
from heapline.telemetry.metrics import REGISTRY
from heapline.words import Workspace
from producers.page_log import PageTooLarge
from producers.segment_intake import SegmentIntake, Trust
from tests.fakes.page_log import (
    NOW_MS,
    TOKEN,
    FakePageLog,
    StandingClock,
    WebhookSite,
    call,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site() -> Iterator[WebhookSite]:
    """A webhook for workspace acme."""
    with WebhookSite() as running:
        yield running


def data(**members: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    """A call with other data about segment 7."""
    return call(data={"segment": {"id": 7}, **members})


def counted(result: str) -> float:
    """How many calls had a result, in this process."""
    found = REGISTRY.get_sample_value("heapline_segment_pages_received_total", {"result": result})
    return found or 0.0


def test_a_good_call_is_written_and_then_answered(site: WebhookSite) -> None:
    """200 comes with the place where the page stands."""
    before = counted("accepted")
    response = site.send(call(), age_ms=200)
    assert response.status_code == 200
    place = Position.of(0, 0, "acme", "7")
    assert response.headers[POSITION] == str(place)
    assert response.json() == {"status": "accepted", "position": str(place)}
    (page,) = site.log.pages
    assert (page.workspace, page.segment_id, page.segment_name) == ("acme", "7", "Free Customers")
    assert (page.action, page.add, page.remove) == (Action.SYNC, ("u-1",), ("u-2",))
    assert (page.sync_task_id, page.page_number, page.total_pages) == ("s-1", 1, 1)
    assert (page.signed_at_ms, page.received_at_ms) == (NOW_MS - 200, NOW_MS)
    assert counted("accepted") == before + 1


@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        ({"header": None}, 400, "signature-missing"),
        ({"header": "hmac:abc"}, 400, "signature-malformed"),
        ({"age_ms": 61_000}, 400, "signature-stale"),
        ({"age_ms": -2_500}, 400, "signature-stale"),
        ({"secret": b"wrong"}, 403, "signature-wrong"),
    ],
)
def test_a_bad_signature_is_refused(
    site: WebhookSite, arguments: dict[str, Any], status: int, kind: str
) -> None:
    """Before anything in the body matters; nothing is written."""
    response = site.send(b"\xff", **arguments)
    assert (response.status_code, response.json()["type"]) == (
        status,
        f"urn:heapline:problem:{kind}",
    )
    assert response.headers["content-type"] == "application/problem+json"
    assert site.log.pages == []


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "not-json"),
        ([], 400, "not-an-object"),
        (call(action_type="x"), 405, "unknown-action"),
        (call(action_type="x", id_token="?"), 405, "unknown-action"),
        (data(), 400, "neither-add-nor-remove"),
        (data(add=7), 400, "users-malformed"),
        (call(data={"add": []}), 400, "segment-missing"),
        (call(data=None), 400, "data-missing"),
        (call(id_token=None), 400, "id-token-missing"),
        (call(id_token="?"), 404, "unknown-customer"),
    ],
)
def test_a_signed_call_that_means_nothing_is_refused(
    site: WebhookSite, body: object, status: int, kind: str
) -> None:
    """Each with its status and its own name, counted under it."""
    before = counted(kind.replace("-", "_"))
    response = site.send(body)
    assert (response.status_code, response.json()["type"]) == (
        status,
        f"urn:heapline:problem:{kind}",
    )
    assert not [page for page in site.log.pages if page.action is not Action.REFUSED]
    assert counted(kind.replace("-", "_")) == before + 1


def test_a_refused_call_is_kept_once_to_be_shown(site: WebhookSite) -> None:
    """Heap sends it again and again; the connection shows it, with why."""
    for _ in range(3):
        assert site.send(data()).status_code == 400
    (page,) = site.log.pages
    assert (page.workspace, page.segment_id, page.action) == ("acme", "7", Action.REFUSED)
    assert page.refusal == "neither_add_nor_remove"
    site.log.problem = KafkaUnavailable("down")
    assert site.send(data(add=7)).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        data(add=[]),
        data(remove=[]),
        call(customer_config=None),
        call(customer_config={}),
        call(action_type="segment.users.drain", data={"segment": {"id": "x"}}),
        data(add=[{"id": "u" * 1_000_000}, {"id": "b"}]),
        data(add=[{"id": ""}, {"id": 7}, {"id": "\x00🎉"}]),
    ],
)
def test_whatever_can_mean_something_is_taken(site: WebhookSite, body: object) -> None:
    """A page refused for good would leave the segment wrong for good."""
    assert site.send(body).status_code == 200


def test_a_call_without_id_token_means_the_own_workspace() -> None:
    """Heap's sample of a drain carries none."""
    with WebhookSite(own="acme-own") as site:
        assert site.send(call(id_token=None)).status_code == 200
        assert site.log.pages[0].workspace == "acme-own"


def test_an_unknown_id_token_waits_for_the_registry(site: WebhookSite) -> None:
    """Until it was read to its end nobody knows; then it is nobody's."""
    site.connections.waiting_for = "the connections to be read"
    response = site.send(call())
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert "the connections to be read" in response.json()["detail"]
    site.connections.become_ready()
    assert site.send(call()).status_code == 200
    assert site.send(call(id_token="?")).status_code == 404


def test_an_id_token_moves_with_its_connection(site: WebhookSite) -> None:
    """Given up by one workspace and taken by another, it is the other's."""
    assert site.send(call()).status_code == 200
    site.connections.put(Connection(Workspace("acme")))
    site.connections.put(Connection(Workspace("zeta"), id_token=TOKEN))
    assert site.send(call()).status_code == 200
    site.connections.remove(Workspace("zeta"))
    assert site.send(call()).status_code == 404
    assert [page.workspace for page in site.log.pages] == ["acme", "zeta"]


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (KafkaUnavailable("the brokers are away"), 503),
        (NotReady("there is no topic"), 503),
        (PageTooLarge("too large"), 413),
    ],
)
def test_what_is_not_written_is_not_accepted(
    site: WebhookSite, problem: Exception, status: int
) -> None:
    """Heap tries again; nothing is half-written."""
    assert isinstance(problem, KafkaUnavailable | NotReady | PageTooLarge)
    site.log.problem = problem
    response = site.send(call())
    assert (response.status_code, response.json()["detail"]) == (status, str(problem))
    site.log.problem = None
    assert site.send(call()).status_code == 200
    assert len(site.log.pages) == 1


def test_a_replayed_call_is_good_for_a_minute(site: WebhookSite) -> None:
    """Within it, the same page again changes nothing; after it, the call is refused."""
    assert site.send(call()).status_code == 200
    assert site.send(call()).status_code == 200
    first, second = site.log.pages
    assert first == second
    site.clock.now_ms += 60_001
    assert site.send(call(), age_ms=60_001).status_code == 400


def test_too_large_a_body_is_refused_while_it_streams() -> None:
    """Announced or not, whether or not it is signed rightly."""
    with WebhookSite(max_body_bytes=1_000) as site:
        assert site.send(b"x" * 1_001).status_code == 413
        assert site.send(b"x" * 1_001, secret=b"wrong").status_code == 413
        assert site.send(call()).status_code == 200


def test_a_large_body_is_taken(site: WebhookSite) -> None:
    """A page of 100,000 users, over the size at which a thread does the reading."""
    users = [{"id": f"user-{n}@example.org"} for n in range(100_000)]
    assert site.send(data(add=users)).status_code == 200
    assert len(site.log.pages[0].add) == 100_000
    assert site.send(data(add=users), secret=b"wrong").status_code == 403


def test_no_token_is_needed_where_others_are() -> None:
    """Heap's signature is the proof."""
    tokens = [{"name": "ops", "token": "operate-token-0001", "role": "operate"}]
    with WebhookSite(api_tokens=tokens) as site:
        assert site.send(call()).status_code == 200


def test_other_methods_are_not_supported(site: WebhookSite) -> None:
    """A person who looks at the address learns that it is there."""
    assert site.ask("/heap/webhook").status_code == 405


def test_readiness_waits_for_the_topic() -> None:
    """`/readyz` says what keeps pages out."""
    site = WebhookSite()
    site.log.problem = NotReady("there is no topic: run `heapline topics apply`")
    with site:
        assert site.ask("/readyz").json()["failing"] == ["webhook"]


def test_without_a_secret_nothing_is_taken() -> None:
    """An unset secret must not become an empty one."""
    site = WebhookSite()
    intake = SegmentIntake(FakePageLog(), site.connections, Trust((), Window()), StandingClock())
    with pytest.raises(NotReady, match="WEBHOOK_SECRETS"):
        intake.greet("ts:1,hmac:abc")


def test_stopping_closes_what_is_behind_it() -> None:
    """Pages on their way are waited for, the table is no longer followed."""
    with WebhookSite() as site:
        pass
    assert site.log.is_closed
    assert site.connections.is_closed
