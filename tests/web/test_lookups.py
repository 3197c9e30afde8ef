from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heapline.memberships import SegmentRow
from tests.web.lookup_site import (
    EMOJI,
    LONG,
    LONG_IN_A_PATH,
    MEMBERS,
    NOW,
    NOW_MS,
    LookupSite,
    path,
)
from web.lookup_times import time_text

if TYPE_CHECKING:
    import httpx


ENTERED_AT = "2026-01-31T09:30:00.000Z"
IN_7 = {"type": "CONDITION", "condition": {"type": "heap", "operator": "is", "value": "7"}}
ON_MOBILE = {
    "type": "CONDITION",
    "condition": {"type": "device_type", "operator": "is", "value": "mobile"},
}


def body_of(response: httpx.Response) -> dict[str, Any]:
    """Give the body of a 200."""
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Give a problem after checking its kind."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"urn:heapline:problem:{kind}"
    return body


def segment_of(rows: list[dict[str, Any]], segment: str) -> dict[str, Any]:
    """Give one of a list of segments."""
    (found,) = [row for row in rows if row["id"] == segment]
    return found


def test_segments_of_a_workspace(lookups: LookupSite) -> None:
    """Each with its size, status and age; those of another workspace are not among them."""
    rows = body_of(lookups.get("acme", "segments"))["segments"]
    assert [row["id"] for row in rows] == ["7", "8", "9", EMOJI]
    assert rows[0] == {
        "id": "7",
        "name": "Free customers",
        "member_count": 8,
        "status": "complete",
        "rhythm": "recurring",
        "last_synced_at": NOW,
        "stale": False,
    }
    assert segment_of(rows, "8")["stale"] is True
    assert segment_of(rows, "9")["status"] == "partial"
    assert segment_of(rows, EMOJI)["last_synced_at"] is None


def test_a_member_and_since_when(lookups: LookupSite) -> None:
    """With what is known of the segment."""
    found = body_of(lookups.get("acme", "segments", "7", "members", "u1"))
    assert (found["member"], found["entered_at"]) == (True, ENTERED_AT)
    assert found["segment"] == segment_of(body_of(lookups.get("acme", "segments"))["segments"], "7")


def test_segments_of_a_user(lookups: LookupSite) -> None:
    """With names, and with what makes the answer doubtful."""
    found = body_of(lookups.get("acme", "users", "u1", "segments"))
    assert [row["id"] for row in found["segments"]] == ["7", "8", EMOJI]
    assert [row["name"] for row in found["segments"]] == ["Free customers", "Old news", "Odd"]
    assert {row["entered_at"] for row in found["segments"]} == {ENTERED_AT}
    assert segment_of(found["segments"], "8")["stale"] is True
    assert found["doubtful"] == ["8", "9"]


def test_a_user_never_seen_is_in_no_segment(lookups: LookupSite) -> None:
    """200 and not a 404: nobody knows all users."""
    assert body_of(lookups.get("acme", "users", "nobody", "segments"))["segments"] == []
    found = body_of(lookups.get("acme", "segments", "7", "members", "nobody"))
    assert found["member"] is False
    assert found["entered_at"] is None


@pytest.mark.parametrize("user", ["u1", EMOJI, LONG_IN_A_PATH, "line\nbreak", ""])
def test_ids_in_an_address_may_be_anything(lookups: LookupSite, user: str) -> None:
    """Slashes, emoji, many thousand characters and nothing at all, percent-encoded."""
    assert body_of(lookups.get("acme", "segments", "7", "members", user))["member"] is True
    own = body_of(lookups.get("acme", "users", user, "segments"))["segments"]
    assert "7" in [row["id"] for row in own]


def test_a_segment_id_may_be_anything(lookups: LookupSite) -> None:
    """As Heap gives it."""
    assert body_of(lookups.get("acme", "segments", EMOJI, "members", "u1"))["member"] is True
    page = body_of(lookups.get("acme", "segments", EMOJI, "members"))
    assert sorted(page["members"]) == sorted(["u1", EMOJI])
    assert page["next_cursor"] is None


def test_an_id_that_is_not_utf8_is_a_mistake(lookups: LookupSite) -> None:
    """No user can have it."""
    answer = lookups.ask("GET", "/v1/workspaces/acme/users/%ff/segments")
    problem(answer, 400, "not-utf8")


def test_a_stale_or_partial_segment_is_answered_and_flagged(lookups: LookupSite) -> None:
    """Doubt is no reason to say nothing."""
    stale = body_of(lookups.get("acme", "segments", "8", "members", "u1"))
    assert (stale["member"], stale["segment"]["stale"]) == (True, True)
    partial = body_of(lookups.get("acme", "segments", "9", "members", "u1"))
    assert (partial["member"], partial["segment"]["status"]) == (False, "partial")


