from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition

from consumers.forwarder.gate import Gate
from heapline.clock import SystemClock
from heapline.errors import KafkaUnavailable, NotReady, Undeliverable
from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.headers import Deferral, Origin
from heapline.kafka.partition import partition_of
from heapline.kafka.topics import CONNECTIONS, DEFERRED, EVENTS, FORWARDER_GROUP, Names
from heapline.outcomes import DeadLetterReason, SkipReason, Source
from heapline.words import AppId, EventId, UserId, Workspace
from operations.replay import Choice, Wanted, connection_now, replay_events, settled_offsets
from operations.resend import TransactionalResender
from tests.fakes.resender import FakeResender
from tests.on_kafka import commit, encoder_for, make_topics, read_all, settings_for, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.world import World
    from heapline.settings import Settings

ACME = Workspace("acme")
NOW_MS = 1_700_000_000_000
ON = Connection(ACME, app_id=AppId("11"), region=Region.US, send=Send.ON)
EVENT = Event(EventId("e"), ACME, "nudge_shown", UserId("u"), NOW_MS, NOW_MS)


def choice(wanted: Wanted, events: dict[bytes, Event], judge: Gate | None = None) -> Choice:
    """Make a choice over events told apart by their value."""

    def decode(value: bytes | None) -> dict[str, object]:
        if value not in events:
            raise Undeliverable(DeadLetterReason.UNDECODABLE, "no event")
        return events[value].to_record()

    return Choice(wanted, (judge or Gate(ON)).judge, decode)


def test_only_this_workspaces_records_are_decoded() -> None:
    """Others share the partition; their bytes are none of this replay's business."""
    chosen = choice(Wanted(ACME, 0), {b"1": EVENT})
    assert chosen.takes(b"acme", b"1", NOW_MS)
    assert not chosen.takes(b"globex", b"garbage", NOW_MS)
    assert not chosen.takes(None, b"garbage", NOW_MS)
    assert chosen.replay.undecodable == 0


@pytest.mark.parametrize(
    ("published_at_ms", "taken"), [(9, False), (10, True), (19, True), (20, False)]
)
def test_time_is_that_of_publishing(published_at_ms: int, taken: bool) -> None:  # noqa: FBT001 -- the expectation
    """Since is inclusive, until is not; when the event happened does not matter."""
    chosen = choice(Wanted(ACME, 10, 20), {b"1": EVENT})
    assert chosen.takes(b"acme", b"1", published_at_ms) is taken


def test_names_are_globs_and_any_may_match() -> None:
    """An event not named is not counted at all."""
    events = {name.encode(): replace(EVENT, name=name) for name in ("a_shown", "b", "c")}
    chosen = choice(Wanted(ACME, 0, None, ("a_*", "c")), events)
    assert [name for name in events if chosen.takes(b"acme", name, 1)] == [b"a_shown", b"c"]
    assert chosen.replay.eligible == {"a_shown": 1, "c": 1}
    assert not chosen.replay.skipped


def test_what_the_gate_would_skip_is_left_out_and_counted() -> None:
    """Sending it again would only skip it again."""
    events = {b"1": EVENT, b"2": replace(EVENT, is_preview=True), b"3": EVENT}
    chosen = choice(Wanted(ACME, 0), events)
    assert [each for each in events if chosen.takes(b"acme", each, 1)] == [b"1", b"3"]
    assert chosen.replay.skipped == {SkipReason.PREVIEW: 1}
    shut = choice(Wanted(ACME, 0), events, Gate(None))
    assert not any(shut.takes(b"acme", each, 1) for each in events)
    assert shut.replay.skipped == {SkipReason.NOT_CONNECTED: 3}


def test_what_is_no_event_of_the_workspace_is_counted() -> None:
    """Undecodable bytes and another workspace under this key are in the DLQ already."""
    chosen = choice(Wanted(ACME, 0), {b"other": replace(EVENT, workspace=Workspace("globex"))})
    assert not chosen.takes(b"acme", b"garbage", 1)
    assert not chosen.takes(b"acme", b"other", 1)
    assert chosen.replay.undecodable == 2


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Settings of the shared world."""
    return settings_for(world, prefix)


@pytest.fixture
def names(settings: Settings) -> Names:
    """Heapline's topics, three partitions each."""
    return make_topics(settings, 3)


def publish(settings: Settings, names: Names, count: int, **more: int) -> None:
    """Write so many events of acme, and as many of a workspace in the same partition."""
    encoder = encoder_for(settings, names, EVENTS)
    own = partition_of(b"acme", 3)
    records = []
    for n in range(count):
        event = replace(EVENT, event_id=EventId(f"e{n}"), name=f"name_{n % 2}")
        for workspace in (ACME, Workspace("neighbour")):
            record = replace(event, workspace=workspace).to_record()
            records.append(
                {
                    "value": encoder.encode(record),
                    "key": workspace,
                    "timestamp": NOW_MS + n,
                    "partition": own,
                    **more,
                }
            )
    write(settings, names.topic(EVENTS), records)


