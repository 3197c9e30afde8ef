"""Heap's track endpoint: where it is, how a request is sent, and what its answer says.

Hosts: `heapanalytics.com` in the US, `c.eu.heap-api.com` in the EU (Heap, Bulk Track reference).
Only 200 and 400 are documented; what each status means for the events is decided elsewhere. Bodies
of requests are never logged, and an answer is quoted in an excerpt without control characters.
"""

from __future__ import annotations

import gzip
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.clock import Clock, SystemClock
from heapline.heap.connection import Region
from heapline.heap.retry_after import retry_after_seconds

if TYPE_CHECKING:
    from heapline.http import Answer, Failure, HttpClient
    from heapline.settings import HeapSettings

HOSTS: Final = {
    Region.US: "https://heapanalytics.com",
    Region.EU: "https://c.eu.heap-api.com",
}
PATH: Final = "/api/track"
EXCERPT_CHARACTERS: Final = 300
_EXCERPT_BYTES: Final = 4 * EXCERPT_CHARACTERS
_GZIP_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class TrackAnswer:
    """What Heap said to one request.

    Attributes:
        status: the HTTP status, or None when `failure` says why there is none.
        failure: `not_sent` or `ambiguous`; None when there is a status.
        retry_after_seconds: how long Heap asks to wait, or None where it does not say.
        body_excerpt: the beginning of the answer, for headers and logs.
        error: one line on the failure; nothing of the request in it.
    """

    status: int | None
    failure: Failure | None = None
    retry_after_seconds: float | None = None
    body_excerpt: str = ""
    error: str = ""


class HeapClient:
    """Sends track requests; safe to share between threads."""

    def __init__(
        self, http: HttpClient, settings: HeapSettings, clock: Clock | None = None
    ) -> None:
        self._http = http
        self._gzip = settings.gzip
        self._clock = clock or SystemClock()
        self._urls = {region: track_url(region, settings.api_url) for region in Region}
        self._headers = {"content-type": "application/json"}
        if settings.gzip:
            self._headers["content-encoding"] = "gzip"

    def track(self, region: Region, body: bytes) -> TrackAnswer:
        """Send one request body and wait for the answer; never raises for what the network does."""
        sent = gzip.compress(body, _GZIP_LEVEL, mtime=0) if self._gzip else body
        answer = self._http.request("POST", self._urls[region], body=sent, headers=self._headers)
        return self._read(answer)

    def _read(self, answer: Answer) -> TrackAnswer:
        return TrackAnswer(
            answer.status,
            answer.failure,
            retry_after_seconds(answer.headers.get("retry-after"), self._clock.epoch_ms()),
            excerpt(answer.body),
            answer.error,
        )


def track_url(region: Region, api_url: str | None) -> str:
    """Give the endpoint of a region; `api_url` stands for the hosts of both."""
    return (api_url or HOSTS[region]).rstrip("/") + PATH


def excerpt(body: bytes) -> str:
    """Give the first 300 characters of an answer on one line, without control characters."""
    text = body[:_EXCERPT_BYTES].decode("utf-8", "replace")
    printable = "".join(" " if unicodedata.category(c) in _UNPRINTABLE else c for c in text)
    return " ".join(printable.split())[:EXCERPT_CHARACTERS].rstrip()


_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
