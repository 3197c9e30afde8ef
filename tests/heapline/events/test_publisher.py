"""The publishers, against a Kafka that is only played."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from heapline.errors import (
    CallerMistake,
    HeaplineError,
    InvalidEvent,
    InvalidSetting,
    KafkaUnavailable,
    NotReady,
    RegistryUnavailable,
)
from heapline.events import AsyncEventPublisher, Event, EventPublisher, NotAcknowledged, Patience
from heapline.events.async_publisher import MOST_WAITING
from heapline.events.outbox import RECORD_BYTES, Outbox
from heapline.kafka.codec import Decoder, schema_id_of
from heapline.kafka.schemas import schema_text
from heapline.words import EventId, Workspace
from tests.fakes.record_producer import FakeEventSchema, FakeRecordProducer
from tests.fakes.schema_source import FakeSchemas

if TYPE_CHECKING:
    from collections.abc import Coroutine

NOW_MS = 1_800_000_000_000
PATIENCE = Patience(check_seconds=2, queue_seconds=5, flush_seconds=10)


class VirtualTime:
    """A clock that moves only when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.seconds

    def epoch_ms(self) -> int:
        """See `Clock.epoch_ms`."""
        return NOW_MS + int(self.seconds * 1000)

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self.seconds += seconds


class Played:
    """A publisher and everything around it."""

    def __init__(self, capacity: int = 100_000) -> None:
        self.clock = VirtualTime()
        self.kafka = FakeRecordProducer(capacity)
        self.kafka.sleep = self.clock.sleep
        self.schema = FakeEventSchema()
        self.publisher = EventPublisher(
            outbox=Outbox(self.kafka, self.schema, patience=PATIENCE, clock=self.clock)
        )

    def events(self) -> list[Event]:
        """Decode what the brokers hold."""
        decoder = Decoder("CommandAIEvent", FakeSchemas({7: schema_text("CommandAIEvent")}))
        return [Event.from_record(decoder.decode(value)) for _, value in self.kafka.acknowledged]


def nudge(number: int = 1, **more: object) -> dict[str, Any]:
    """Give a payload."""
    return {
        "name": "nudge_shown",
        "data": {"n": number},
        "user_id": "u",
        "timestamp": f"2026-03-01T09:30:00.{number:03}Z",
    } | more


def test_what_is_published_is_what_was_meant() -> None:
    """A payload becomes a framed record under the workspace as its key."""
    played = Played()
    event_id = played.publisher.publish(nudge(), "acmé")
    played.publisher.flush()
    ((key, value),) = played.kafka.acknowledged
    assert key == "acmé".encode()
    assert schema_id_of(value) == 7
    (event,) = played.events()
    assert (event.event_id, event.workspace, event.name) == (event_id, "acmé", "nudge_shown")
    assert event.received_at_ms == NOW_MS
    assert json.loads(event.properties) == {"n": 1}


def test_the_same_payload_has_the_same_id() -> None:
    """Publishing again after an error doubles nothing."""
    played = Played()
    assert played.publisher.publish(nudge(), "acme") == played.publisher.publish(nudge(), "acme")


def test_delivery_reports() -> None:
    """Each event is reported once, with its id, and with the error if there was one."""
    played = Played()
    lost = KafkaUnavailable("timed out")
    played.kafka.failures.extend([None, lost])
    reports: list[tuple[EventId, HeaplineError | None]] = []
    ids = [
        played.publisher.publish(
            nudge(number), "acme", on_delivery=lambda made, error: reports.append((made, error))
        )
        for number in range(3)
    ]
    with pytest.raises(NotAcknowledged):
        played.publisher.flush()
    assert reports == [(ids[0], None), (ids[1], lost), (ids[2], None)]


def test_invalid_events_are_refused_before_anything_is_queued() -> None:
    """No name: InvalidEvent, and nothing is waiting."""
    played = Played()
    with pytest.raises(InvalidEvent):
        played.publisher.publish({"user_id": "u"}, "acme")
    assert played.publisher.waiting == 0


def test_too_large() -> None:
    """A record that would not fit its topic is refused with its size; one that fits is not."""
    played = Played()
    with pytest.raises(InvalidEvent, match=str(RECORD_BYTES)) as refused:
        played.publisher.publish(nudge(text="x", data={"text": "x" * RECORD_BYTES}), "acme")
    assert refused.value.reason == "too_large"
    played.publisher.publish(nudge(data={"text": "x" * (RECORD_BYTES - 300)}), "acme")
    played.publisher.flush()
    assert len(played.kafka.acknowledged) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"event_id": ""}, {"workspace": ""}, {"name": ""}, {"user_id": 7}, {"properties": "\ud800"}],
)
def test_malformed_events_are_refused(wrong: dict[str, Any]) -> None:
    """An event made by hand that the contract cannot carry is refused."""
    fields: dict[str, Any] = {
        "event_id": "e",
        "workspace": Workspace("acme"),
        "name": "x",
        "user_id": None,
        "timestamp_ms": 1,
        "received_at_ms": 1,
    }
    played = Played()
    with pytest.raises(InvalidEvent) as refused:
        played.publisher.publish_event(Event(**fields | wrong))
    assert refused.value.reason == "malformed"
    assert played.publisher.publish_event(Event(**fields)) == "e"


