"""`/v1/workspaces/…`: which segments a user is in, who is in a segment, who matches an audience.

They stand before FastAPI's routes: ids in an address are split off before they are decoded, and
an answer of a few microseconds is not worth models and a graph of dependencies.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from fastapi import Request
from starlette.requests import ClientDisconnect

from heapline.kafka import position
from heapline.memberships import (
    IndexUnavailable,
    InvalidCursor,
    UnknownSegment,
    UnknownWorkspace,
)
from heapline.telemetry.metrics import LOOKUPS
from web.body import JSON
from web.lookup_paths import PREFIX, Operation, address_of, template
from web.lookup_requests import count_asked, evaluation_asked, members_asked, pairs_asked
from web.problems import Problem, unavailable
from web.read_positions import reached, wanted_positions
from web.tokens import Guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from heapline.settings import WebSettings
    from web.lookup_answers import Answer, Answers, WorkspaceAnswers
    from web.lookup_paths import Address
    from web.open_index import OpenIndex

AS_OF_HEADER: Final = "Heapline-As-Of"
_LONG: Final = 1_000
"""Users times segments beyond which a thread finds the answer while others have their turn."""


@dataclass(frozen=True, slots=True)
class LookupsPart:
    """What lookups stand on."""

    index: OpenIndex


class Question(NamedTuple):
    """What to ask one workspace.

    Attributes:
        ask: gives the answer.
        is_long: whether it may take longer than a millisecond.
    """

    ask: Callable[[WorkspaceAnswers], Answer]
    is_long: bool = False


class _Template(NamedTuple):
    """An address without ids, as the log names it."""

    path: str


_TEMPLATES: Final = {operation: _Template(template(operation)) for operation in Operation}
_COUNTERS: Final = {
    (operation, result): LOOKUPS.labels(operation, result)
    for operation in Operation
    for result in ("answered", "unchanged")
}


class Lookups:
    """Answers what stands below `/v1/workspaces/`, and passes on the rest (ASGI).

    Args:
        app: takes the rest.
        index: answers.
        settings: limits.
    """

    def __init__(self, app: ASGIApp, index: OpenIndex, settings: WebSettings) -> None:
        self._app = app
        self._index = index
        self._settings = settings
        self._guard = Guard("read")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        try:
            await self._respond(scope, receive, send)
        except ClientDisconnect:
            return
        except Problem as problem:
            await problem.response()(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope)
        scope["route"] = _TEMPLATES[address.operation]
        try:
            await self._handle(Request(scope, receive), address, send)
        except IndexUnavailable as error:
            LOOKUPS.labels(address.operation, "unavailable").inc()
            raise unavailable(error) from error
        except Problem as problem:
            LOOKUPS.labels(address.operation, problem.kind.replace("-", "_")).inc()
            raise

    async def _handle(self, request: Request, address: Address, send: Send) -> None:
        caller = await self._guard(request)
        if not caller.good_for(address.workspace):
            detail = f"token {caller.name!r} is not good for this workspace"
            raise Problem(403, "workspace-forbidden", detail)
        question = await self._question(request, address)
        answers = await self._answers(request.headers.get(position.AT_LEAST_HEADER))
        answer = await _ask(question, answers, address.workspace)
        is_get = request.method == "GET"
        unchanged = is_get and _names(request.headers.get("if-none-match"), answers.etag)
        _COUNTERS[address.operation, "unchanged" if unchanged else "answered"].inc()
        headers = _headers(answers, answer, with_tag=is_get)
        await _send(send, headers, None if unchanged else answer.body)

    async def _question(self, request: Request, address: Address) -> Question:
        if request.method == "GET":
            return self._plain_question(request, address)
        if address.operation is Operation.CHECK_MEMBERSHIPS:
            pairs = await pairs_asked(request, self._settings)
            return Question(lambda workspace: workspace.check(*pairs), len(pairs.users) > _LONG)
        if address.operation is Operation.COUNT_AUDIENCE:
            counted = await count_asked(request, self._settings)
            return Question(lambda workspace: workspace.count(counted), is_long=True)
        asked = await evaluation_asked(request, self._settings)
        long = len(asked.users) * (len(asked.audience.segments) + 1) > _LONG
        return Question(lambda workspace: workspace.evaluate(*asked), long)

    def _plain_question(self, request: Request, address: Address) -> Question:
        operation, ids = address.operation, address.ids
        if operation is Operation.LIST_SEGMENTS:
            return Question(lambda workspace: workspace.segments())
        if operation is Operation.SEGMENTS_OF_USER:
            return Question(lambda workspace: workspace.segments_of(ids[0]))
        if operation is Operation.IS_MEMBER:
            return Question(lambda workspace: workspace.member(ids[0], ids[1]))
        page = members_asked(request, self._settings)
        return Question(lambda workspace: workspace.members(ids[0], *page), page.limit > _LONG)

    async def _answers(self, at_least: str | None) -> Answers:
        if at_least is None:
            return self._index.answers()
        wanted = wanted_positions(at_least)
        try:
            return await self._index.answers_when(
                lambda answers: reached(answers.view, wanted),
                self._settings.at_least_wait_seconds,
            )
        except TimeoutError:
            raise Problem(
                503,
                "not-yet-visible",
                f"the position in {position.AT_LEAST_HEADER} is not visible yet: ask again, or "
                "without that header for what is visible now",
                headers={"Retry-After": "1"},
            ) from None


async def _ask(question: Question, answers: Answers, workspace: str) -> Answer:
    """Give the answer; ids are not repeated in a problem."""
    try:
        asked = answers.workspace(workspace)
        if question.is_long:
            return await asyncio.to_thread(question.ask, asked)
        return question.ask(asked)
    except UnknownWorkspace:
        raise Problem(
            404,
            "unknown-workspace",
            "no such workspace has synced a segment: `heapline connections list` shows those that "
            "are connected",
        ) from None
    except UnknownSegment:
        raise Problem(
            404,
            "unknown-segment",
            "the workspace has no such segment: in Heap, Data, Segments, turn its sync on",
        ) from None
    except InvalidCursor as error:
        raise Problem(400, "invalid-cursor", str(error)) from None


def _names(if_none_match: str | None, etag: str) -> bool:
    """Tell whether a list of tags names this one (RFC 9110, weak comparison)."""
    if if_none_match is None:
        return False
    tags = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return etag in tags or tags == ["*"]


def _headers(answers: Answers, answer: Answer, *, with_tag: bool) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"cache-control", b"private, no-cache"),
        (AS_OF_HEADER.lower().encode(), answers.as_of.encode()),
    ]
    if with_tag:
        headers.append((b"etag", answers.etag.encode()))
    if answer.position:
        headers.append((position.HEADER.lower().encode(), answer.position.encode()))
    return headers


async def _send(send: Send, headers: list[tuple[bytes, bytes]], body: bytes | None) -> None:
    """Send 200 with a body, or 304 without."""
    if body is not None:
        length = str(len(body)).encode()
        headers += [(b"content-type", JSON.encode()), (b"content-length", length)]
    status = 304 if body is None else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body or b""})
