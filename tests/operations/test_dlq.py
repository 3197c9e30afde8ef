from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from heapline.errors import CallerMistake
from heapline.kafka.headers import DeadLetter, Origin
from heapline.kafka.topics import DLQ
from heapline.outcomes import DeadLetterReason
from operations.dlq import (
    Entry,
    Filter,
    Listing,
    Position,
    list_dlq,
    marker_for,
    show_dlq,
)
from tests.on_kafka import make_topics, settings_for, write

if TYPE_CHECKING:
    from devstack.world import World
    from heapline.kafka.topics import Names
    from heapline.settings import Settings

LETTER = DeadLetter(
    Origin("commandai.events", 1, 7),
    DeadLetterReason.REJECTED_BY_HEAP,
    "acme",
    event_id="e1",
    error="Heap answered 400",
    status=400,
    attempts=3,
)


def entry(
    partition: int, offset: int, at_ms: int = 100, letter: DeadLetter | None = LETTER
) -> Entry:
    """Make an entry."""
    return Entry(Position(partition, offset), at_ms, letter)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**18))
def test_positions_are_read_as_written(partition: int, offset: int) -> None:
    """A position printed by `list` can be given to `show`."""
    position = Position(partition, offset)
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "3", "3/", "/3", "-1/2", "a/b", "1/2/3", "1 /2", "²/1"])
def test_other_text_is_no_position(text: str) -> None:
    """The message shows how one looks."""
    with pytest.raises(ValueError, match="PARTITION/OFFSET"):
        Position.parse(text)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(), True),
        (Filter(workspace="acme"), True),
        (Filter(workspace="globex"), False),
        (Filter(reason="rejected_by_heap"), True),
        (Filter(reason="expired"), False),
        (Filter(since_ms=100), True),
        (Filter(since_ms=101), False),
        (Filter(until_ms=100), False),
        (Filter(until_ms=101), True),
        (Filter(positions=frozenset({Position(0, 1)})), True),
        (Filter(positions=frozenset({Position(0, 2)})), False),
        (Filter(workspace="acme", reason="expired"), False),
    ],
)
def test_filter(wanted: Filter, fits: bool) -> None:  # noqa: FBT001 -- the expectation
    """Each given condition must hold; since is inclusive, until is not."""
    assert wanted.wants(entry(0, 1)) is fits


def test_a_record_without_readable_headers_is_listed_as_such() -> None:
    """It can be filtered by nothing but time and place, and is never hidden."""
    found = entry(0, 0, letter=None)
    assert (found.workspace, found.reason) == ("", "unreadable_headers")
    assert Filter().wants(found)
    assert not Filter(workspace="acme").wants(found)


def test_replayed_records_are_hidden_unless_asked_for() -> None:
    """A marker hides exactly the record it names."""
    for replayed_too, expected in ((False, ["0/2"]), (True, ["0/1", "0/2"])):
        listing = Listing(Filter(replayed_too=replayed_too))
        listing.add(entry(0, 1))
        listing.add(entry(0, 2))
        listing.mark(Position(0, 1))
        listing.mark(Position(9, 9))
        assert [str(each.position) for each in listing.entries()] == expected


def test_listing_is_in_order_of_time() -> None:
    """Partitions are read in any order; a person reads by time."""
    listing = Listing(Filter())
    for each in (entry(1, 5, 300), entry(0, 9, 100), entry(2, 1, 200)):
        listing.add(each)
    assert [each.written_at_ms for each in listing.entries()] == [100, 200, 300]


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Settings of the shared world."""
    return settings_for(world, prefix)


@pytest.fixture
def names(settings: Settings) -> Names:
    """A DLQ with three partitions and one record of each kind."""
    names = make_topics(settings, 3)
    marker = marker_for(Position(2, 0), b"acme")
    write(
        settings,
        names.topic(DLQ),
        [
            {"value": b"a", "key": b"acme", "partition": 0, "timestamp": 1_000_000},
            {
                "value": b"b",
                "key": b"acme",
                "partition": 1,
                "timestamp": 2_000_000,
                "headers": [("trace", b"t1"), *LETTER.headers()],
            },
            {
                "value": b"c",
                "key": b"acme",
                "partition": 2,
                "timestamp": 3_000_000,
                "headers": LETTER.headers(),
            },
            {
                "value": None,
                "partition": 2,
                "timestamp": 4_000_000,
                "headers": replace(LETTER, workspace="").headers(),
            },
            {"value": None, "key": b"acme", "partition": 2, "headers": marker.headers},
        ],
    )
    return names


def test_the_topic_is_listed(settings: Settings, names: Names) -> None:
    """Markers are no records; a dead-lettered record without a value is one."""
    found = list_dlq(settings, names, Filter())
    assert [str(each.position) for each in found] == ["0/0", "1/0", "2/1"]
    assert [each.reason for each in found] == [
        "unreadable_headers",
        "rejected_by_heap",
        "rejected_by_heap",
    ]
    everything = list_dlq(settings, names, Filter(replayed_too=True))
    assert [str(each.position) for each in everything if each.replayed] == ["2/0"]
    assert everything[1].letter == LETTER


def test_the_topic_is_listed_since_a_time(settings: Settings, names: Names) -> None:
    """Older records are not even read; markers of newer ones still count."""
    found = list_dlq(settings, names, Filter(since_ms=2_500_000, replayed_too=True))
    assert [(str(each.position), each.replayed) for each in found] == [
        ("2/0", True),
        ("2/1", False),
    ]


def test_a_record_is_shown_in_full(settings: Settings, names: Names) -> None:
    """Key, value, all headers, and whether it was replayed."""
    content = show_dlq(settings, names, Position(1, 0))
    assert (content.key, content.value) == (b"acme", b"b")
    assert content.headers[0] == ("trace", b"t1")
    assert not content.entry.replayed
    assert show_dlq(settings, names, Position(2, 0)).entry.replayed


@pytest.mark.parametrize(("partition", "offset"), [(0, 5), (2, 2), (9, 0)])
def test_what_is_not_there_is_told(
    settings: Settings, names: Names, partition: int, offset: int
) -> None:
    """An offset never written, a marker, a partition that does not exist."""
    with pytest.raises(CallerMistake, match=r"no record at|no partition 9"):
        show_dlq(settings, names, Position(partition, offset))