def test_a_full_queue_is_waited_for() -> None:
    """Back-pressure: publishing waits until there is room, and loses nothing."""
    played = Played(capacity=2)
    for number in range(7):
        played.publisher.publish(nudge(number), "acme")
    played.publisher.flush()
    assert len(played.kafka.acknowledged) == 7


def test_a_queue_that_stays_full() -> None:
    """After its patience publishing fails, and that event is not queued."""
    played = Played(capacity=2)
    played.kafka.brokers_answer = False
    played.publisher.publish(nudge(1), "acme")
    played.publisher.publish(nudge(2), "acme")
    with pytest.raises(KafkaUnavailable, match="no room"):
        played.publisher.publish(nudge(3), "acme")
    assert played.clock.seconds == pytest.approx(PATIENCE.queue_seconds, abs=0.2)
    assert played.publisher.waiting == 2
    played.kafka.brokers_answer = True
    played.publisher.flush()
    assert [event.properties for event in played.events()] == ['{"n":1}', '{"n":2}']


def test_flush_says_how_many_are_missing() -> None:
    """Waiting and given up are told apart; what is waiting may still arrive."""
    played = Played()
    played.kafka.failures.append(KafkaUnavailable("timed out"))
    played.publisher.publish(nudge(1), "acme")
    played.publisher.poll()
    played.kafka.brokers_answer = False
    played.publisher.publish(nudge(2), "acme")
    with pytest.raises(NotAcknowledged, match="2 events") as missing:
        played.publisher.flush(3)
    assert (missing.value.waiting, missing.value.failed) == (1, 1)
    assert "timed out" in str(missing.value)
    assert played.clock.seconds == pytest.approx(3, abs=0.2)
    played.kafka.brokers_answer = True
    played.publisher.flush()


def test_publishing_many() -> None:
    """Each gets its result in its place; one bad event spoils no other."""
    played = Played()
    played.kafka.failures.extend([None, KafkaUnavailable("timed out")])
    results = played.publisher.publish_many([nudge(1), {}, nudge(2), nudge(3)], "acme")
    assert [result.accepted for result in results] == [True, False, False, True]
    assert [result.event_id is None for result in results] == [False, True, False, False]
    assert isinstance(results[1].error, InvalidEvent)
    assert isinstance(results[2].error, KafkaUnavailable)


def test_publishing_many_without_an_answer() -> None:
    """Whatever is not acknowledged in time says so."""
    played = Played()
    played.kafka.brokers_answer = False
    results = played.publisher.publish_many([nudge(1), nudge(2)], "acme", seconds=1)
    assert [type(result.error) for result in results] == [KafkaUnavailable] * 2
    assert played.publisher.publish_many([]) == []


@pytest.mark.parametrize("problem", [NotReady("no topic"), KafkaUnavailable("no brokers")])
def test_a_missing_topic(problem: HeaplineError) -> None:
    """It is said at the first event, and looked for again at the next."""
    played = Played()
    played.kafka.topic_problem = problem
    with pytest.raises(type(problem)):
        played.publisher.publish(nudge(), "acme")
    played.kafka.topic_problem = None
    played.publisher.publish(nudge(), "acme")


def test_a_missing_schema() -> None:
    """Likewise; and the registry is asked no more once it has answered."""
    played = Played()
    played.schema.problem = RegistryUnavailable("down")
    with pytest.raises(RegistryUnavailable), played.publisher:
        pytest.fail("a publisher that is not ready was entered")
    played.schema.problem = None
    for number in range(3):
        played.publisher.publish(nudge(number), "acme")
    assert played.schema.asked == 2


def test_leaving_the_block_waits_for_all() -> None:
    """At its end every event is acknowledged and the producer closed."""
    played = Played()
    with played.publisher as publisher:
        publisher.publish(nudge(), "acme")
    assert len(played.kafka.acknowledged) == 1
    assert played.kafka.is_closed
    with pytest.raises(CallerMistake, match="closed"):
        publisher.publish(nudge(), "acme")
    publisher.close()


