"""Records whose schema id is not known yet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from consumers.forwarder.unknown_schemas import UnknownSchemas
from heapline.errors import MustStop
from heapline.kafka.codec import Decoder, frame
from heapline.kafka.schemas import schema_text
from tests.consumers.forwarder.samples import records
from tests.fakes.schema_source import FakeSchemas

if TYPE_CHECKING:
    from consumers.forwarder.record import Record


class Desk:
    """Records held back, with a registry in memory."""

    def __init__(self, *known: int, wait_seconds: float = 60.0) -> None:
        self.schemas = FakeSchemas({each: schema_text("CommandAIEvent") for each in known})
        self.decoder = Decoder("CommandAIEvent", self.schemas)
        self.unknown = UnknownSchemas(self.decoder, self.schemas, wait_seconds)

    def hold_back(self, schema_id: int, count: int, now: float = 0.0) -> list[Record]:
        """Offer records of a schema; all must be held back."""
        held = records(count)
        for each in held:
            each.value = frame(schema_id, b"")
            assert self.unknown.hold_back(each, now)
        return held

    def resolved(self, now: float, wanted: int) -> list[tuple[Record, bool]]:
        """Ask until the registry's thread has answered for so many records."""
        found: list[tuple[Record, bool]] = []
        deadline = time.monotonic() + 60
        while len(found) < wanted and time.monotonic() < deadline:
            found += self.unknown.resolved(now)
            time.sleep(0.001)
        return found

    def asked(self, now: float, times: int) -> list[tuple[Record, bool]]:
        """Go on until the registry was asked so often, and the answer was taken."""
        found: list[tuple[Record, bool]] = []
        deadline = time.monotonic() + 60
        while len(self.schemas.asked) < times and time.monotonic() < deadline:
            found += self.unknown.resolved(now)
            time.sleep(0.001)
        time.sleep(0.05)
        return [*found, *self.unknown.resolved(now)]


def test_records_wait_until_the_schema_is_known() -> None:
    """They come back in the order they were read."""
    desk = Desk(7)
    held = desk.hold_back(7, 3)
    assert desk.resolved(0.0, 3) == [(each, True) for each in held]
    assert len(desk.unknown) == 0


def test_nobody_overtakes_those_held_back() -> None:
    """Though their schema is known by now, later records wait for the earlier ones."""
    desk = Desk(7)
    first = desk.hold_back(7, 2)
    desk.decoder.learn(7)
    later = desk.hold_back(7, 2)
    assert [each for each, _ in desk.resolved(0.0, 4)] == [*first, *later]
    (after,) = records(1)
    after.value = frame(7, b"")
    assert not desk.unknown.hold_back(after, 1.0)


def test_a_registry_that_is_down_is_waited_for() -> None:
    """However long; only the time in which it says "unknown" counts."""
    desk = Desk(7, wait_seconds=1.0)
    desk.schemas.down = True
    held = desk.hold_back(7, 1)
    assert desk.asked(1_000.0, 1) == []
    desk.schemas.down = False
    assert desk.resolved(2_000.0, 1) == [(held[0], True)]


def test_an_id_that_stays_unknown_is_given_up() -> None:
    """After the patience, not before."""
    desk = Desk(wait_seconds=60.0)
    held = desk.hold_back(9, 1)
    assert desk.asked(1.0, 1) == []
    assert desk.resolved(61.0, 1) == [(held[0], False)]


def test_a_registry_that_lost_what_it_had_stops_the_process() -> None:
    """A schema read before is unknown too: it is another registry, or an empty one."""
    desk = Desk(7)
    desk.decoder.learn(7)
    desk.schemas.texts.clear()
    desk.hold_back(9, 1)
    with pytest.raises(MustStop, match="lost schemas"):
        desk.resolved(0.0, 1)


def test_records_handed_over_meanwhile_are_left_out() -> None:
    """Their partition has a new owner."""
    desk = Desk(7)
    gone, kept = desk.hold_back(7, 2)
    gone.dropped = True
    assert desk.resolved(0.0, 1) == [(kept, True)]
