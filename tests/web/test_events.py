from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.errors import InvalidEvent, KafkaUnavailable
from heapline.events.shapes import id_text, to_event
from heapline.words import Workspace
from web.events import MAX_EVENTS, workspace_of

if TYPE_CHECKING:
    import httpx

    from tests.web.conftest import Site

EVENT = {"name": "nudge_shown", "user_id": "u1", "organization_key": "acme", "data": {"a": 1}}


def results(response: httpx.Response) -> list[dict[str, Any]]:
    """Give the results of a 200."""
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Give a problem after checking its kind."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"urn:heapline:problem:{kind}"
    assert body["status"] == status
    return body


def test_one_event_is_accepted_after_the_brokers_hold_it(site: Site) -> None:
    """The answer carries the id, and the record is there."""
    (result,) = results(site.post(EVENT))
    assert result["status"] == "accepted"
    assert result["error"] is None
    assert result["event_id"]
    ((key, value),) = site.kafka.acknowledged
    assert key == b"acme"
    assert result["event_id"].encode() in value


def test_a_list_is_answered_in_its_order(site: Site) -> None:
    """Good and bad items side by side; one bad item spoils no other."""
    items = [EVENT, 7, {**EVENT, "name": ""}, {"name": "x"}, None, {**EVENT, "name": "last"}]
    found = results(site.post(items))
    assert [each["index"] for each in found] == [0, 1, 2, 3, 4, 5]
    assert [each["error"] and each["error"]["reason"] for each in found] == [
        None,
        "not_an_object",
        "name_missing",
        "workspace_missing",
        "not_an_object",
        None,
    ]
    assert all((each["event_id"] is None) == (each["status"] == "rejected") for each in found)
    assert not any(each["error"]["retry"] for each in found if each["error"])
    assert len(site.kafka.acknowledged) == 2


def test_an_empty_list_has_no_results(site: Site) -> None:
    """Nothing sent, nothing refused."""
    assert results(site.post([])) == []


def test_lines_keep_their_index(site: Site) -> None:
    """NDJSON: blank lines are left out, a line that is no JSON is refused in its place."""
    body = json.dumps(EVENT) + '\n\n{"half":\n\xff\n' + json.dumps(EVENT)
    found = results(
        site.ask(
            "POST",
            "/v1/events",
            content=body.encode("latin-1"),
            headers={"content-type": "application/x-ndjson; charset=utf-8"},
        )
    )
    assert [each["error"] and each["error"]["reason"] for each in found] == [
        None,
        "not_json",
        "not_utf8",
        None,
    ]


@pytest.mark.parametrize(
    ("event", "query", "expected"),
    [
        ({"organization_key": "a", "workspace": "b"}, "c", b"a"),
        ({"workspace": "b"}, "c", b"b"),
        ({}, "c", b"c"),
        ({"organization_key": 7}, "c", b"7"),
        ({"organization_key": "", "workspace": None}, "c", b"c"),
        ({}, "7", b"7"),
    ],
)
def test_workspace_is_looked_for_in_order(
    site: Site, event: dict[str, object], query: str, expected: bytes
) -> None:
    """`organization_key`, else the item's `workspace`, else `?workspace=`."""
    results(site.post({"name": "x", **event}, params={"workspace": query}))
    assert [key for key, _ in site.kafka.acknowledged] == [expected]


def test_a_blank_workspace_in_the_query_is_none(site: Site) -> None:
    """`?workspace=` names nobody."""
    (result,) = results(site.post({"name": "x"}, params={"workspace": ""}))
    assert result["error"]["reason"] == "workspace_missing"


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["organization_key", "workspace", "name"]),
        st.none() | st.text(max_size=3) | st.integers() | st.floats() | st.lists(st.none()),
    ),
    st.none() | st.text(min_size=1, max_size=3),
)
def test_the_workspace_checked_is_the_one_published_to(
    event: dict[str, object], query: str | None
) -> None:
    """A token limited to some workspaces cannot be led past its limit by an odd event."""
    named = id_text(query)
    default = None if named is None else Workspace(named)
    meant = workspace_of(event, default)
    try:
        published = to_event({**event, "name": "x"}, now_ms=1, workspace=default).workspace
    except InvalidEvent as error:
        assert error.reason == "workspace_missing"  # noqa: PT017 -- only some examples raise
        assert meant is None
        return
    assert published == meant


def test_same_event_again_has_the_same_id(site: Site) -> None:
    """A retry after a lost answer doubles nothing in Heap."""
    event = {**EVENT, "timestamp": "2026-01-31T09:30:00.123Z"}
    first, second = (results(site.post(event))[0]["event_id"] for _ in range(2))
    assert first == second


