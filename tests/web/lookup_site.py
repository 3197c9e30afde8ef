"""The lookup API over a real index, in this process; and what the tests fill it with."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import httpx

from heapline.clock import SystemClock
from heapline.memberships import SegmentRow
from heapline.settings import WebSettings
from tests.small_index import write_index
from web.app import create_app
from web.health import Readiness
from web.lookup_times import time_text
from web.lookups import LookupsPart
from web.open_index import OpenIndex

if TYPE_CHECKING:
    from pathlib import Path

NOW_MS: Final = SystemClock().epoch_ms()
"""Segments that are older would be stale by now."""
NOW: Final = time_text(NOW_MS) or ""
EMOJI: Final = "a/b?c#😀%"
LONG: Final = "x" * 1_000_000
LONG_IN_A_PATH: Final = "y" * 60_000
"""The test's client writes no longer addresses."""
ROWS: Final = (
    SegmentRow("acme", "7", "Free customers", "complete", "recurring", last_synced_at_ms=NOW_MS),
    SegmentRow("acme", "8", "Old news", "complete", "recurring", stale=True),
    SegmentRow("acme", "9", "Half", "partial", "once"),
    SegmentRow("acme", EMOJI, "Odd", "syncing"),
    SegmentRow("globex", "7", "Another's", "complete", "once"),
)
MEMBERS: Final = {
    ("acme", "7"): ["u1", "u2", "u3", EMOJI, LONG, LONG_IN_A_PATH, "line\nbreak", ""],
    ("acme", "8"): ["u1"],
    ("acme", "9"): ["u2"],
    ("acme", EMOJI): ["u1", EMOJI],
    ("globex", "7"): ["u9"],
}


def path(*ids: str) -> str:
    """Write ids and words as a path, each percent-encoded."""
    return "/v1/workspaces/" + "/".join(quote(each, safe=":") for each in ids)


class LookupSite:
    """The application with lookups alone, asked synchronously.

    Args:
        folder: of the index.
        settings: of `WebSettings`.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401 -- WebSettings' own
        self.folder = folder
        self.index = OpenIndex(folder)
        web = WebSettings(**settings)
        part = LookupsPart(self.index)
        self.app = create_app(web, Readiness({"index": self.index}), lookups=part)
        self.runner = asyncio.Runner()
        self._left = contextlib.AsyncExitStack()

    def start(self) -> Self:
        """Begin as a server does."""
        self.runner.run(self._enter())
        return self

    async def _enter(self) -> None:
        await self._left.enter_async_context(self.app.router.lifespan_context(self.app))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = await self._left.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=60)
        )

    def get(self, *ids: str, **more: Any) -> httpx.Response:  # noqa: ANN401 -- httpx' own
        """Ask with GET."""
        return self.runner.run(self.client.get(path(*ids), **more))

    def post(self, workspace: str, verb: str, body: object, **more: Any) -> httpx.Response:  # noqa: ANN401 -- httpx' own
        """Ask with a JSON body."""
        return self.runner.run(self.client.post(path(workspace, verb), json=body, **more))

    def ask(self, method: str, address: str, **more: Any) -> httpx.Response:  # noqa: ANN401 -- httpx' own
        """Ask anything."""
        return self.runner.run(self.client.request(method, address, **more))

    def publish(self, generation: int, *rows: SegmentRow) -> None:
        """Write another generation."""
        write_index(self.folder, rows or ROWS, MEMBERS, generation, NOW_MS + generation)

    def stop(self) -> None:
        """End as a server does."""
        self.runner.run(self._left.aclose())
        self.runner.close()
