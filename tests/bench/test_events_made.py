"""The events of the benchmarks: realistic, alike in every run, with ids of their own."""

from __future__ import annotations

import orjson
import pytest

from bench.baseline import single_request
from bench.events import WORKSPACES, events
from bench.installation import renumbered
from consumers.forwarder.gate import Gate
from consumers.forwarder.mapping import Mapper
from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.schemas import schema_text
from heapline.words import AppId

NOW_MS = 1_750_000_000_000


class Contract:
    """Knows one schema."""

    def schema_by_id(self, _schema_id: int) -> str:
        """See `SchemaSource`."""
        return schema_text("CommandAIEvent")


def test_they_are_the_same_every_time() -> None:
    """Rounds are compared, so they send the same."""
    assert list(events(50, now_ms=NOW_MS)) == list(events(50, now_ms=NOW_MS))


def test_they_are_of_a_realistic_size() -> None:
    """Twelve flat properties; 400 to 600 bytes in Kafka."""
    encoder = Encoder("CommandAIEvent", 1)
    for event in events(200, now_ms=NOW_MS):
        assert 400 <= len(encoder.encode(event.to_record())) <= 600
        assert len(orjson.loads(event.properties)) == 12


def test_they_are_spread_over_workspaces_and_users() -> None:
    """Five workspaces in turn, thousands of users, ids never twice."""
    made = list(events(20_000, now_ms=NOW_MS))
    assert {event.workspace for event in made} == set(WORKSPACES)
    assert len({event.user_id for event in made}) == 2_000
    assert len({event.event_id for event in made}) == 20_000


@pytest.mark.parametrize("turn", [1, 0xABCDEF])
def test_an_encoded_event_gets_another_id_and_nothing_else_changes(turn: int) -> None:
    """Filling a topic with a million events does not encode a million."""
    decoder = Decoder("CommandAIEvent", Contract())
    encoder = Encoder("CommandAIEvent", 1)
    event = next(events(1, now_ms=NOW_MS, first=7))
    other = Event.from_record(decoder.decode(renumbered(encoder.encode(event.to_record()), turn)))
    assert other.event_id != event.event_id
    other.event_id = event.event_id
    assert other == event


def test_the_baseline_sends_what_the_forwarder_sends() -> None:
    """Otherwise the two could not be compared: only the request around the event differs."""
    connection = Connection(WORKSPACES[0], app_id=AppId("1000"), region=Region.US, send=Send.ON)
    for event in events(20, now_ms=NOW_MS, workspaces=WORKSPACES[:1]):
        assert Gate(connection).judge(event) is None
        mapped = Mapper(connection).map(event, event.user_id or "")
        alone = orjson.loads(single_request(event.to_record(), "1000"))
        assert alone.pop("app_id") == "1000"
        assert alone == orjson.loads(mapped.body)
