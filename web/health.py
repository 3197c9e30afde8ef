"""Whether this server lives, whether it can do its work, and its metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaException
from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from pydantic import BaseModel, Field

from heapline.clock import Clock, SystemClock
from heapline.errors import NotReady, TryAgainLater
from heapline.kafka.clients import admin, translated
from heapline.kafka.topics import EVENTS
from heapline.telemetry.metrics import REGISTRY
from web.problems import RETRY_AFTER_SECONDS, Problem, documented
from web.tokens import BEARER, MayRead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.kafka.topics import Names
    from heapline.settings import KafkaSettings

ANSWER_SECONDS: Final = 3.0
"""How long one check may take: probes give up after a few seconds."""
REMEMBERED_SECONDS: Final = 2.0
"""How long an answer is good for, so that probes cost the brokers nothing."""


class Check(Protocol):
    """One thing this server needs for its work."""

    async def ask(self) -> None:
        """Do nothing where it works.

        Raises:
            TryAgainLater, NotReady: it does not; the message says what to do.
        """
        ...


class KafkaCheck:
    """The brokers answer, and the topic of events is there."""

    def __init__(self, settings: KafkaSettings, names: Names) -> None:
        self._admin = admin(settings)
        self._topic = names.topic(EVENTS)

    async def ask(self) -> None:
        """See `Check.ask`."""
        try:
            found = await asyncio.to_thread(self._admin.list_topics, self._topic, ANSWER_SECONDS)
        except KafkaException as error:
            raise translated(error) from error
        if found.topics[self._topic].error is not None:
            raise NotReady(f"there is no topic {self._topic}: run `heapline topics apply`")


class Readiness:
    """Asks all checks together, at most every `REMEMBERED_SECONDS`.

    Args:
        checks: by the name probes see.
        clock: for remembering.
    """

    def __init__(self, checks: Mapping[str, Check], clock: Clock | None = None) -> None:
        self._checks = dict(checks)
        self._clock = clock or SystemClock()
        self._asked_at: float | None = None
        self._found: dict[str, str] = {}
        self._asking = asyncio.Lock()

    async def failing(self) -> dict[str, str]:
        """Give what does not work, by name, with the reason; empty when ready."""
        async with self._asking:
            now = self._clock.monotonic()
            if self._asked_at is None or now - self._asked_at >= REMEMBERED_SECONDS:
                self._found = await self._ask()
                self._asked_at = self._clock.monotonic()
            return self._found

    async def _ask(self) -> dict[str, str]:
        reasons = await asyncio.gather(*(_reason(each) for each in self._checks.values()))
        named = zip(self._checks, reasons, strict=True)
        return {name: reason for name, reason in named if reason is not None}


async def _reason(check: Check) -> str | None:
    try:
        await asyncio.wait_for(check.ask(), ANSWER_SECONDS + 1)
    except (TryAgainLater, NotReady) as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {ANSWER_SECONDS + 1:.0f} s"
    return None


class Status(BaseModel):
    """How this server is."""

    status: str = Field(description="`ok`, or `ready`.")


def health_router(readiness: Readiness) -> APIRouter:
    """Make the routes for probes and for Prometheus.

    Probes need no token and name nobody. Metrics name workspaces, so they need one once any is set.
    """
    router = APIRouter(tags=["health"])

    @router.get("/healthz", operation_id="live", summary="Whether the process lives")
    async def live() -> Status:
        """Answer, which is all that is asked."""
        return Status(status="ok")

    @router.get(
        "/readyz",
        operation_id="ready",
        summary="Whether the server can do its work",
        responses=documented(503),
    )
    async def ready() -> Status:
        """Tell whether Kafka answers, and whether topic and schema were found."""
        failing = await readiness.failing()
        if failing:
            raise Problem(
                503,
                "not-ready",
                "; ".join(f"{name}: {reason}" for name, reason in failing.items()),
                headers={"Retry-After": f"{RETRY_AFTER_SECONDS:.0f}"},
                failing=sorted(failing),
            )
        return Status(status="ready")

    @router.get(
        "/metrics",
        operation_id="metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **documented(401, 403)},
        dependencies=[BEARER],
    )
    async def metrics(_caller: MayRead) -> Response:
        """Give all metrics of this process, in Prometheus' text format."""
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_PLAIN_1_0_0)

    return router