def test_a_disconnected_segment_is_not_answered(lookups: LookupSite) -> None:
    """It belongs to an environment of Heap's that was left: neither yes nor no."""
    lookups.publish(2, SegmentRow("acme", "7", status="complete", disconnected=True))
    found = body_of(lookups.get("acme", "segments", "7", "members", "u1"))
    assert (found["member"], found["entered_at"]) == (None, None)
    assert found["segment"]["status"] == "disconnected"
    pairs = {"pairs": [{"user": "u1", "segment": "7"}]}
    checked = body_of(lookups.post("acme", "memberships:check", pairs))
    assert checked["results"][0]["member"] is None
    assert checked["doubtful"] == ["7"]


def test_a_segment_with_a_page_put_aside_is_partial(lookups: LookupSite) -> None:
    """Whatever its newest sync was: members may be wrong until it is drained and synced anew."""
    lookups.publish(2, SegmentRow("acme", "7", status="complete", has_gap=True))
    found = body_of(lookups.get("acme", "segments", "7", "members", "u1"))
    assert found["segment"]["status"] == "partial"
    assert body_of(lookups.get("acme", "users", "u1", "segments"))["doubtful"] == ["7"]


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (("initech", "segments"), "unknown-workspace"),
        (("initech", "users", "u1", "segments"), "unknown-workspace"),
        (("initech", "segments", "7", "members", "u1"), "unknown-workspace"),
        (("", "segments"), "unknown-workspace"),
        (("acme", "segments", "1", "members"), "unknown-segment"),
        (("acme", "segments", "1", "members", "u1"), "unknown-segment"),
        (("globex", "segments", "8", "members", "u1"), "unknown-segment"),
    ],
)
def test_only_unknown_workspaces_and_segments_are_not_found(
    lookups: LookupSite, ids: tuple[str, ...], kind: str
) -> None:
    """404, and the id is not repeated."""
    assert "initech" not in str(problem(lookups.get(*ids), 404, kind))


@pytest.mark.parametrize("verb", ["memberships:check", "audiences:evaluate", "audiences:count"])
def test_bodies_about_an_unknown_workspace_are_not_found(lookups: LookupSite, verb: str) -> None:
    """The same as in an address."""
    body = {"pairs": [], "audience": IN_7, "users": []}
    problem(lookups.post("initech", verb, body), 404, "unknown-workspace")


@pytest.mark.parametrize(
    "address",
    ["", "acme", "acme/", "acme/segments/", "acme/segments/7", "acme/users/u1", "acme/x/7/members"],
)
def test_other_addresses_are_not_found(lookups: LookupSite, address: str) -> None:
    """A 404 of another kind, so that a wrong address is not taken for an unknown workspace."""
    problem(lookups.ask("GET", f"/v1/workspaces/{address}"), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "ids", "allowed"),
    [
        ("POST", ("acme", "segments"), "GET"),
        ("DELETE", ("acme", "segments", "7", "members", "u1"), "GET"),
        ("GET", ("acme", "memberships:check"), "POST"),
    ],
)
def test_other_methods_are_refused(
    lookups: LookupSite, method: str, ids: tuple[str, ...], allowed: str
) -> None:
    """405 says which is allowed."""
    answer = lookups.ask(method, path(*ids))
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allowed


def test_members_are_paged(lookups: LookupSite) -> None:
    """Each once, by a cursor; the last page has none."""
    found: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    while True:
        page = body_of(lookups.get("acme", "segments", "7", "members", params=query))
        assert len(page["members"]) <= 3
        found += page["members"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert sorted(found) == sorted(MEMBERS["acme", "7"])


@pytest.mark.parametrize("cursor", ["", "x", "1-", "1--2", "2-1", "1-99999999999", "9" * 5000])
def test_a_cursor_that_is_not_ours_is_refused(lookups: LookupSite, cursor: str) -> None:
    """Start the listing again."""
    answer = lookups.get("acme", "segments", "7", "members", params={"cursor": cursor})
    problem(answer, 400, "invalid-cursor")


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "1.5", "10001", "9" * 5000, "٣"])
def test_a_limit_out_of_range_is_refused(lookups: LookupSite, limit: str) -> None:
    """422 says the range."""
    answer = lookups.get("acme", "segments", "7", "members", params={"limit": limit})
    assert problem(answer, 422, "invalid-request")["errors"][0]["where"] == "query.limit"


