"""A page log in memory, and the webhook that stands on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Self

import httpx

from heapline.clock import SystemClock
from heapline.heap.connection import Connection
from heapline.heap.signature import HEADER, header_of
from heapline.kafka.position import Position
from heapline.settings import WebSettings
from heapline.words import Workspace
from producers.segment_intake import SegmentIntake, Trust
from tests.fakes.connections import FakeConnections
from web.app import WebhookPart, create_app
from web.health import Readiness
from web.opening import Opening

if TYPE_CHECKING:
    from heapline.errors import HeaplineError
    from heapline.heap.segment_page import SegmentPage

SECRET = b"whsec_test_secret"
NOW_MS = 1_669_216_353_123
TOKEN = "7a36ae58-c4b9-11eb-8529-0242ac130003"


class FakePageLog:
    """Keeps pages in a list; see `producers.page_log.PageLog`.

    Attributes:
        pages: what was written.
        problem: raised by everything while set.
    """

    def __init__(self) -> None:
        self.pages: list[SegmentPage] = []
        self.problem: HeaplineError | None = None
        self.is_closed = False

    async def open(self) -> None:
        """See `PageLog.open`."""
        if self.problem is not None:
            raise self.problem

    async def append(self, page: SegmentPage) -> Position:
        """See `PageLog.append`."""
        if self.problem is not None:
            raise self.problem
        self.pages.append(page)
        return Position.of(0, len(self.pages) - 1, page.workspace, page.segment_id)

    async def close(self, seconds: float | None = None) -> None:
        """See `PageLog.close`."""
        del seconds
        self.is_closed = True


class StandingClock(SystemClock):
    """Shows one time until it is moved."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms

    def epoch_ms(self) -> int:
        """See `Clock.epoch_ms`."""
        return self.now_ms


class WebhookSite:
    """The application with the webhook, asked in-process and synchronously.

    Attributes:
        log, connections, clock: the fakes behind it. Workspace `acme` has the id_token `TOKEN`.
    """

    def __init__(self, own: str | None = None, **settings: Any) -> None:  # noqa: ANN401 -- WebSettings' own
        self.log = FakePageLog()
        row = Connection(Workspace("acme"), id_token=TOKEN)
        self.connections = FakeConnections(row, ready=False)
        self.connections.become_ready()
        self.clock = StandingClock()
        trust = Trust((b"older", SECRET), own_workspace=Workspace(own) if own else None)
        self.intake = SegmentIntake(self.log, self.connections, trust, self.clock)
        opening = Opening(self.intake, again_seconds=0.02)
        self.app = create_app(
            WebSettings(**settings),
            Readiness({"webhook": opening}),
            webhook=WebhookPart(self.intake, opening),
        )
        self._runner = asyncio.Runner()
        self._left = contextlib.AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._left.aclose())
        self._runner.close()

    async def _start(self) -> None:
        await self._left.enter_async_context(self.app.router.lifespan_context(self.app))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://heapline.example")
        self._client = await self._left.enter_async_context(client)

    def send(
        self,
        body: object,
        *,
        secret: bytes = SECRET,
        age_ms: int = 0,
        header: str | None = "",
        **more: Any,  # noqa: ANN401 -- httpx' own
    ) -> httpx.Response:
        """Call the webhook as Heap would.

        Args:
            body: the bytes, or what is written as JSON.
            secret: signs.
            age_ms: how long ago it was signed.
            header: instead of the signature; None sends none.
            more: further arguments of httpx.
        """
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        signature = header_of(self.clock.now_ms - age_ms, raw, secret) if header == "" else header
        headers = {} if signature is None else {HEADER: signature}
        request = self._client.post("/heap/webhook", content=raw, headers=headers, **more)
        return self._runner.run(request)

    def ask(self, path: str) -> httpx.Response:
        """Get a page."""
        return self._runner.run(self._client.get(path))


def call(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    """A good call of workspace `acme` about segment 7; a change to None leaves a member out."""
    content = {
        "id_token": TOKEN,
        "action_type": "segment.users.sync",
        "customer_config": {"fields": []},
        "data": {
            "segment": {"id": 7, "name": "Free Customers"},
            "sync_info": {"page_number": 1, "total_pages": 1, "sync_task_id": "s-1"},
            "add": [{"id": "u-1"}],
            "remove": [{"id": "u-2"}],
        },
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}
