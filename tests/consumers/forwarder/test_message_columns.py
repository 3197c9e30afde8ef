"""Messages as columns: which are left out, and that nothing gets into another's row."""

from __future__ import annotations

from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.message_columns import columns_of
from consumers.forwarder.record import Partition
from heapline.outcomes import Source

READ_AT = 12.5
OWNED = {Partition("events", 2): 10, Partition("events", 0): 0}
"""The first is not the lowest, as after a rebalance."""


def message(number: int, offset: int) -> Message:
    """Make a message whose every part tells where it stands."""
    place = f"{number}/{offset}"
    return Message(
        topic="events",
        partition=number,
        offset=offset,
        key=f"key {place}".encode(),
        value=f"value {place}".encode(),
        headers=[("place", place.encode())],
    )


def test_each_row_is_one_message() -> None:
    """In the order read, each with its own key, value and headers."""
    read = [message(0, 5), message(2, 10), message(0, 6), message(2, 14)]
    columns = columns_of(read, OWNED, READ_AT)
    assert len(columns) == 4
    for row, each in enumerate(read):
        record = columns.record(row)
        assert record.partition == Partition("events", each.partition() or 0)
        assert record.offset == each.offset()
        assert (record.key, record.value, record.headers) == (
            each.key(),
            each.value(),
            each.headers(),
        )
        assert (record.source, record.read_at) == (Source.EVENTS, READ_AT)


def test_what_is_not_ours_or_was_read_before_is_left_out() -> None:
    """A partition given up meanwhile, and offsets before the position; the position itself is in.

    What is left out must not shift what stays.
    """
    read = [message(1, 40), message(2, 9), message(2, 10), message(1, 41), message(0, 0)]
    columns = columns_of(read, OWNED, READ_AT)
    assert [columns.record(row).value for row in range(len(columns))] == [
        b"value 2/10",
        b"value 0/0",
    ]
    assert columns.keys == [b"key 2/10", b"key 0/0"]
    assert columns.headers == [[("place", b"2/10")], [("place", b"0/0")]]


def test_nothing_may_be_left() -> None:
    """All was read before, or nothing is owned: no rows."""
    assert len(columns_of([message(2, 9)], OWNED, READ_AT)) == 0
    assert len(columns_of([message(2, 9)], {}, READ_AT)) == 0


def test_a_message_may_have_no_key_no_value_and_no_headers() -> None:
    """A tombstone, or what somebody else writes."""
    columns = columns_of([Message(topic="events", partition=0, offset=1)], OWNED, READ_AT)
    record = columns.record(0)
    assert (record.key, record.value, record.headers) == (None, None, [])


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=60),
    st.dictionaries(st.integers(0, 4), st.integers(0, 30)),
)
def test_columns_are_what_a_look_at_each_message_gives(
    places: list[tuple[int, int]], positions: dict[int, int]
) -> None:
    """Whatever comes and whatever is owned."""
    owned = {Partition("events", number): offset for number, offset in positions.items()}
    columns = columns_of([message(*place) for place in places], owned, READ_AT)
    kept = [
        (number, offset)
        for number, offset in places
        if number in positions and offset >= positions[number]
    ]
    rows = [columns.record(row) for row in range(len(columns))]
    assert [(each.partition.number, each.offset) for each in rows] == kept
    assert [each.value for each in rows] == [f"value {n}/{offset}".encode() for n, offset in kept]