def test_leaving_the_block_with_events_waiting() -> None:
    """What is not acknowledged in time is an error, unless another error is on its way."""
    played = Played()
    played.kafka.brokers_answer = False
    with pytest.raises(NotAcknowledged), played.publisher as publisher:
        publisher.publish(nudge(), "acme")
    assert played.kafka.is_closed

    played = Played()
    played.kafka.brokers_answer = False
    played.publisher.publish(nudge(), "acme")
    with pytest.raises(ZeroDivisionError), played.publisher:
        raise ZeroDivisionError


@pytest.mark.parametrize("setting", [{"partitioner": "random"}, {"enable.idempotence": False}])
def test_settings_that_would_break_it(setting: dict[str, Any]) -> None:
    """Partitioning and idempotence are not the caller's to change."""
    with pytest.raises(InvalidSetting, match="leave"):
        EventPublisher(librdkafka=setting)


class PlayedAsync:
    """An asynchronous publisher in real time, against a played Kafka."""

    def __init__(self, patience: Patience = Patience(), capacity: int = 100_000) -> None:  # noqa: B008 -- frozen
        self.kafka = FakeRecordProducer(capacity)
        self.schema = FakeEventSchema()
        self.publisher = AsyncEventPublisher(
            outbox=Outbox(self.kafka, self.schema, patience=patience)
        )


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in a loop of its own that complains of whatever blocks it."""
    asyncio.run(test, debug=True)


def test_async_publish_waits_for_acknowledgement() -> None:
    """Its id comes when the brokers hold the event; an error is raised."""

    async def test() -> None:
        played = PlayedAsync()
        async with played.publisher as publisher:
            made = await publisher.publish(nudge(), "acme")
            assert len(played.kafka.acknowledged) == 1
            assert made
            played.kafka.failures.append(KafkaUnavailable("timed out"))
            with pytest.raises(KafkaUnavailable, match="timed out"):
                await publisher.publish(nudge(2), "acme")
            with pytest.raises(InvalidEvent):
                await publisher.publish({}, "acme")
            with pytest.raises(NotAcknowledged) as missing:
                await publisher.flush()
            assert missing.value.failed == 1
        assert played.kafka.is_closed

    run(test())


def test_async_publishers_of_one_loop_share_the_producer() -> None:
    """Many tasks publish at once; each hears of its own event; the network is asked once."""

    async def test() -> None:
        played = PlayedAsync(capacity=10)
        async with asyncio.TaskGroup() as tasks:
            for number in range(200):
                tasks.create_task(played.publisher.publish(nudge(number), "acme"))
        assert len(played.kafka.acknowledged) == 200
        assert played.schema.asked == 1
        await played.publisher.close()

    run(test())


def test_async_publishing_many() -> None:
    """Results come in order; more events than may wait are no problem."""

    async def test() -> None:
        played = PlayedAsync()
        payloads: list[object] = [nudge(number % 1000) for number in range(MOST_WAITING + 500)]
        payloads[3] = "no event"
        async with played.publisher as publisher:
            results = await publisher.publish_many(payloads, "acme")
        assert [number for number, result in enumerate(results) if not result.accepted] == [3]
        assert len(played.kafka.acknowledged) == len(payloads) - 1

    run(test())


def test_async_patience_ends() -> None:
    """A Kafka that does not answer is an error in time, and the loop is free meanwhile."""

    async def test() -> None:
        played = PlayedAsync(Patience(queue_seconds=0.1, flush_seconds=0.1), capacity=1)
        played.kafka.brokers_answer = False
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.005)

        ticking = asyncio.create_task(tick())
        first, second = await played.publisher.publish_many([nudge(1), nudge(2)], "acme")
        assert "not acknowledged" in str(first.error)
        assert "no room" in str(second.error)
        with pytest.raises(NotAcknowledged) as missing:
            await played.publisher.close()
        assert missing.value.waiting == 1
        assert ticks > 15
        ticking.cancel()

    run(test())


def test_async_a_caller_that_goes_away() -> None:
    """Cancelling gives up waiting; the event is published all the same."""

    async def test() -> None:
        played = PlayedAsync()
        played.kafka.brokers_answer = False
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(played.publisher.publish(nudge(), "acme"), 0.05)
        played.kafka.brokers_answer = True
        await played.publisher.close()
        assert len(played.kafka.acknowledged) == 1

    run(test())


def test_async_not_ready() -> None:
    """A missing schema is said, and looked for again."""

    async def test() -> None:
        played = PlayedAsync()
        played.schema.problem = NotReady("run `heapline schemas register`")
        with pytest.raises(NotReady):
            await played.publisher.publish(nudge(), "acme")
        played.schema.problem = None
        await played.publisher.publish(nudge(), "acme")
        await played.publisher.close()

    run(test())