def forward_up_to(settings: Settings, names: Names, partition: int, offset: int) -> None:
    """Commit what a forwarder has settled."""
    place = TopicPartition(names.topic(EVENTS), partition, offset)
    commit(settings, names.group(FORWARDER_GROUP), place)


def test_settled_events_are_sent_again_and_later_ones_are_not(
    settings: Settings, names: Names
) -> None:
    """From `since` on, up to where the forwarder is: the rest it reads anyway."""
    own = partition_of(b"acme", 3)
    publish(settings, names, 2_500)
    forward_up_to(settings, names, own, 4_000)
    heard: list[int] = []
    done = replay_events(
        settings,
        names,
        Wanted(ACME, NOW_MS + 500),
        Gate(ON).judge,
        resender=TransactionalResender(settings, names),
        now_ms=NOW_MS,
        progress=heard.append,
    )
    assert done.sent == 1_500
    assert done.eligible == {"name_0": 750, "name_1": 750}
    assert heard == [1_000, 1_500]
    found = read_all(settings, names.topic(DEFERRED))
    assert len(found) == 1_500
    first = found[0]
    assert (first.key(), first.partition()) == (b"acme", own)
    headers = first.headers()
    assert isinstance(headers, list)
    deferral = Deferral.read(headers)  # type: ignore[arg-type]  # they are bytes
    assert deferral.origin == Origin(names.topic(EVENTS), own, 1_000)
    assert (deferral.source, deferral.not_before_ms) == (Source.REPLAY, NOW_MS)


def test_dry_run_counts_and_writes_nothing(settings: Settings, names: Names) -> None:
    """The same counts as the replay itself, and an empty deferred topic."""
    publish(settings, names, 10)
    forward_up_to(settings, names, partition_of(b"acme", 3), 20)
    found = replay_events(
        settings, names, Wanted(ACME, 0), Gate(ON).judge, resender=None, now_ms=NOW_MS
    )
    assert (found.eligible.total(), found.sent) == (10, 0)
    assert read_all(settings, names.topic(DEFERRED)) == []


def test_without_a_forwarder_there_is_nothing_to_replay(settings: Settings, names: Names) -> None:
    """All events will be read for the first time when one starts."""
    publish(settings, names, 3)
    assert settled_offsets(settings, names, [0, 1, 2]) == {0: 0, 1: 0, 2: 0}
    resender = FakeResender(3)
    replay_events(
        settings, names, Wanted(ACME, 0), Gate(ON).judge, resender=resender, now_ms=NOW_MS
    )
    assert resender.written == []


def test_misplaced_events_are_found_in_all_partitions(settings: Settings, names: Names) -> None:
    """A producer with another partitioner put them elsewhere; they go to the workspace's own."""
    own = partition_of(b"acme", 3)
    elsewhere = (own + 1) % 3
    publish(settings, names, 4, partition=elsewhere)
    forward_up_to(settings, names, elsewhere, 8)
    resender = FakeResender(3)
    for wanted in (Wanted(ACME, 0), Wanted(ACME, 0, all_partitions=True)):
        replay_events(settings, names, wanted, Gate(ON).judge, resender=resender, now_ms=NOW_MS)
    assert [each.partition for each in resender.written] == [own] * 4


def test_the_connection_is_read_as_it_is_now(settings: Settings, names: Names) -> None:
    """The last row wins; a workspace without a row has none."""
    encoder = encoder_for(settings, names, CONNECTIONS)
    rows = [
        {"key": "acme", "value": encoder.encode(replace(ON, send=send).to_record())}
        for send in (Send.OFF, Send.HOLD)
    ]
    write(settings, names.topic(CONNECTIONS), rows)
    found = connection_now(settings, names, ACME, SystemClock())
    assert found is not None
    assert found.send is Send.HOLD
    assert connection_now(settings, names, Workspace("other"), SystemClock()) is None


def test_missing_topics_are_told(settings: Settings) -> None:
    """An installation without topics is a mistake the caller can mend."""
    names = Names(settings.kafka.prefix)
    with pytest.raises(NotReady):
        replay_events(settings, names, Wanted(ACME, 0), Gate(ON).judge, resender=None, now_ms=1)


@pytest.mark.slow
def test_silent_brokers_are_told(own_world: Callable[..., World], prefix: str) -> None:
    """Nothing hangs for ever when Kafka is gone."""
    world = own_world(servers=("kafka",))
    found = settings_for(world, prefix)
    settings = found.model_copy(
        update={"kafka": found.kafka.model_copy(update={"timeout_seconds": 2.0})}
    )
    world.kafka.kill()
    names = Names(prefix)
    with pytest.raises(KafkaUnavailable):
        settled_offsets(settings, names, [0])
    with pytest.raises(KafkaUnavailable):
        connection_now(settings, names, ACME, SystemClock())
