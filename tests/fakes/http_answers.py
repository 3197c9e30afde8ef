"""An HTTP client that gives prepared answers and remembers what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.http import Answer, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping


class FakeHttpAnswers:
    """`heapline.http.HttpClient` over a dictionary of statuses by address.

    Attributes:
        statuses: what to answer; addresses that are not in it do not answer at all.
        asked: method and address of every request, in order.
    """

    def __init__(self, statuses: Mapping[str, int] | None = None) -> None:
        self.statuses = dict(statuses or {})
        self.asked: list[tuple[str, str]] = []
        self.is_closed = False

    def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """See `HttpClient.request`."""
        del body, headers
        self.asked.append((method, url))
        if url not in self.statuses:
            return Answer(None, failure=Failure.NOT_SENT, error="ConnectError: refused")
        return Answer(self.statuses[url])

    def close(self) -> None:
        """See `HttpClient.close`."""
        self.is_closed = True
