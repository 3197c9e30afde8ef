from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from heapline.errors import KafkaUnavailable
from heapline.kafka.headers import DeadLetter, Deferral, Origin
from heapline.kafka.partition import partition_of
from heapline.kafka.topics import DEFERRED, DLQ
from heapline.outcomes import DeadLetterReason, Source
from operations.dlq import REFUSED_AGAIN, Entry, Filter, Position, list_dlq
from operations.dlq_replay import replay_dlq, to_replay
from operations.resend import TransactionalResender
from tests.fakes.resender import FakeResender
from tests.on_kafka import make_topics, read_all, settings_for, write

if TYPE_CHECKING:
    from devstack.world import World
    from heapline.kafka.topics import Names
    from heapline.settings import Settings

LETTER = DeadLetter(
    Origin("commandai.events", 1, 7), DeadLetterReason.REJECTED_BY_HEAP, "acme", event_id="e1"
)
NOW_MS = 1_700_000_000_000


def entries(*reasons: DeadLetterReason | None) -> list[Entry]:
    """Make an entry for each reason; None has no readable headers."""
    return [
        Entry(Position(0, n), 1, None if each is None else replace(LETTER, reason=each))
        for n, each in enumerate(reasons)
    ]


def test_what_would_only_come_back_is_set_aside() -> None:
    """Reasons outside the record are worth a second try; those inside it are not."""
    chosen, set_aside = to_replay(entries(*DeadLetterReason, None), force=False)
    assert {each.reason for each in chosen} == {
        "unknown_schema",
        "rejected_by_heap",
        "too_large",
        "expired",
    }
    assert set_aside == {**{str(each): 1 for each in REFUSED_AGAIN}, "unreadable_headers": 1}


def test_force_sends_all_but_what_nobody_knows_the_origin_of() -> None:
    """A record that heapline did not write has no origin to name."""
    chosen, set_aside = to_replay(entries(*DeadLetterReason, None), force=True)
    assert len(chosen) == len(DeadLetterReason)
    assert set_aside == {"unreadable_headers": 1}


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Settings of the shared world."""
    return settings_for(world, prefix)


@pytest.fixture
def names(settings: Settings) -> Names:
    """Heapline's topics, three partitions each."""
    return make_topics(settings, 3)


def fill(settings: Settings, names: Names, count: int, letter: DeadLetter = LETTER) -> None:
    """Dead-letter so many records, spread over the partitions."""
    records = [
        {
            "value": b"%d" % n,
            "key": f"w{n % 5}",
            "partition": n % 3,
            "headers": [("trace", b"%d" % n), *letter.headers()],
        }
        for n in range(count)
    ]
    write(settings, names.topic(DLQ), records)


def test_records_are_sent_once_with_bytes_untouched(settings: Settings, names: Names) -> None:
    """2,500 records: all in the deferred topic once, all marked, none listed; again sends none."""
    fill(settings, names, 2_500)
    heard: list[tuple[int, int]] = []
    resender = TransactionalResender(settings, names)
    done = replay_dlq(
        settings,
        names,
        resender,
        Filter(),
        now_ms=NOW_MS,
        progress=lambda sent, of: heard.append((sent, of)),
    )
    assert done.sent == 2_500
    assert heard == [(1_000, 2_500), (2_000, 2_500), (2_500, 2_500)]
    found = read_all(settings, names.topic(DEFERRED))
    assert sorted(int(m.value() or b"") for m in found) == list(range(2_500))
    for message in found[:20]:
        number = int(message.value() or b"")
        assert message.key() == f"w{number % 5}".encode()
        assert message.partition() == partition_of(message.key() or b"", 3)
        headers = message.headers()
        assert isinstance(headers, list)
        assert headers[0] == ("trace", b"%d" % number)
        expected = Deferral(LETTER.origin, Source.REPLAY, NOW_MS, NOW_MS, 0)
        assert Deferral.read(headers) == expected  # type: ignore[arg-type]  # they are bytes
    assert list_dlq(settings, names, Filter()) == []
    assert len(list_dlq(settings, names, Filter(replayed_too=True))) == 2_500
    assert replay_dlq(settings, names, resender, Filter(), now_ms=NOW_MS).sent == 0


def test_a_replay_cut_short_goes_on_where_it_stopped(settings: Settings, names: Names) -> None:
    """The brokers go away after the first transaction: the next replay sends the rest, once."""
    fill(settings, names, 1_500)
    real = TransactionalResender(settings, names)
    breaking = FakeResender(real.partitions, through=real, fail_after=1)
    with pytest.raises(KafkaUnavailable):
        replay_dlq(settings, names, breaking, Filter(), now_ms=NOW_MS)
    assert len(list_dlq(settings, names, Filter())) == 500
    assert replay_dlq(settings, names, real, Filter(), now_ms=NOW_MS).sent == 500
    found = read_all(settings, names.topic(DEFERRED))
    assert sorted(int(m.value() or b"") for m in found) == list(range(1_500))


def test_only_what_is_asked_for_is_sent(settings: Settings, names: Names) -> None:
    """Positions name records exactly; what is not there is told and sends nothing."""
    fill(settings, names, 9)
    resender = FakeResender(3)
    asked = frozenset({Position(1, 0), Position(1, 2), Position(2, 77)})
    done = replay_dlq(settings, names, resender, Filter(positions=asked), now_ms=NOW_MS)
    assert [each.value for each in resender.written] == [b"1", b"7"]
    assert done.gone == (Position(2, 77),)
    markers = [each.marker for each in resender.written if each.marker]
    assert [marker.headers for marker in markers] == [
        [("heapline-replayed", b"1/0")],
        [("heapline-replayed", b"1/2")],
    ]


def test_set_aside_records_stay(settings: Settings, names: Names) -> None:
    """They are counted and neither written nor marked, until forced."""
    fill(settings, names, 3, replace(LETTER, reason=DeadLetterReason.UNDECODABLE))
    resender = FakeResender(3)
    done = replay_dlq(settings, names, resender, Filter(), now_ms=NOW_MS)
    assert (done.sent, done.set_aside) == (0, {"undecodable": 3})
    assert replay_dlq(settings, names, resender, Filter(), now_ms=NOW_MS, force=True).sent == 3


def test_a_record_without_key_and_value_is_sent_to_its_origins_partition(
    settings: Settings, names: Names
) -> None:
    """A dead-lettered tombstone is replayed as one, and its marker is told from it."""
    letter = replace(LETTER, origin=Origin("commandai.events", 2, 0))
    write(
        settings, names.topic(DLQ), [{"value": None, "partition": 0, "headers": letter.headers()}]
    )
    resender = TransactionalResender(settings, names)
    assert replay_dlq(settings, names, resender, Filter(), now_ms=NOW_MS).sent == 1
    (found,) = read_all(settings, names.topic(DEFERRED))
    assert (found.partition(), found.key(), found.value()) == (2, None, None)
    assert list_dlq(settings, names, Filter()) == []
