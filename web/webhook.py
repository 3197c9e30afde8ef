"""`POST /heap/webhook`: where Heap says who entered and left a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from heapline.errors import CallerMistake, HeaplineError, NotReady, TryAgainLater
from heapline.heap.segment_page import Refusal, RefusedCall
from heapline.heap.signature import HEADER, BadSignature, SignatureProblem
from heapline.kafka import position
from heapline.telemetry.metrics import SEGMENT_PAGES_RECEIVED
from producers.page_log import PageTooLarge
from producers.segment_intake import NamelessCustomer, UnknownCustomer
from web.body import read_body
from web.problems import Problem, documented, unavailable

if TYPE_CHECKING:
    from producers.segment_intake import SegmentIntake

FORBIDDEN: Final = 403
"""For a signature no secret made; a header that is missing, malformed or stale is a 400."""
NOT_SUPPORTED: Final = 405


class Accepted(BaseModel):
    """The call was written down."""

    status: str = Field(description="`accepted`.")
    position: str = Field(description="As in the header Heapline-Position.")


def webhook_router(intake: SegmentIntake, largest_bytes: int) -> APIRouter:
    """Make the webhook. It takes no token: Heap's signature is the proof."""
    router = APIRouter(tags=["webhook"])

    @router.post(
        "/heap/webhook",
        operation_id="segment_webhook",
        summary="Heap's webhook for segment syncs",
        responses={200: _ACCEPTED, **documented(400, 403, 404, 405, 413, 415, 503)},
        openapi_extra={"requestBody": _REQUEST_BODY, "parameters": [_SIGNATURE]},
    )
    async def segment_webhook(request: Request, response: Response) -> Accepted:
        """Answer 200 after Kafka's brokers hold the page; Heap repeats whatever is answered else.

        `Heapline-Position` says where it stands: a lookup that sends it as `Heapline-At-Least`
        sees the page.
        """
        try:
            signature = intake.greet(request.headers.get(HEADER))
            body = await read_body(request, largest_bytes)
            place = str(await intake.take(signature, body))
        except (HeaplineError, Problem) as error:
            problem = problem_of(error)
            SEGMENT_PAGES_RECEIVED.labels(problem.kind.replace("-", "_")).inc()
            raise problem from error
        SEGMENT_PAGES_RECEIVED.labels("accepted").inc()
        response.headers[position.HEADER] = place
        return Accepted(status="accepted", position=place)

    return router


def problem_of(error: HeaplineError | Problem) -> Problem:
    """Give the answer to a call that was not taken."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, (TryAgainLater, NotReady)):
        return unavailable(error)
    if isinstance(error, CallerMistake):
        status, kind = _mistake(error)
        return Problem(status, kind.replace("_", "-"), str(error))
    if isinstance(error, PageTooLarge):
        return Problem(413, "too-large", str(error))
    return unavailable(error)


def _mistake(error: CallerMistake) -> tuple[int, str]:
    if isinstance(error, BadSignature):
        wrong = error.problem is SignatureProblem.WRONG
        return (FORBIDDEN if wrong else 400), error.problem.value
    if isinstance(error, RefusedCall):
        unknown = error.refusal is Refusal.UNKNOWN_ACTION
        return (NOT_SUPPORTED if unknown else 400), error.refusal.value
    if isinstance(error, UnknownCustomer):
        return 404, "unknown_customer"
    if isinstance(error, NamelessCustomer):
        return 400, "id_token_missing"
    return 400, "invalid_request"


_ACCEPTED: Final[dict[str, Any]] = {
    "model": Accepted,
    "description": "The page is written.",
    "headers": {
        position.HEADER: {
            "description": "Where the page stands; opaque.",
            "schema": {"type": "string"},
        }
    },
}
_SIGNATURE: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": "ts:<milliseconds>,hmac:<base64 of HMAC-SHA256(secret, ts + body)>",
    "schema": {"type": "string"},
}
_REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "description": "Heap's `segment.users.sync` or `segment.users.drain`.",
                "additionalProperties": True,
                "example": {
                    "id_token": "00000000-0000-0000-0000-000000000000",
                    "action_type": "segment.users.sync",
                    "data": {
                        "segment": {"id": 7, "name": "Free customers"},
                        "sync_info": {"page_number": 1, "total_pages": 1, "sync_task_id": "s-1"},
                        "add": [{"id": "u-1"}],
                        "remove": [{"id": "u-2"}],
                    },
                },
            }
        }
    },
}
