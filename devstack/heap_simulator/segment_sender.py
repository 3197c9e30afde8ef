"""Sends pages to a partner's webhook as Heap does: signed, and again until it says 200."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING

from heapline.http import HttpxClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devstack.heap_simulator.segment_model import SyncOptions
    from heapline.clock import Clock
    from heapline.http import HttpClient

ANSWER_SECONDS = 15.0
FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 2.0
"""Heap publishes none of the three."""
POSITION_HEADER = "heapline-position"


def heap_hash(body: bytes, secret: str, ts_ms: int) -> str:
    """Give the `Heap-Hash` header of a body (heap/heap-api-reference, webhook_spec.yaml)."""
    ts = str(ts_ms)
    digest = hmac.new(secret.encode(), ts.encode() + body, hashlib.sha256).digest()
    return f"ts:{ts},hmac:{base64.b64encode(digest).decode()}"


@dataclass(slots=True)
class SendReport:
    """What came of sending some pages.

    Attributes:
        pages: to be sent, repeats included.
        delivered: answered 200.
        by_status: attempts by status; `none` where there was no answer.
        undelivered: pages given up on.
        last_position: the last `Heapline-Position` that was answered.
        seconds: from the first attempt to the last answer.
    """

    pages: int
    delivered: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    undelivered: list[bytes] = field(default_factory=list)
    last_position: str | None = None
    seconds: float = 0.0


class SegmentSender:
    """Delivers pages; several threads may send at once.

    Args:
        clock: of the signatures. How long is waited between attempts is real time.
        http: how to send; None makes a client of its own.
    """

    def __init__(self, clock: Clock, http: HttpClient | None = None) -> None:
        self._clock = clock
        self._http = http or HttpxClient(connections=64, answer_seconds=ANSWER_SECONDS)
        self._closing = Event()

    def close(self) -> None:
        """Let whoever waits between attempts give up, and close all connections."""
        self._closing.set()
        self._http.close()

    def send(
        self, pages: Sequence[bytes], url: str, secret: str, options: SyncOptions
    ) -> SendReport:
        """Send pages in this order, `options.parallel` at once, each until it is taken."""
        began = monotonic()
        report = SendReport(len(pages))
        delivery = _Delivery(
            url, secret, options, began + options.give_up_after_seconds, report, Lock()
        )
        with ThreadPoolExecutor(options.parallel) as threads:
            list(threads.map(lambda page: self._deliver(page, delivery), pages))
        report.seconds = monotonic() - began
        return report

    def _deliver(self, page: bytes, delivery: _Delivery) -> None:
        backoff_seconds = FIRST_BACKOFF_SECONDS
        while not self._closing.is_set():
            if self._attempt(page, delivery):
                return
            left_seconds = delivery.give_up_at - monotonic()
            if left_seconds <= 0 or self._closing.wait(min(backoff_seconds, left_seconds)):
                break
            backoff_seconds = min(2 * backoff_seconds, LONGEST_BACKOFF_SECONDS)
        with delivery.lock:
            delivery.report.undelivered.append(page)

    def _attempt(self, page: bytes, delivery: _Delivery) -> bool:
        ts_ms = self._clock.epoch_ms() + delivery.options.skew_ms
        headers = {
            "Content-Type": "application/json",
            "Heap-Hash": heap_hash(page, delivery.secret, ts_ms),
        }
        answer = self._http.request("POST", delivery.url, body=page, headers=headers)
        with delivery.lock:
            delivery.report.by_status[str(answer.status or "none")] += 1
            if answer.status != HTTPStatus.OK:
                return False
            delivery.report.delivered += 1
            position = answer.headers.get(POSITION_HEADER)
            delivery.report.last_position = position or delivery.report.last_position
        return True


@dataclass(frozen=True, slots=True)
class _Delivery:
    url: str
    secret: str
    options: SyncOptions
    give_up_at: float
    report: SendReport
    lock: Lock
