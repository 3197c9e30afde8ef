"""Errors as problem details (RFC 9457), whoever raised them.

Nothing of a request's content is repeated in a problem or in the log.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from heapline.errors import CallerMistake, HeaplineError, InvalidEvent, NotReady, TryAgainLater
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5.0
"""What a caller is told when nobody knows better."""

_log = logger(__name__)


class Problem(Exception):
    """An answer other than what was asked for.

    Args:
        status: HTTP status.
        kind: a short stable name, for scripts; also the end of the problem's `type`.
        detail: what happened and what to do, for people.
        headers: to send along.
        more: further members of the problem.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> JSONResponse:
        """Give the answer."""
        body = {
            "type": f"urn:heapline:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        return JSONResponse(body, self.status, self.headers, media_type=MEDIA_TYPE)


class ProblemDetails(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="urn:heapline:problem:KIND; stable, for scripts.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened and what to do, for people.")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problems with these statuses, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {each: {"description": HTTPStatus(each).phrase, "content": content} for each in statuses}


def unavailable(error: HeaplineError) -> Problem:
    """Make the problem of something behind this server that does not work now."""
    seconds = getattr(error, "retry_after_seconds", None) or RETRY_AFTER_SECONDS
    return Problem(
        503,
        "not-ready" if isinstance(error, NotReady) else "unavailable",
        str(error),
        headers={"Retry-After": str(math.ceil(seconds))},
    )


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of an app a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(TryAgainLater, _unavailable)
    app.add_exception_handler(NotReady, _unavailable)
    app.add_exception_handler(CallerMistake, _mistake)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_middleware(CrashesAsProblems)


class CrashesAsProblems:
    """Answers what nobody caught with a bare 500, and logs where it happened.

    The log names the error's type and place only: its text may hold what a caller sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on (ASGI)."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http":
                raise
            _log.error("request_failed", route=_route(scope), error=_place(error))
            if started:
                raise
            problem = Problem(500, "internal", "heapline failed here; the server's log says where")
            await problem.response()(scope, receive, send)


def _route(scope: Scope) -> str:
    """Give the route's pattern: an address itself may name a user."""
    return str(getattr(scope.get("route"), "path", ""))


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"
    return f"{type(error).__name__} at {where}"


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 -- registered for this class
    return error.response()


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for this class
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    detail = _DETAILS.get(error.status_code, str(error.detail))
    return Problem(error.status_code, kind, detail, headers=error.headers).response()


async def _validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for this class
    wrong = [
        {"where": ".".join(str(part) for part in each["loc"]), "message": each["msg"]}
        for each in error.errors()
    ]
    detail = "the request does not fit; `errors` says where"
    return Problem(422, "invalid-request", detail, errors=wrong).response()


async def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TryAgainLater | NotReady)  # noqa: S101 -- registered for these
    return unavailable(error).response()


async def _mistake(_request: Request, error: Exception) -> JSONResponse:
    kind = error.reason.replace("_", "-") if isinstance(error, InvalidEvent) else "invalid-request"
    return Problem(400, kind, str(error)).response()


async def _gone(_request: Request, _error: Exception) -> JSONResponse:
    return Problem(400, "incomplete", "the connection closed before the body was whole").response()


_DETAILS: Final = {
    404: "there is nothing at this address; /openapi.json lists what there is",
    405: "this address does not take that method; see the Allow header",
}
