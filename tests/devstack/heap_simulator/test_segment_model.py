"""Heap's segments, as pure state."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from devstack.heap_simulator.segment_model import (
    Segment,
    Segments,
    SegmentSettings,
    SyncOptions,
    outgoing,
)

USERS = st.integers(0, 30).map(lambda number: f"u{number}") | st.integers(0, 30)
ON = SegmentSettings(enabled=True)


def applied(pages: list[bytes], members: set[str | int]) -> set[str | int]:
    """What a partner holds who takes the pages in this order."""
    for page in map(orjson.loads, pages):
        members |= {each["id"] for each in page["data"].get("add", [])}
        members -= {each["id"] for each in page["data"].get("remove", [])}
    return members


@given(st.lists(st.sets(USERS), max_size=6), st.integers(1, 7), st.integers(0, 1_000))
def test_a_partner_who_takes_every_page_holds_the_segment(
    memberships: list[set[str | int]], page_size: int, seed: int
) -> None:
    """After each sync, whatever the page size and the order of one sync's pages."""
    segment, held = Segment("1", "2", ON), set[str | int]()
    options = SyncOptions(page_size=page_size, order="shuffled", seed=seed)
    for members in memberships:
        segment.members = dict.fromkeys(members)
        pages = segment.begin_sync(options, "token", "task")
        assert max(_size(page) for page in pages) <= page_size
        held = applied(list(outgoing(pages, options).now), held)
        assert held == members


def _size(page: bytes) -> int:
    data = orjson.loads(page)["data"]
    return len(data.get("add", [])) + len(data.get("remove", []))


def test_a_page_looks_like_heaps_sample() -> None:
    """Heap's own sample body has exactly these parts."""
    segment = Segment("11", "1338065", SegmentSettings(name="Free", enabled=True))
    segment.put(["a", 7])
    [page] = segment.begin_sync(SyncOptions(), "token", "task")
    document = orjson.loads(page)
    assert document.pop("customer_config")["fields"][0]["field_id"] == "workspace"
    assert document == {
        "id_token": "token",
        "action_type": "segment.users.sync",
        "data": {
            "segment": {"id": 1338065, "name": "Free"},
            "sync_info": {"page_number": 1, "total_pages": 1, "sync_task_id": "task"},
            "add": [{"id": "a"}, {"id": 7}],
        },
    }


def test_a_sync_without_changes() -> None:
    """One page with an empty `add`, or none: Heap does not say."""
    segment = Segment("11", "s", ON)
    [page] = segment.begin_sync(SyncOptions(sync_info=False), "token", "task")
    assert orjson.loads(page)["data"] == {"segment": {"id": "s", "name": "Segment"}, "add": []}
    assert segment.begin_sync(SyncOptions(send_empty=False), "token", "task") == []


def test_the_chosen_property_is_what_is_sent() -> None:
    """Users without it are left out; another choice moves everybody to other ids."""
    segment = Segment("11", "s", ON)
    segment.put([{"identity": "a", "crm": 1}, {"identity": "b"}, "c"])
    segment.begin_sync(SyncOptions(), "token", "task")
    segment.change_settings(ON.model_copy(update={"user_id_property": "crm"}))
    [page] = segment.begin_sync(SyncOptions(), "token", "task")
    data = orjson.loads(page)["data"]
    assert data["add"] == [{"id": 1}]
    assert data["remove"] == [{"id": "a"}, {"id": "b"}, {"id": "c"}]


def test_turning_off_and_on_tells_everybody_again() -> None:
    """Heap forgets what it told; recurring ends too."""
    segment = Segment("11", "s", ON.model_copy(update={"every_seconds": 60.0}))
    segment.put(["a"])
    segment.begin_sync(SyncOptions(), "token", "task")
    segment.change_settings(segment.settings.model_copy(update={"enabled": False}))
    assert segment.settings.every_seconds is None
    segment.change_settings(ON)
    [page] = segment.begin_sync(SyncOptions(), "token", "task")
    assert orjson.loads(page)["data"]["add"] == [{"id": "a"}]


def test_drain_names_nobody() -> None:
    """Heap's sample has neither users nor, perhaps, an id_token."""
    segment = Segment("11", "7", ON)
    [page] = segment.begin_drain(SyncOptions(with_id_token=False), "token")
    document = orjson.loads(page)
    assert document["action_type"] == "segment.users.drain"
    assert document["data"] == {"segment": {"id": 7, "name": "Segment"}}
    assert "id_token" not in document


def test_pages_kept_back_repeated_and_turned_round() -> None:
    """Each choice of the options on its own."""
    pages = [b"1", b"2", b"3"]
    late = outgoing(pages, SyncOptions(hold_pages=frozenset({2})))
    assert (late.now, late.late) == ((b"1", b"3"), (b"2",))
    assert outgoing(pages, SyncOptions(order="reversed")).now == (b"3", b"2", b"1")
    repeated = outgoing(pages, SyncOptions(duplicates=2)).now
    assert sorted(repeated) == sorted(pages * 3)
    assert [repeated.index(page) for page in pages] == sorted(map(repeated.index, pages))


def test_recurring_syncs_are_due_at_once_and_then_every_so_often() -> None:
    """A schedule in virtual time."""
    segments = Segments()
    segment = segments.make("11", "7")
    assert segments.due(0.0) == []
    segment.change_settings(ON.model_copy(update={"every_seconds": 14_400.0}))
    assert segments.due(10.0) == [segment]
    assert segments.due(14_409.0) == []
    assert segments.due(14_410.0) == [segment]
    segment.change_settings(ON)
    assert segments.due(99_999.0) == []
    later = ON.model_copy(update={"every_seconds": 60.0, "starts_in_seconds": 60.0})
    segment.change_settings(later)
    assert segments.due(100_000.0) == []
    assert segments.due(100_060.0) == [segment]