def test_what_is_no_json_by_the_book_is_still_read(site: Site) -> None:
    """NaN and half a character, as JavaScript and Python write them, cost no other event."""
    body = b'[{"name":"x","organization_key":"a","data":{"n":NaN,"s":"\\ud800"}}, {"name":"y"}]'
    found = results(
        site.ask("POST", "/v1/events", content=body, headers={"content-type": "application/json"})
    )
    assert [each["status"] for each in found] == ["accepted", "rejected"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b'"text"', "not-events"),
        (b"7", "not-events"),
        (b"null", "not-events"),
        (b"\xff\xfe", "not-utf8"),
        (b"[" * 100_000, "not-json"),
        (b"9" * 10_000, "not-json"),
    ],
)
def test_a_body_that_holds_no_events_is_a_problem(site: Site, body: bytes, kind: str) -> None:
    """Nothing of the body is repeated in the answer."""
    found = problem(
        site.ask("POST", "/v1/events", content=body, headers={"content-type": "application/json"}),
        400,
        kind,
    )
    assert "text" not in found["detail"]


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(site: Site, content_type: str | None) -> None:
    """A page of another site could send these from somebody's browser without asking."""
    headers = {} if content_type is None else {"content-type": content_type}
    response = site.ask("POST", "/v1/events", content=json.dumps(EVENT).encode(), headers=headers)
    problem(response, 415, "unsupported-media-type")
    assert site.kafka.acknowledged == []


def test_a_compressed_body_is_refused(site: Site) -> None:
    """Its size could not be bounded while streaming."""
    response = site.post(EVENT, headers={"content-encoding": "gzip"})
    problem(response, 415, "compressed")


def test_too_many_events_are_refused_as_a_whole(site: Site) -> None:
    """One answer covers the list, so the list is bounded."""
    problem(site.post([EVENT] * (MAX_EVENTS + 1)), 413, "too-many-events")
    assert site.kafka.acknowledged == []
    assert len(results(site.post([EVENT] * 1_201))) == 1_201


def test_brokers_that_acknowledge_nothing_are_a_503(site: Site) -> None:
    """Nothing was accepted: the caller sends all again, and is told when."""
    site.kafka.failures.extend([KafkaUnavailable("timed out")] * 3)
    response = site.post([EVENT] * 3)
    problem(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1


def test_brokers_that_do_not_answer_are_a_503(site: Site) -> None:
    """The wait is bounded; bad items in between do not turn it into a 200."""
    site.kafka.brokers_answer = False
    problem(site.post([EVENT, {"name": ""}]), 503, "unavailable")
    site.kafka.brokers_answer = True


def test_partly_acknowledged_lists_say_which(site: Site) -> None:
    """Accepted ones stay accepted; the others may be sent again."""
    site.kafka.failures.extend([None, KafkaUnavailable("timed out"), None])
    found = results(site.post([EVENT] * 3))
    assert [each["status"] for each in found] == ["accepted", "rejected", "accepted"]
    assert found[1]["error"]["reason"] == "not_acknowledged"
    assert found[1]["error"]["retry"] is True


def test_after_brokers_stop_the_rest_of_a_list_is_not_tried(site: Site) -> None:
    """A long list does not wait for each of its parts; each item still has its result."""
    site.kafka.failures.extend([None] * 500 + [KafkaUnavailable("down")] * 500)
    found = results(site.post([EVENT] * 2_000))
    assert [each["status"] for each in found].count("accepted") == 500
    assert len(found) == 2_000
    assert all(each["error"]["retry"] for each in found[500:])
    assert len(site.kafka.acknowledged) == 500


def test_all_wrong_is_not_the_brokers_fault(site: Site) -> None:
    """Only refused items: 200, so that the caller does not send them again."""
    assert results(site.post([{"name": ""}]))[0]["error"]["retry"] is False


def test_nothing_is_taken_before_topic_and_schema_are_found(closed: Site) -> None:
    """503 with the reason at once; and 200 as soon as they are there, without a restart."""
    closed.start(wait=False)
    closed.until(lambda: "starting" not in str(closed.problem()))
    found = problem(closed.post(EVENT), 503, "not-ready")
    assert "heapline topics apply" in found["detail"]
    closed.kafka.topic_problem = None
    closed.until(lambda: closed.problem() is None)
    assert results(closed.post(EVENT))[0]["status"] == "accepted"


def test_an_error_nobody_expected_does_not_close_the_site_for_ever(closed: Site) -> None:
    """A client library may raise anything; looking for the topic goes on."""
    closed.kafka.topic_problem = RuntimeError("a bug")  # type: ignore[assignment]  # not ours
    closed.start(wait=False)
    closed.until(lambda: "starting" not in str(closed.problem()))
    assert "a bug" in problem(closed.post(EVENT), 503, "unavailable")["detail"]
    closed.kafka.topic_problem = None
    closed.until(lambda: closed.problem() is None)
    assert results(closed.post(EVENT))[0]["status"] == "accepted"


def test_a_registry_that_goes_down_later_stops_nobody(site: Site) -> None:
    """The schema id is known for good."""
    site.schema.problem = KafkaUnavailable("down")
    assert results(site.post(EVENT))[0]["status"] == "accepted"


def test_stopping_closes_the_publisher(closed: Site) -> None:
    """Even if it never opened."""
    closed.start(wait=False)
    closed.stop()
    assert closed.kafka.is_closed
