"""The pages for connecting, asked as a browser does, before a Heap simulator."""

from __future__ import annotations

import asyncio
import contextlib
import re
from html import unescape
from typing import TYPE_CHECKING, Any, Self

import httpx

from heapline.heap.oauth import HeapOAuth, PartnerSettings
from heapline.http import HttpxClient
from heapline.settings import WebSettings
from heapline.words import Workspace
from operations.connecting import Connecting, link
from producers.invitations import invited
from producers.segment_intake import SegmentIntake, Trust
from tests.fakes.connection_rows import FakeRows, FakeSegments
from tests.fakes.connections import FakeConnections
from tests.fakes.page_log import FakePageLog, StandingClock
from web.app import WebhookPart, create_app
from web.health import Readiness
from web.opening import Opening

if TYPE_CHECKING:
    from devstack.heap_simulator import SimulatorClient
    from heapline.heap.connection import Region

PUBLIC = "https://heapline.example"
ACME = Workspace("acme")


class Browser:
    """Keeps cookies, and does not follow where it is sent."""

    def __init__(self, site: ConnectSite) -> None:
        self._site = site
        transport = httpx.ASGITransport(site.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url=PUBLIC)

    def get(self, address: str, **more: Any) -> httpx.Response:  # noqa: ANN401 -- httpx' own
        """Open an address."""
        return self._site.runner.run(self._client.get(address, **more))

    def opens(self, address: str) -> str:
        """Open an address of ours that leads to Heap; give Heap's."""
        answer = self.get(address)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def forget(self) -> None:
        """Lose all cookies."""
        self._client.cookies.clear()

    def close(self) -> None:
        """End."""
        self._site.runner.run(self._client.aclose())


class ConnectSite:
    """The application with the webhook and the pages.

    Attributes:
        heap: the simulator; its partner app's redirect address is this site's.
        rows, segments, clock: the fakes behind the pages.
    """

    def __init__(self, heap: SimulatorClient, public_url: str = PUBLIC) -> None:
        self.heap = heap
        self.clock = StandingClock()
        self.rows = FakeRows(self.clock)
        self.segments = FakeSegments()
        self.runner = asyncio.Runner()
        app = heap.change_partner_app(redirect_uri=f"{public_url}/heap/callback")
        self.partner = PartnerSettings(
            app.client_id, app.client_secret.encode(), public_url, heap.url
        )
        self.http = HttpxClient(connections=1)
        self.connecting = Connecting(
            self.partner,
            HeapOAuth(self.partner, self.http, self.clock),
            self.rows,
            self.segments,
            self.segments,
            self.clock,
        )
        intake = SegmentIntake(FakePageLog(), FakeConnections(), Trust((b"x",)), self.clock)
        part = WebhookPart(intake, Opening(intake), self.connecting)
        self.app = create_app(WebSettings(), Readiness({}), webhook=part)
        self._left = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._left.callback(self.runner.close)
        self._left.callback(self.http.close)
        self.browser = self.another_browser()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.close()

    def another_browser(self) -> Browser:
        """Give one without cookies."""
        browser = Browser(self)
        self._left.callback(browser.close)
        return browser

    def invites(
        self,
        secret: str = "secret-of-a-link",  # noqa: S107 -- a test's
        region: Region | None = None,
        workspace: Workspace = ACME,
    ) -> str:
        """Make a link for workspace `acme`; give its path and query."""
        self.rows.change(
            workspace, lambda rows, now_ms: invited(workspace, secret, rows, now_ms, region)
        )
        return link(self.partner, secret).removeprefix(self.partner.public_url)


def text_of(page: httpx.Response) -> str:
    """Give what a person reads of a page."""
    plain = unescape(re.sub(r"<[^>]*>", " ", page.text))
    return " ".join(plain.split())


def links_of(page: httpx.Response) -> list[str]:
    """Give where a page's links lead."""
    return [unescape(each) for each in re.findall(r'<a [^>]*href="([^"]*)"', page.text)]
