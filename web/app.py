"""The HTTP application, put together from its parts."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import heapline
from heapline.clock import SystemClock
from web.connect import connect_router
from web.console.routes import console_router
from web.console.sessions import Sessions
from web.events import Publisher, events_router
from web.health import Readiness, health_router
from web.lookup_docs import add_lookups
from web.lookups import Lookups, LookupsPart
from web.problems import ProblemDetails, answer_with_problems
from web.tokens import BEARER, MayAsk, Tokens
from web.webhook import webhook_router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from heapline.settings import WebSettings
    from operations.connecting import Connecting
    from producers.segment_intake import SegmentIntake
    from web.console.data import ConsoleData
    from web.opening import Opening

    Running = Callable[[], AbstractAsyncContextManager[None]]

PARTS: Final = ("webhook", "events", "lookups", "console")
"""What `heapline serve --only` may name."""


@dataclass(frozen=True, slots=True)
class EventsPart:
    """What the event API stands on."""

    publisher: Publisher
    opening: Opening


@dataclass(frozen=True, slots=True)
class WebhookPart:
    """What the webhook stands on."""

    intake: SegmentIntake
    opening: Opening
    connecting: Connecting | None = None
    """Without it nobody can connect a workspace in the browser."""


@dataclass(frozen=True, slots=True)
class ConsolePart:
    """What the console stands on."""

    data: ConsoleData


def create_app(
    settings: WebSettings,
    readiness: Readiness,
    events: EventsPart | None = None,
    webhook: WebhookPart | None = None,
    lookups: LookupsPart | None = None,
    console: ConsolePart | None = None,
) -> FastAPI:
    """Make the application.

    Args:
        settings: tokens and limits.
        readiness: what `/readyz` asks.
        events: without it there is no event API.
        webhook: without it Heap's calls are not taken.
        lookups: without it nobody can ask who is in a segment.
        console: without it there are no pages for people.
    """
    runs: list[Running] = [part.opening.running for part in (events, webhook) if part is not None]
    runs += [lookups.index.running] if lookups is not None else []
    runs += [console.data.running] if console is not None else []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            for run in runs:
                await running.enter_async_context(run())
            yield

    app = FastAPI(
        title="heapline",
        version=heapline.__version__,
        summary="Command AI events in, on their way to Heap; Heap segments in, on their way back.",
        # FastAPI's pages of documentation load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    app.state.tokens = Tokens(settings.api_tokens)
    if lookups is not None:
        app.add_middleware(Lookups, index=lookups.index, settings=settings)
    answer_with_problems(app)
    app.include_router(health_router(readiness))
    if events is not None:
        check = events.opening.check
        app.include_router(events_router(events.publisher, check, settings.max_body_bytes))
    if webhook is not None:
        app.include_router(webhook_router(webhook.intake, settings.max_body_bytes))
        if webhook.connecting is not None:
            app.include_router(connect_router(webhook.connecting))
    if console is not None:
        secure = settings.public_url is not None and settings.public_url.startswith("https:")
        clock = SystemClock()
        sessions = Sessions(app.state.tokens, clock, secure=secure)
        app.include_router(console_router(sessions, console.data, clock))
    _describe(app, settings if lookups is not None else None)
    return app


def _describe(app: FastAPI, lookups: WebSettings | None) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app, lookups)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents this way to extend it

    @app.get("/openapi.json", include_in_schema=False, dependencies=[BEARER])
    async def description(_caller: MayAsk) -> dict[str, Any]:
        """Give the OpenAPI description of this server."""
        return app.openapi()


def described(app: FastAPI, lookups: WebSettings | None = None) -> dict[str, Any]:
    """Give an app's OpenAPI description, with the problems every route may answer with.

    Args:
        app: its routes.
        lookups: the limits of lookups, where they are served: those are no routes of FastAPI's.
    """
    found = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = {"$ref": "#/components/schemas/ProblemDetails"}
    for path in found["paths"].values():
        for operation in path.values():
            if "422" in operation["responses"]:
                operation["responses"]["422"] = {
                    "description": "The request does not fit",
                    "content": {"application/problem+json": {"schema": problem}},
                }
    if lookups is not None:
        add_lookups(found, lookups)
    return found
