"""What handlers get and give: requests, answers, and the ways of not answering."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

JSON = "application/json"
NDJSON = "application/x-ndjson"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request.

    Attributes:
        method: in capitals.
        path: without the query.
        query: the first value of each name.
        headers: by lower-case name; of repeated headers the last.
        body: as it came.
        parameters: the parts of the path that the router's pattern left open, by name.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, or one that is spoilt on the way.

    Attributes:
        status: the HTTP status.
        body: sent with its length, unless there is a `stream`.
        stream: sent piece by piece instead of `body`.
        headers: further headers.
        content_type: of the body.
        keep_body_bytes: close the connection after so much of the body; None sends all of it.
        piece_bytes: send head and body in pieces of this size; None sends them at once.
        pause_seconds: between such pieces.
        close: close the connection afterwards.
    """

    status: int = HTTPStatus.OK
    body: bytes = b"{}"
    stream: Iterable[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    keep_body_bytes: int | None = None
    piece_bytes: int | None = None
    pause_seconds: float = 0.0
    close: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The client gets nothing: its connection is reset, or it waits until it gives up."""

    how: Literal["reset", "hang"]


Reply = Answer | NoAnswer
"""What becomes of a request on the wire."""
