"""A site in this process: the application with a publisher whose Kafka is fake."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from heapline.errors import NotReady, TryAgainLater
from heapline.events import AsyncEventPublisher, Patience
from heapline.events.outbox import Outbox
from heapline.settings import ApiToken, WebSettings
from tests.fakes.record_producer import FakeEventSchema, FakeRecordProducer
from tests.web.lookup_site import LookupSite
from web.app import EventsPart, create_app
from web.health import Readiness
from web.opening import Opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = Patience(check_seconds=0.1, queue_seconds=0.2, flush_seconds=0.5, delivery_seconds=0.5)


class Site:
    """The application, asked in-process and synchronously.

    Attributes:
        kafka, schema: the fakes behind the publisher.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 -- WebSettings' own
        self.kafka = FakeRecordProducer()
        self.schema = FakeEventSchema()
        self._runner = asyncio.Runner()
        self._left = contextlib.AsyncExitStack()
        self._stopped = False
        publisher = AsyncEventPublisher(outbox=Outbox(self.kafka, self.schema, patience=PATIENCE))
        self.opening = Opening(publisher, again_seconds=0.02)
        self.app = create_app(
            WebSettings(**settings),
            Readiness({"events": self.opening}),
            EventsPart(publisher, self.opening),
        )

    def start(self, *, wait: bool = True) -> Self:
        """Start, and wait until events are taken."""
        self._runner.run(self._enter())
        while wait and self.problem() is not None:
            self.sleep(0.01)
        return self

    def problem(self) -> Exception | None:
        """Give why no events are taken."""
        try:
            self.opening.check()
        except (TryAgainLater, NotReady) as error:
            return error
        return None

    async def _enter(self) -> None:
        await self._left.enter_async_context(self.app.router.lifespan_context(self.app))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._client = await self._left.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")
        )

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 -- httpx' own
        """Send one request."""
        return self._runner.run(self._client.request(method, path, **more))

    def post(self, events: object, **more: Any) -> httpx.Response:  # noqa: ANN401 -- httpx' own
        """Publish events as JSON."""
        return self.ask("POST", "/v1/events", json=events, **more)

    def sleep(self, seconds: float) -> None:
        """Let background tasks run."""
        self._runner.run(asyncio.sleep(seconds))

    def until(self, condition: Callable[[], bool]) -> None:
        """Let background tasks run until something holds."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            self.sleep(0.01)

    def stop(self) -> None:
        """End as a server does; a second time does nothing."""
        if not self._stopped:
            self._stopped = True
            self._runner.run(self._left.aclose())
            self._runner.close()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site without tokens, open for events."""
    made = Site().start()
    yield made
    made.stop()


@pytest.fixture
def guarded() -> Iterator[Site]:
    """A site with one token of each role, and one limited to a workspace."""
    made = Site(
        api_tokens=[
            ApiToken(name="shop", token="publish-token-0001", role="publish"),
            ApiToken(name="graphs", token="reading-token-0001", role="read"),
            ApiToken(name="ops", token="operate-token-0001", role="operate"),
            ApiToken(
                name="acme", token="limited-token-0001", role="publish", workspaces=["acme", "7"]
            ),
        ]
    ).start()
    yield made
    made.stop()


@pytest.fixture
def closed() -> Iterator[Site]:
    """A site whose topic is not there (yet), not started."""
    made = Site()
    made.kafka.topic_problem = NotReady("there is no topic: run `heapline topics apply`")
    yield made
    made.stop()


@pytest.fixture
def small() -> Iterator[Site]:
    """A site that takes 1,000 bytes in one request."""
    made = Site(max_body_bytes=1_000).start()
    yield made
    made.stop()


@pytest.fixture
def lookups(tmp_path: Path) -> Iterator[LookupSite]:
    """The lookup API without tokens, over an index of two workspaces."""
    made = LookupSite(tmp_path / "index", at_least_wait_seconds=0.3)
    made.publish(1)
    yield made.start()
    made.stop()


@pytest.fixture
def guarded_lookups(tmp_path: Path) -> Iterator[LookupSite]:
    """The same with one token of each role, and one limited to a workspace."""
    made = LookupSite(
        tmp_path / "index",
        api_tokens=[
            ApiToken(name="shop", token="publish-token-0001", role="publish"),
            ApiToken(name="target", token="reading-token-0001", role="read"),
            ApiToken(name="ops", token="operate-token-0001", role="operate"),
            ApiToken(name="acme", token="limited-token-0001", role="read", workspaces=["acme"]),
        ],
    )
    made.publish(1)
    yield made.start()
    made.stop()
