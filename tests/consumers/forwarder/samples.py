"""Records, lanes and answers to try the forwarder's decisions on."""

from __future__ import annotations

import random
from itertools import count
from typing import TYPE_CHECKING, Any

from consumers.forwarder.lane import Lane
from consumers.forwarder.record import LaneKey, Now, Partition, Record
from heapline.heap.connection import Region
from heapline.heap.track import TrackAnswer
from heapline.kafka.headers import Deferral, Origin
from heapline.outcomes import Source
from heapline.settings import ForwarderSettings, LimitSettings

if TYPE_CHECKING:
    from consumers.forwarder.request import Consequence, Request
    from heapline.http import Failure

KEY = LaneKey(Region.US, "11")
EVENTS_0 = Partition("events", 0)
DEFERRED_0 = Partition("deferred", 0)
EPOCH_MS = 1_760_000_000_000
_offsets = count()


def at(seconds: float) -> Now:
    """Give a reading of the clock."""
    return Now(seconds, EPOCH_MS + int(seconds * 1000))


def deferral(first_ms: int = EPOCH_MS, due_ms: int = EPOCH_MS, deferrals: int = 1) -> Deferral:
    """Make what a deferred record says of itself."""
    return Deferral(Origin("events", 0, 0), Source.DEFERRED, first_ms, due_ms, deferrals)


def record(
    identity: str = "u",
    *,
    read_at: float = 0.0,
    source: Source = Source.EVENTS,
    body: bytes = b"{}",
    offset: int | None = None,
    workspace: str = "acme",
) -> Record:
    """Make a mapped record that waits."""
    deferred = source is not Source.EVENTS
    return Record(
        DEFERRED_0 if deferred else EVENTS_0,
        next(_offsets) if offset is None else offset,
        workspace.encode(),
        b"value",
        [],
        source,
        read_at,
        deferral() if deferred else None,
        workspace=workspace,
        identity=identity,
        body=body,
    )


def records(events: int, identity: str | None = None, **more: Any) -> list[Record]:  # noqa: ANN401 -- as `record`
    """Make records, by default each of an identity of its own."""
    return [record(identity or f"u{n}", **more) for n in range(events)]


class TriedLane:
    """A lane, and its other end played by hand.

    Args:
        limits, settings: the lane's; its budget is full from the start unless `started_at` is said.
        started_at: when it started; the first moment tried is 0.
    """

    def __init__(
        self,
        limits: LimitSettings | None = None,
        settings: ForwarderSettings | None = None,
        started_at: float = -1_000.0,
        seed: int = 1,
    ) -> None:
        self.limits = limits or LimitSettings()
        self.settings = settings or ForwarderSettings()
        self.lane = Lane(KEY, "acme", self.limits, self.settings, 30, started_at)
        self.rng = random.Random(seed)
        self.requests = count()
        self.sent = 0

    def add(self, *added: Record) -> None:
        """Let records wait."""
        for each in added:
            self.lane.waiting.add(each)

    def plan(self, now: float) -> Request | None:
        """Ask for a request."""
        request = self.lane.plan(now, next(self.requests))
        self.sent += request is not None
        return request

    def answer(
        self,
        request: Request,
        now: float,
        status: int | None = 200,
        *,
        failure: Failure | None = None,
        retry_after: float | None = None,
    ) -> Consequence:
        """Answer a request."""
        said = TrackAnswer(status, failure, retry_after)
        return self.lane.answered(request, said, at(now), self.rng)

    def exchange(self, now: float, status: int | None = 200, **more: Any) -> Consequence:  # noqa: ANN401 -- as `answer`
        """Send the next request and answer it at once."""
        request = self.plan(now)
        assert request is not None, f"nothing to send at {now}"
        return self.answer(request, now, status, **more)

    def spill(self, now: float) -> list[tuple[Record, Any]]:
        """Take what must not wait here longer."""
        return list(self.lane.take_spill(now))
