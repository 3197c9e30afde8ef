"""Requests go out from threads; every one gets an answer, whatever the client does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from consumers.forwarder.request import Request
from consumers.forwarder.sender import Sender
from heapline.clock import SystemClock
from heapline.heap.track import TrackAnswer
from heapline.http import Failure
from tests.consumers.forwarder.samples import KEY, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heapline.heap.connection import Region

PATIENCE_SECONDS = 60.0


class Heap:
    """Answers when told to, and breaks on one body."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def track(self, region: Region, body: bytes) -> TrackAnswer:
        """See `sender.Heap.track`."""
        del region
        if body == b"breaks":
            raise RuntimeError("a defect in the client")
        assert self.may_answer.wait(PATIENCE_SECONDS)
        return TrackAnswer(200)


def answers(sender: Sender, count: int) -> Iterator[tuple[int, TrackAnswer]]:
    """Wait for so many answers."""
    while count > 0:
        found = list(sender.answers(PATIENCE_SECONDS))
        assert found, "no answer came"
        count -= len(found)
        yield from ((request.id, answer) for request, answer, _ in found)


def test_requests_wait_beside_each_other_and_the_loop_waits_for_none() -> None:
    """Two threads hold two requests; asking for answers comes back at once without any."""
    heap = Heap()
    sender = Sender(heap, threads=2, clock=SystemClock())
    for number in range(4):
        sender.send(Request(number, KEY, [record()]), b"body")
    assert list(sender.answers()) == []
    assert sender.in_flight == 4
    heap.may_answer.set()
    assert {number for number, _ in answers(sender, 4)} == {0, 1, 2, 3}
    assert sender.in_flight == 0
    sender.close()


def test_a_defect_in_the_client_is_an_ambiguous_answer() -> None:
    """Its events are tried again; the thread goes on."""
    heap = Heap()
    heap.may_answer.set()
    sender = Sender(heap, threads=1, clock=SystemClock())
    sender.send(Request(1, KEY, [record()]), b"breaks")
    sender.send(Request(2, KEY, [record()]), b"body")
    found = dict(answers(sender, 2))
    assert found[1].failure is Failure.AMBIGUOUS
    assert "a defect in the client" in found[1].error
    assert found[2].status == 200
    sender.close()