def test_pairs_are_checked_in_order(lookups: LookupSite) -> None:
    """True, false, and null where the segment is unknown; ids as numbers are ids."""
    pairs = [
        {"user": "u1", "segment": 7},
        {"user": "nobody", "segment": "8"},
        {"user": "u1", "segment": "unknown"},
        {"user": LONG, "segment": "7"},
        {"user": EMOJI, "segment": EMOJI},
        {"user": "u1", "segment": 7.0},
    ]
    found = body_of(lookups.post("acme", "memberships:check", {"pairs": pairs}))
    assert [row["member"] for row in found["results"]] == [True, False, None, True, True, True]
    assert found["results"][0] == {"user": "u1", "segment": "7", "member": True}
    assert found["doubtful"] == ["8"]
    assert body_of(lookups.post("acme", "memberships:check", {"pairs": []}))["results"] == []


def test_many_pairs_are_checked_too(lookups: LookupSite) -> None:
    """By a thread, with the same answer."""
    pairs = [{"user": f"u{n % 5}", "segment": "7"} for n in range(10_000)]
    found = body_of(lookups.post("acme", "memberships:check", {"pairs": pairs}))["results"]
    assert [row["member"] for row in found] == [n % 5 in {1, 2, 3} for n in range(10_000)]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([], "body"),
        ("text", "body"),
        ({}, "body.pairs"),
        ({"pairs": {}}, "body.pairs"),
        ({"pairs": [7]}, "body.pairs.0"),
        ({"pairs": [{"user": "u1"}]}, "body.pairs.0.segment"),
        ({"pairs": [{"user": None, "segment": "7"}]}, "body.pairs.0.user"),
        ({"pairs": [{"user": True, "segment": "7"}]}, "body.pairs.0.user"),
        ({"pairs": [{"user": "u1", "segment": 1.5}]}, "body.pairs.0.segment"),
    ],
)
def test_pairs_of_another_shape_are_refused(lookups: LookupSite, body: object, where: str) -> None:
    """422 says where."""
    answer = lookups.post("acme", "memberships:check", body)
    assert problem(answer, 422, "invalid-request")["errors"][0]["where"] == where


def test_a_body_full_of_mistakes_is_answered_briefly(lookups: LookupSite) -> None:
    """Some of them are enough."""
    answer = lookups.post("acme", "memberships:check", {"pairs": [None] * 10_000})
    assert len(problem(answer, 422, "invalid-request")["errors"]) == 20


