"""How `/_sim/…` answers: JSON, and an explanation for what cannot be understood."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from devstack.heap_simulator.http_messages import Answer, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def json_answer(value: Any, *, status: int = HTTPStatus.OK) -> Answer:  # noqa: ANN401 - what orjson takes
    """Answer with JSON."""
    return Answer(status, orjson.dumps(value))


def refusing_nonsense(
    handler: Callable[[Request], Answer | Awaitable[Answer]],
) -> Callable[[Request], Awaitable[Reply]]:
    """Let a handler answer 400, with the reason, where it cannot understand a request."""

    async def answer(request: Request) -> Reply:
        try:
            reply = handler(request)
            return reply if isinstance(reply, Answer) else await reply
        except (ValidationError, orjson.JSONDecodeError) as nonsense:
            return json_answer({"error": _explained(nonsense)}, status=HTTPStatus.BAD_REQUEST)

    return answer


def _explained(nonsense: ValueError) -> str:
    if not isinstance(nonsense, ValidationError):
        return str(nonsense)
    details = nonsense.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, d['loc'])) or 'body'}: {d['msg']}" for d in details)
