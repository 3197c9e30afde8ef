from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.errors import Fenced
from heapline.kafka.headers import DeadLetter, Deferral, Origin
from heapline.kafka.partition import partition_of
from heapline.kafka.topics import DEFERRED, DLQ
from heapline.outcomes import DeadLetterReason, Source
from operations.resend import Marker, Resend, TransactionalResender, resend, transactions
from tests.on_kafka import make_topics, read_all, settings_for

if TYPE_CHECKING:
    from devstack.world import World

ORIGIN = Origin("commandai.events", 5, 17)


def test_a_resent_record_is_due_at_once_and_keeps_its_origin() -> None:
    """Key, value and foreign headers stay; heapline's own are replaced by a fresh deferral."""
    letter = DeadLetter(ORIGIN, DeadLetterReason.REJECTED_BY_HEAP, "acme")
    made = resend(
        key=b"acme",
        value=b"bytes",
        headers=[("trace", b"1"), *letter.headers()],
        origin=ORIGIN,
        partitions=12,
        now_ms=1000,
    )
    assert (made.key, made.value) == (b"acme", b"bytes")
    assert made.partition == partition_of(b"acme", 12)
    assert made.headers[0] == ("trace", b"1")
    assert Deferral.read(made.headers) == Deferral(ORIGIN, Source.REPLAY, 1000, 1000, 0)
    with pytest.raises(ValueError, match="heapline-reason is missing"):
        DeadLetter.read(made.headers)


@pytest.mark.parametrize("key", [None, b""])
def test_without_a_key_the_origin_tells_the_partition(key: bytes | None) -> None:
    """Nobody's record goes where it came from."""
    made = resend(key=key, value=None, headers=None, origin=ORIGIN, partitions=12, now_ms=1)
    assert made.partition == 5


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 7), st.integers(1, 100))
def test_transactions_keep_order_and_bounds(sizes: list[int], most: int, bytes_: int) -> None:
    """Nothing is lost or reordered; a transaction is over a bound only when it is one record."""
    records = [Resend(0, None, b"x" * size) for size in sizes]
    cut = list(transactions(records, largest=most, largest_bytes=bytes_))
    assert [each for batch in cut for each in batch] == records
    for batch in cut:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or sum(each.size_bytes for each in batch) <= bytes_


def test_record_and_marker_are_written_together(world: World, prefix: str) -> None:
    """One call writes both topics, each record to the partition it names."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, 4)
    resender = TransactionalResender(settings, names)
    assert resender.partitions == 4
    marker = Marker(3, b"k", [("heapline-replayed", b"3/0")])
    resender.write([Resend(2, b"k", b"v", [("a", b"1")], marker)])
    (deferred,) = read_all(settings, names.topic(DEFERRED))
    assert (deferred.partition(), deferred.key(), deferred.value()) == (2, b"k", b"v")
    (marked,) = read_all(settings, names.topic(DLQ))
    assert (marked.partition(), marked.key(), marked.value()) == (3, b"k", None)


def test_the_largest_event_can_be_sent_again(world: World, prefix: str) -> None:
    """What fitted into the topic of events fits again, with its new headers."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, 1)
    made = resend(
        key=b"acme",
        value=b"x" * (1024 * 1024 - 200),
        headers=[],
        origin=ORIGIN,
        partitions=1,
        now_ms=1,
    )
    TransactionalResender(settings, names).write([made])
    (found,) = read_all(settings, names.topic(DEFERRED))
    assert len(found.value() or b"") == 1024 * 1024 - 200


def test_a_second_replay_takes_over_and_the_first_writes_nothing(world: World, prefix: str) -> None:
    """Two replays under one instance id: the older is fenced and leaves no half transaction."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, 1)
    older = TransactionalResender(settings, names)
    older.write([Resend(0, None, b"1")])
    newer = TransactionalResender(settings, names)
    with pytest.raises(Fenced, match="HEAPLINE_INSTANCE_ID"):
        older.write([Resend(0, None, b"2")])
    newer.write([Resend(0, None, b"3")])
    assert [m.value() for m in read_all(settings, names.topic(DEFERRED))] == [b"1", b"3"]
