"""Request bodies: read within a bound, and taken apart into items."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from heapline.errors import InvalidEvent
from heapline.events.refusals import Refusal, refuse
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import Request

JSON: Final = "application/json"
LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item that is no JSON; stands in its place, so that the others keep their index."""

    error: InvalidEvent


async def read_body(request: Request, largest_bytes: int) -> bytes:
    """Read a body, giving up as soon as it is too large.

    Raises:
        Problem: 413, or 415 where the body is compressed.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise Problem(415, "compressed", "send the body uncompressed, without Content-Encoding")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > largest_bytes:
        raise _too_large(largest_bytes)
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > largest_bytes:
            raise _too_large(largest_bytes)
        body += chunk
    return bytes(body)


def _too_large(largest_bytes: int) -> Problem:
    return Problem(
        413,
        "too-large",
        f"at most {largest_bytes} bytes in one request (HEAPLINE_WEB__MAX_BODY_BYTES): send less",
        headers={"Connection": "close"},
    )


def items_of(content_type: str, body: bytes) -> list[object]:
    """Take a body apart: one JSON object, a list, or one JSON value a line.

    A line that is no JSON becomes `Unreadable`; blank lines are left out.

    Raises:
        Problem: 415 for another content type, 400 for what is no JSON or neither object nor list.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in LINES:
        return list(_lines(body))
    if media_type != JSON and not media_type.endswith("+json"):
        raise Problem(
            415,
            "unsupported-media-type",
            f"send `Content-Type: {JSON}` (one event or a list) or `{LINES[0]}` (one a line)",
        )
    try:
        parsed = json_value(body)
    except InvalidEvent as error:
        raise Problem(400, error.reason.replace("_", "-"), str(error)) from error
    if isinstance(parsed, list):
        return parsed
    if isinstance(parsed, dict):
        return [parsed]
    raise Problem(400, "not-events", "send one event (a JSON object) or a list of events")


def _lines(body: bytes) -> Iterator[object]:
    for line in body.split(b"\n"):
        if line.strip():
            try:
                yield json_value(line)
            except InvalidEvent as error:
                yield Unreadable(error)


def json_value(text: bytes) -> Any:  # noqa: ANN401 -- any JSON
    """Read one JSON value, as leniently as JavaScript and Python write it.

    Lone surrogates and NaN are no JSON by the book (RFC 8259), yet sources write them: whether an
    event with one can be mended is not for the parser to say.

    Raises:
        InvalidEvent: it is not UTF-8, not JSON, or nested too deep.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _lenient(text)


def _lenient(text: bytes) -> Any:  # noqa: ANN401 -- any JSON
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise refuse(Refusal.NOT_UTF8, f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise refuse(
            Refusal.NOT_JSON, f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except (RecursionError, ValueError):
        # ValueError: a number of more digits than Python converts (sys.set_int_max_str_digits).
        raise refuse(Refusal.NOT_JSON, "nested too deep, or a number too long") from None
