"""Sends requests from a few threads, so that the loop never waits for Heap."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from heapline.heap.track import TrackAnswer
from heapline.http import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.forwarder.request import Request
    from heapline.clock import Clock
    from heapline.heap.connection import Region


class Heap(Protocol):
    """Heap's track API."""

    def track(self, region: Region, body: bytes) -> TrackAnswer:
        """Send one request and wait for its answer; never raises for what the network does."""
        ...


class Sender:
    """Threads that each wait for one answer at a time.

    They are daemons: a server that never answers must not keep a stopped process alive.

    Args:
        heap: shared by all threads.
        threads: requests in flight at most.
        clock: for measuring.
    """

    def __init__(self, heap: Heap, threads: int, clock: Clock) -> None:
        self._heap = heap
        self._clock = clock
        self._requests: SimpleQueue[tuple[Request, bytes] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Request, TrackAnswer, float]] = SimpleQueue()
        self._threads = threads
        self.in_flight = 0
        for number in range(threads):
            Thread(target=self._run, name=f"heap-{number}", daemon=True).start()

    def send(self, request: Request, body: bytes) -> None:
        """Send a request; its answer comes by `answers`."""
        self.in_flight += 1
        self._requests.put((request, body))

    def answers(self, wait_seconds: float = 0.0) -> Iterator[tuple[Request, TrackAnswer, float]]:
        """Give the answers that came, with the seconds each took; wait for the first if asked."""
        try:
            item = self._answers.get(block=wait_seconds > 0, timeout=wait_seconds or None)
            while True:
                self.in_flight -= 1
                yield item
                item = self._answers.get(block=False)
        except Empty:
            return

    def close(self) -> None:
        """Take no more; a thread still waiting for an answer ends with the process."""
        for _ in range(self._threads):
            self._requests.put(None)

    def _run(self) -> None:
        while (item := self._requests.get()) is not None:
            request, body = item
            started = self._clock.monotonic()
            try:
                answer = self._heap.track(request.lane.region, body)
            except Exception as error:  # noqa: BLE001 -- an answer must come, whatever happens
                answer = TrackAnswer(None, Failure.AMBIGUOUS, error=repr(error)[:200])
            self._answers.put((request, answer, self._clock.monotonic() - started))
