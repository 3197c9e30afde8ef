"""Webhook calls of Heap, well written and otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.heap.segment_page import (
    Action,
    Refusal,
    RefusedCall,
    SegmentPage,
    digest_of,
    read_call,
)
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.schemas import schema_text
from heapline.words import Workspace
from tests.fakes.schema_source import FakeSchemas


def body(**data: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    """A call about segment 7."""
    return {
        "id_token": "token-1",
        "action_type": "segment.users.sync",
        "data": {"segment": {"id": 7, "name": "Free"}, **data},
    }


def refusal(content: object) -> Refusal:
    """Why a call is refused."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(RefusedCall) as caught:
        read_call(raw)
    return caught.value.refusal


def users(ids: list[Any]) -> tuple[tuple[str, ...], int]:
    """The ids read from a list of users, and how many were skipped."""
    call = read_call(json.dumps(body(add=[{"id": each} for each in ids])).encode())
    return call.add, call.skipped


def test_a_whole_call_is_read() -> None:
    """Ids become texts; what is not needed is left."""
    call = read_call(
        json.dumps(
            {
                **body(
                    sync_info={"page_number": 2, "total_pages": 5, "sync_task_id": "s"},
                    add=[{"id": "a"}, {"id": 8}],
                    remove=[{"id": "c"}],
                ),
                "customer_config": {"fields": []},
            }
        ).encode()
    )
    assert (call.action, call.id_token) == (Action.SYNC, "token-1")
    assert (call.segment_id, call.segment_name) == ("7", "Free")
    assert (call.sync_task_id, call.page_number, call.total_pages) == ("s", 2, 5)
    assert (call.add, call.remove, call.skipped) == (("a", "8"), ("c",), 0)


def test_a_drain_needs_a_segment_only() -> None:
    """Heap's sample of it has neither id_token nor users."""
    call = read_call(b'{"action_type":"segment.users.drain","data":{"segment":{"id":"x"}}}')
    assert (call.action, call.id_token, call.segment_id) == (Action.DRAIN, None, "x")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Refusal.NOT_JSON),
        (b"{", Refusal.NOT_JSON),
        (b"\xff", Refusal.NOT_JSON),
        (b"[" * 100_000, Refusal.NOT_JSON),
        ([], Refusal.NOT_AN_OBJECT),
        (None, Refusal.NOT_AN_OBJECT),
        ({}, Refusal.UNKNOWN_ACTION),
        ({**body(add=[]), "action_type": "x"}, Refusal.UNKNOWN_ACTION),
        ({**body(add=[]), "action_type": ["segment.users.sync"]}, Refusal.UNKNOWN_ACTION),
        ({"action_type": "segment.users.sync"}, Refusal.DATA_MISSING),
        ({"action_type": "segment.users.drain", "data": {}}, Refusal.SEGMENT_MISSING),
        (body(segment={"id": None}, add=[]), Refusal.SEGMENT_MISSING),
        (body(segment={"id": True}, add=[]), Refusal.SEGMENT_MISSING),
        (body(segment={"id": "x" * 1025}, add=[]), Refusal.SEGMENT_MISSING),
        (body(), Refusal.NEITHER_ADD_NOR_REMOVE),
        (body(add=None), Refusal.NEITHER_ADD_NOR_REMOVE),
        (body(add={"id": "a"}), Refusal.USERS_MALFORMED),
        (body(add=[], remove="a"), Refusal.USERS_MALFORMED),
    ],
)
def test_what_cannot_mean_anything_is_refused(content: object, expected: Refusal) -> None:
    """Each with its own name, for counts and for people."""
    assert refusal(content) is expected


def test_what_was_read_of_a_refused_call_can_be_shown() -> None:
    """Workspace and segment are known before anything is wrong with the users."""
    with pytest.raises(RefusedCall) as caught:
        read_call(json.dumps(body()).encode())
    assert caught.value.call is not None
    assert (caught.value.call.id_token, caught.value.call.segment_id) == ("token-1", "7")


@pytest.mark.parametrize("data", [{"add": []}, {"remove": []}, {"add": [], "remove": None}])
def test_an_empty_delta_is_fine(data: dict[str, Any]) -> None:
    """It says that nothing changed."""
    call = read_call(json.dumps(body(**data)).encode())
    assert (call.add, call.remove) == ((), ())


def test_numbers_and_texts_are_one_id() -> None:
    """7 and "7" are the same user, and named twice he is there once."""
    assert users([7, "7", "07", 7]) == (("7", "07"), 0)


def test_large_numbers_keep_every_digit() -> None:
    """Two users whose ids differ in the last of 30 digits are two users."""
    one, two = 10**30 + 1, 10**30 + 2
    assert users([one, two, 2**64 - 1, 2**63]) == (
        (str(one), str(two), str(2**64 - 1), str(2**63)),
        0,
    )