@pytest.mark.parametrize("verb", ["memberships:check", "audiences:evaluate", "audiences:count"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":"\\ud800"}', b"[" * 100_000, b"NaN"])
def test_what_is_no_json_is_refused(lookups: LookupSite, verb: str, body: bytes) -> None:
    """400, and nothing of it is repeated."""
    headers = {"content-type": "application/json"}
    answer = lookups.ask("POST", path("acme", verb), content=body, headers=headers)
    problem(answer, 400, "not-json")


def test_another_content_type_is_refused(lookups: LookupSite) -> None:
    """A page of another site could send it from somebody's browser without asking."""
    for headers in ({}, {"content-type": "text/plain"}):
        answer = lookups.ask(
            "POST", path("acme", "audiences:count"), content=b"{}", headers=headers
        )
        problem(answer, 415, "unsupported-media-type")


def test_batches_are_bounded(lookups: LookupSite) -> None:
    """413 says how many are allowed."""
    pairs = [{"user": "u1", "segment": "7"}] * 10_001
    answer = lookups.post("acme", "memberships:check", {"pairs": pairs})
    assert "10000" in problem(answer, 413, "too-many-pairs")["detail"]
    asked = {"audience": IN_7, "users": ["u"] * 10_001}
    problem(lookups.post("acme", "audiences:evaluate", asked), 413, "too-many-users")


def test_an_audience_is_evaluated_for_each_user(lookups: LookupSite) -> None:
    """Match, no match, and undecided with what is left to know."""
    audience = {"type": "AND", "exprs": [IN_7, ON_MOBILE]}
    asked = {"audience": audience, "users": ["u1", "nobody", 3]}
    found = body_of(lookups.post("acme", "audiences:evaluate", asked))
    assert [row["result"] for row in found["results"]] == ["undecided", "no_match", "no_match"]
    assert found["results"][0]["unresolved"] == [
        {
            "path": "audience.exprs[1].condition",
            "type": "device_type",
            "reason": "condition_type",
            "detail": "",
        }
    ]
    assert found["results"][2] == {"user": "3", "result": "no_match", "unresolved": []}


@pytest.mark.parametrize("operator", ["is", "isNot", "includes", "isNotInList"])
def test_an_unknown_segment_leaves_a_user_undecided(lookups: LookupSite, operator: str) -> None:
    """Not a 404, and not a match under a negation."""
    condition = {"type": "heap", "operator": operator, "value": ["404"]}
    audience = {
        "type": "rule_expression",
        "expression": {"type": "CONDITION", "condition": condition},
    }
    asked = {"audience": audience, "users": ["u1"]}
    (found,) = body_of(lookups.post("acme", "audiences:evaluate", asked))["results"]
    assert found["result"] == "undecided"
    assert found["unresolved"][0]["reason"] == "unknown_segment"
    assert found["unresolved"][0]["detail"] == "404"


@pytest.mark.parametrize("kind", ["user_property", "named_rule", "something new"])
def test_conditions_of_other_types_leave_a_user_undecided(lookups: LookupSite, kind: str) -> None:
    """Types are an open set."""
    condition = {"type": kind, "operator": "isTrue", "rule_id": 3}
    audience = {"type": "CONDITION", "condition": condition}
    asked = {"audience": audience, "users": ["u1"]}
    (found,) = body_of(lookups.post("acme", "audiences:evaluate", asked))["results"]
    assert found["result"] == "undecided"
    assert found["unresolved"][0]["type"] == kind


def test_doubtful_segments_of_an_audience_are_named(lookups: LookupSite) -> None:
    """Answered all the same."""
    condition = {"type": "heap", "operator": "isInList", "value": ["7", 8, "9"]}
    audience = {"type": "CONDITION", "condition": condition}
    asked = {"audience": audience, "users": ["u1"]}
    found = body_of(lookups.post("acme", "audiences:evaluate", asked))
    assert found["results"][0]["result"] == "match"
    assert found["doubtful"] == ["8", "9"]


def test_an_audience_is_counted(lookups: LookupSite) -> None:
    """Among the users who are in some segment."""
    found = body_of(lookups.post("acme", "audiences:count", {"audience": IN_7}))
    assert found == {
        "match": 8,
        "no_match": 0,
        "undecided": 0,
        "unresolved": [],
        "doubtful": [],
    }
    asked = {"audience": {"type": "AND", "exprs": [IN_7, ON_MOBILE]}}
    left = body_of(lookups.post("acme", "audiences:count", asked))
    assert (left["match"], left["undecided"]) == (0, 8)
    assert left["unresolved"][0]["type"] == "device_type"


@pytest.mark.parametrize(
    ("audience", "where"),
    [
        (None, "body.audience"),
        ({"type": "all"}, "body.audience.type"),
        ({"type": "AND", "exprs": [{"type": "OR"}]}, "body.audience.exprs[0]"),
    ],
)
def test_an_audience_of_another_shape_is_refused(
    lookups: LookupSite, audience: object, where: str
) -> None:
    """422 says where."""
    for verb in ("audiences:evaluate", "audiences:count"):
        answer = lookups.post("acme", verb, {"audience": audience, "users": []})
        assert problem(answer, 422, "invalid-audience")["errors"][0]["where"] == where
        missing = lookups.post("acme", verb, {"users": []})
        problem(missing, 422, "invalid-request")


def test_an_audience_nested_too_deep_is_refused(lookups: LookupSite) -> None:
    """And costs no stack."""
    audience: dict[str, Any] = IN_7
    for _ in range(150):
        audience = {"type": "AND", "exprs": [audience]}
    answer = lookups.post("acme", "audiences:count", {"audience": audience})
    problem(answer, 422, "invalid-audience")


def test_a_tag_saves_the_body(lookups: LookupSite) -> None:
    """304 until there is a new generation; other tags and other workspaces save nothing."""
    first = lookups.get("acme", "segments")
    tag = first.headers["etag"]
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = lookups.get("acme", "segments", headers={"if-none-match": header})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == tag
    assert lookups.get("acme", "segments", headers={"if-none-match": '"x"'}).status_code == 200
    missing = lookups.get("initech", "segments", headers={"if-none-match": tag})
    assert missing.status_code == 404
    lookups.publish(2)
    renewed = lookups.get("acme", "segments", headers={"if-none-match": tag})
    assert renewed.status_code == 200
    assert renewed.headers["etag"] != tag


def test_a_new_generation_is_seen_at_once(lookups: LookupSite) -> None:
    """Without a restart."""
    problem(lookups.get("initech", "segments"), 404, "unknown-workspace")
    lookups.publish(2, SegmentRow("initech", "1", "New"))
    assert body_of(lookups.get("initech", "segments"))["segments"][0]["name"] == "New"
    problem(lookups.get("acme", "segments"), 404, "unknown-workspace")


def test_answers_tell_their_age(lookups: LookupSite) -> None:
    """And are nobody else's to keep."""
    answer = lookups.get("acme", "segments")
    assert answer.headers["heapline-as-of"] == time_text(NOW_MS + 1)
    assert answer.headers["cache-control"] == "private, no-cache"
