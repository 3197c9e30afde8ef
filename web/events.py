"""`POST /v1/events`: events in, an answer for each once the brokers hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from heapline.errors import HeaplineError, InvalidEvent, NotReady, TryAgainLater
from heapline.events.delivery import Published
from heapline.events.shapes import id_text
from heapline.telemetry.metrics import EVENTS_PUBLISHED
from heapline.words import Workspace
from web.body import JSON, LINES, Unreadable, items_of, read_body
from web.problems import Problem, documented, unavailable
from web.tokens import BEARER, Caller, MayPublish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_EVENTS: Final = 10_000
"""In one request. A list is answered as a whole, so a longer one keeps its sender waiting."""
_AT_ONCE: Final = 500
"""Published together, before other requests have their turn."""


class Publisher(Protocol):
    """Publishes events; `heapline.events` has the real one."""

    async def publish_many(
        self, payloads: Iterable[object], workspace: str | None = None
    ) -> list[Published]:
        """Publish events and wait until the brokers hold them or it is given up.

        Args:
            payloads: in any of the three source shapes; one result each, in this order.
            workspace: used where a payload names none.

        Raises:
            TryAgainLater, NotReady: nothing was published.
        """
        ...


class ItemError(BaseModel):
    """Why one event was not accepted."""

    reason: str = Field(description="A short stable name, for example workspace_missing.")
    message: str = Field(description="What is wrong and how to mend it, for people.")
    retry: bool = Field(description="Whether the same event may be accepted later.")


class ItemResult(BaseModel):
    """What became of one event."""

    index: int = Field(description="Its place in the request, from 0.")
    event_id: str | None = Field(
        description="Its id, where it was accepted: Heap's idempotency key."
    )
    status: Literal["accepted", "rejected"] = Field(
        description="accepted: Kafka's brokers hold it."
    )
    error: ItemError | None = Field(description="Why not, where it was rejected.")


class EventResults(BaseModel):
    """One result for each event, in the order of the request."""

    results: list[ItemResult]


async def publish_items(
    publisher: Publisher, items: Sequence[object], workspace: Workspace | None, caller: Caller
) -> list[Published]:
    """Publish items; one bad item spoils no other.

    When the brokers stop acknowledging, the rest is refused without being tried.

    Args:
        publisher: takes them.
        items: JSON values, or `Unreadable`.
        workspace: used where an item names none.
        caller: may be limited to some workspaces.

    Raises:
        TryAgainLater, NotReady: some were worth publishing, and the brokers hold none.
    """
    results: list[Published] = []
    for start in range(0, len(items), _AT_ONCE):
        batch = items[start : start + _AT_ONCE]
        try:
            results += await _publish(publisher, batch, workspace, caller)
        except (TryAgainLater, NotReady) as error:
            results += [Published(None, error)] * len(batch)
        down = next((each.error for each in results if is_retryable(each)), None)
        if down is not None:
            if not any(each.accepted for each in results):
                raise down
            results += [Published(None, down)] * (len(items) - len(results))
            break
    return results


async def _publish(
    publisher: Publisher, items: Sequence[object], workspace: Workspace | None, caller: Caller
) -> list[Published]:
    """Publish what may be published; the rest gets its refusal in its place."""
    refused = [_refusal(each, workspace, caller) for each in items]
    wanted = [item for item, no in zip(items, refused, strict=True) if no is None]
    published = iter(await publisher.publish_many(wanted, workspace) if wanted else ())
    return [next(published) if no is None else Published(None, no) for no in refused]


def _refusal(item: object, workspace: Workspace | None, caller: Caller) -> InvalidEvent | None:
    if isinstance(item, Unreadable):
        return item.error
    meant = workspace_of(item, workspace)
    if meant is None or caller.good_for(meant):
        return None
    return InvalidEvent(
        "workspace_forbidden", f"token {caller.name!r} is not good for workspace {meant!r}"
    )


def is_retryable(result: Published) -> bool:
    """Tell whether the brokers, and not the event, are why it was not accepted."""
    return result.error is not None and not isinstance(result.error, InvalidEvent)


def workspace_of(item: object, default: Workspace | None) -> Workspace | None:
    """Give the workspace an event would be published to, or None where none is named."""
    if isinstance(item, dict):
        for field in ("organization_key", "workspace"):
            text = id_text(item.get(field))
            if text is not None:
                return Workspace(text)
    return default


def answer(results: Sequence[Published]) -> Response:
    """Write results as `EventResults`; models would cost more than publishing does."""
    body = {"results": [_item(index, each) for index, each in enumerate(results)]}
    return Response(orjson.dumps(body), media_type=JSON)


def _item(index: int, result: Published) -> dict[str, Any]:
    error = result.error
    if error is None:
        return {"index": index, "event_id": result.event_id, "status": "accepted", "error": None}
    reason = error.reason if isinstance(error, InvalidEvent) else "not_acknowledged"
    told = {"reason": reason, "message": str(error), "retry": is_retryable(result)}
    return {"index": index, "event_id": None, "status": "rejected", "error": told}


def _count(results: Sequence[Published]) -> None:
    for each in results:
        result = "not_acknowledged" if is_retryable(each) else "rejected"
        EVENTS_PUBLISHED.labels("accepted" if each.accepted else result).inc()


def events_router(
    publisher: Publisher, check_ready: Callable[[], None], largest_bytes: int
) -> APIRouter:
    """Make the event API; `check_ready` raises why events cannot be taken yet."""
    router = APIRouter(tags=["events"], dependencies=[BEARER])

    @router.post(
        "/v1/events",
        operation_id="publish_events",
        summary="Publish one event or a list",
        response_class=Response,
        responses={200: _RESULTS, **documented(400, 401, 403, 413, 415, 421, 503)},
        openapi_extra={"requestBody": _REQUEST_BODY},
    )
    async def publish_events(
        request: Request,
        caller: MayPublish,
        workspace: Annotated[str | None, Query(description=_WORKSPACE)] = None,
    ) -> Response:
        """Answer after Kafka's brokers hold the events, with one result for each.

        503 means that they hold none: send all again. Where some were accepted and others not,
        those with `retry` may be sent again. The same source event has the same id however often
        it is sent, if it has an id of its own or a timestamp with milliseconds.
        """
        body = await read_body(request, largest_bytes)
        items = items_of(request.headers.get("content-type", ""), body)
        if len(items) > MAX_EVENTS:
            raise Problem(
                413, "too-many-events", f"at most {MAX_EVENTS} events in one request: send fewer"
            )
        named = id_text(workspace)
        default = None if named is None else Workspace(named)
        try:
            check_ready()
            results = await publish_items(publisher, items, default, caller)
        except HeaplineError as error:
            EVENTS_PUBLISHED.labels("not_acknowledged").inc(len(items))
            raise unavailable(error) from error
        _count(results)
        return answer(results)

    return router


_WORKSPACE: Final = "Used for events that carry neither `organization_key` nor `workspace`."
_RESULTS: Final[dict[str, Any]] = {
    "model": EventResults,
    "description": "What became of each event.",
}
_EVENT: Final = {
    "type": "object",
    "description": "A Command AI event: the v2 envelope, the v1 wire payload, or "
    "{name, data, user_id, timestamp}.",
    "additionalProperties": True,
    "example": {
        "organization_key": "acme",
        "name": "nudge_shown",
        "user_id": "u-7",
        "timestamp": "2026-01-31T09:30:00.123Z",
        "data": {"nudge": {"id": 42}},
    },
}
_REQUEST_BODY: Final = {
    "required": True,
    "content": {
        JSON: {"schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]}},
        LINES[0]: {"schema": {"type": "string", "description": "One event a line."}},
    },
}