def test_a_number_with_a_fraction_is_kept_as_it_was_written() -> None:
    """JavaScript writes 7.0 as 7; whoever writes 7.0 means the same."""
    text = b'{"action_type":"segment.users.sync","data":{"segment":{"id":7.0},"add":['
    call = read_call(text + b'{"id":7.0},{"id":1.50},{"id":1e3},{"id":NaN}]}}')
    assert (call.segment_id, call.add, call.skipped) == ("7", ("7", "1.50", "1e3"), 1)


@pytest.mark.parametrize("odd", [None, "", True, {}, [], "x" * 1025, "x" * 1_000_000])
def test_a_user_without_a_usable_id_is_left_out_and_counted(odd: object) -> None:
    """One of them must not cost the others: a page refused for good is lost for good."""
    assert users(["a", odd, "b"]) == (("a", "b"), 1)


def test_what_is_no_user_is_counted_too() -> None:
    """A list of bare ids is not what Heap sends."""
    call = read_call(json.dumps(body(add=["a", 7, None, {"id": "b"}])).encode())
    assert (call.add, call.skipped) == (("b",), 3)


@pytest.mark.parametrize("user", [" ", "null", "é✓🎉", "\x00\x1f", "a\nb", '"\\', "x" * 1024])
def test_unusual_ids_are_ids(user: str) -> None:
    """Nothing is trimmed, folded or guessed."""
    assert users([user]) == ((user,), 0)


def test_a_lone_surrogate_costs_its_user_only() -> None:
    """It cannot be written as UTF-8; the rest of the page can."""
    text = b'{"action_type":"segment.users.sync","data":{"segment":{"id":1,"name":"\\ud800"},'
    call = read_call(text + b'"add":[{"id":"\\ud800"},{"id":"b"}]}}')
    assert (call.add, call.skipped, call.segment_name) == (("b",), 1, "?")


@pytest.mark.parametrize(
    "info", [None, [], "s", {}, {"sync_task_id": ""}, {"sync_task_id": None, "page_number": 3}]
)
def test_a_page_that_names_no_sync_is_still_a_page(info: object) -> None:
    """It is a sync of its own."""
    call = read_call(json.dumps(body(add=[], sync_info=info)).encode())
    assert (call.sync_task_id, call.page_number, call.total_pages) == (None, None, None)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (1, 1),
        ("2", 2),
        (0, None),
        (-1, None),
        (True, None),
        (1.5, None),
        ("x", None),
        (2**64, None),
    ],
)
def test_odd_page_numbers_are_as_if_not_there(written: object, read: int | None) -> None:
    """A page is never refused for its number."""
    info = {"sync_task_id": 5, "page_number": written, "total_pages": written}
    call = read_call(json.dumps(body(add=[], sync_info=info)).encode())
    assert (call.sync_task_id, call.page_number, call.total_pages) == ("5", read, read)


def test_the_digest_goes_by_what_is_said() -> None:
    """Order, spaces and escapes do not matter; users and pages do."""
    plain = body(add=[{"id": "a"}, {"id": "é"}], sync_info={"sync_task_id": "s", "page_number": 1})
    turned = {**plain, "data": {**plain["data"], "add": [{"id": "é"}, {"id": "a"}]}}
    digests = {
        read_call(each).digest()
        for each in (
            json.dumps(plain).encode(),
            json.dumps(turned, ensure_ascii=False, indent=2).encode(),
        )
    }
    assert len(digests) == 1
    others = [
        body(add=[{"id": "a"}], remove=[{"id": "é"}]),
        body(add=[{"id": "aé"}]),
        body(add=[{"id": "a"}, {"id": "é"}]),
        {**plain, "data": {**plain["data"], "segment": {"id": 8}}},
    ]
    digests |= {read_call(json.dumps(each).encode()).digest() for each in others}
    assert len(digests) == 5


def test_the_digest_is_the_same_in_every_process() -> None:
    """It is compared after restarts."""
    assert digest_of(b"") == int.from_bytes(bytes.fromhex("e4a6a0577479b2b4"), "big", signed=True)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=5),
    st.none() | st.integers(1, 2**63 - 1),
)
def test_a_page_survives_its_record(add: list[str], number: int | None) -> None:
    """Field by field, through Avro."""
    info = {"sync_task_id": "s", "page_number": number}
    call = read_call(json.dumps(body(add=[{"id": x} for x in add], sync_info=info)).encode())
    page = SegmentPage.of(call, Workspace("acme"), signed_at_ms=1, received_at_ms=2)
    assert (page.page_number, page.add) == (number, tuple(dict.fromkeys(add)))
    decoder = Decoder("SegmentSyncPage", FakeSchemas({7: schema_text("SegmentSyncPage")}))
    framed = Encoder("SegmentSyncPage", 7).encode(page.to_record())
    assert SegmentPage.from_record(decoder.decode(framed)) == page


def test_a_refused_page_names_nobody() -> None:
    """It is kept to be shown, not to be applied."""
    call = read_call(json.dumps(body(add=[{"id": "a"}])).encode())
    page = SegmentPage.of(
        call,
        Workspace("acme"),
        signed_at_ms=1,
        received_at_ms=2,
        refusal=Refusal.USERS_MALFORMED,
    )
    assert (page.action, page.add, page.refusal) == (Action.REFUSED, (), "users_malformed")
