"""`/heap/connect` and `/heap/callback`: a person connects a workspace in the browser."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Cookie, Query, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from heapline.errors import HeaplineError
from heapline.heap.oauth import CALLBACK
from heapline.telemetry.logs import logger
from operations.connecting import CONNECT, STATE_MS
from web.connect_problems import trouble_of
from web.connect_status import status_of
from web.pages import ROOM, SAFE_HEADERS, page

if TYPE_CHECKING:
    from heapline.heap.connection import Connection
    from operations.connecting import Connecting

CONNECTED: Final = "/heap/connected"
COOKIE: Final = "heapline_invitation"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SEE_OTHER: Final = 303
_log = logger(__name__)


def connect_router(connecting: Connecting) -> APIRouter:
    """Make the pages. They take no token: the one-time link is the proof."""
    router = APIRouter(include_in_schema=False)
    pages = _Pages(connecting)

    @router.get(CONNECT)
    async def connect(
        invitation: Annotated[str, Query(max_length=128)] = "",
        region: Annotated[str | None, Query(max_length=16)] = None,
        move: Annotated[str | None, Query(max_length=16)] = None,
    ) -> Response:
        return await pages.connect(invitation, region, move)

    @router.get(CALLBACK)
    async def callback(
        request: Request, heapline_invitation: Annotated[str, Cookie()] = ""
    ) -> Response:
        return await pages.callback(dict(request.query_params), heapline_invitation)

    @router.get(CONNECTED)
    async def connected(view: Annotated[str, Query(max_length=4_096)] = "") -> Response:
        return await pages.connected(view)

    @router.get(CONNECTED + "/status")
    async def status(view: Annotated[str, Query(max_length=4_096)] = "") -> Response:
        return await pages.status(view)

    for name, kind in _ASSETS.items():
        router.add_api_route(f"/heap/assets/{name}", _asset(name, kind), methods=["GET"])
    return router


_ASSETS: Final = {"connect.css": "text/css", "connect.js": "text/javascript"}


def _asset(name: str, kind: str) -> Any:  # noqa: ANN401 -- FastAPI takes any endpoint
    def asset() -> FileResponse:
        headers = {"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"}
        return FileResponse(ROOM / "assets" / name, media_type=kind, headers=headers)

    return asset


class _Pages:
    """The answers; whatever asks Kafka or Heap runs in a thread."""

    def __init__(self, connecting: Connecting) -> None:
        self._connecting = connecting
        public = urlsplit(connecting.partner.public_url)
        self._secure = public.scheme == "https"
        self._base = public.path.rstrip("/")

    async def connect(self, secret: str, region: str | None, move: str | None) -> Response:
        try:
            opened = await asyncio.to_thread(self._connecting.begin, secret, region, move)
        except HeaplineError as error:
            return self._trouble(error)
        if opened.authorize_url is None:
            question = _question(opened.connection, secret, region, self._base)
            return page("connect.html", base=self._base, **question)
        answer = RedirectResponse(opened.authorize_url, _SEE_OTHER, SAFE_HEADERS)
        # Lax, not Strict: the callback is a navigation that begins at Heap's site.
        answer.set_cookie(
            COOKIE,
            secret,
            max_age=STATE_MS // 1000,
            path=self._base + "/heap",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def callback(self, query: dict[str, str], secret: str) -> Response:
        try:
            done = await asyncio.to_thread(self._connecting.complete, query, secret)
        except HeaplineError as error:
            return self._trouble(error, secret)
        # Away from an address that holds a code, to one that may be reloaded.
        place = f"{self._base}{CONNECTED}?{urlencode({'view': done.view})}"
        answer = RedirectResponse(place, _SEE_OTHER, SAFE_HEADERS)
        answer.delete_cookie(COOKIE, path=self._base + "/heap")
        return answer

    async def connected(self, view: str) -> Response:
        try:
            connection, drained = await asyncio.to_thread(self._connecting.viewed, view)
        except HeaplineError as error:
            return self._trouble(error)
        try:
            status = await self._status(view)
        except HeaplineError as error:
            _log.warning("segments_not_shown", error=str(error))
            status = None
        return page(
            "connected.html",
            base=self._base,
            connection=connection,
            drained=drained,
            news=status,
            view=view,
        )

    async def status(self, view: str) -> Response:
        try:
            found = await self._status(view)
        except HeaplineError as error:
            trouble = trouble_of(error)
            return Response(status_code=trouble.status, headers=SAFE_HEADERS)
        return page("connected_status.html", news=found)

    async def _status(self, view: str) -> dict[str, Any]:
        workspace = self._connecting.workspace_of(view)
        segments = await asyncio.to_thread(self._connecting.news.of, workspace)
        return status_of(segments, self._connecting.clock.epoch_ms())

    def _trouble(self, error: HeaplineError, secret: str = "") -> Response:
        trouble = trouble_of(error)
        _log.warning("connecting_failed", kind=trouble.kind, error=str(error))
        again = trouble.again and _SECRET.fullmatch(secret)
        link = f"{self._base}{CONNECT}?{urlencode({'invitation': secret})}" if again else None
        return page(
            "connect_trouble.html", trouble.status, base=self._base, trouble=trouble, link=link
        )


def _question(connection: Connection, secret: str, region: str | None, base: str) -> dict[str, Any]:
    def address(**answers: str) -> str:
        return f"{base}{CONNECT}?{urlencode({'invitation': secret, **answers})}"

    environment = connection.env_id or connection.app_id
    asks_move = environment is not None or connection.id_token is not None
    regions = [region] if region or connection.region else ["us", "eu", "unknown"]
    links = {
        (each, move): address(
            **({"region": each} if each else {}), **({"move": move} if asks_move else {})
        )
        for each in regions
        for move in (("no", "yes") if asks_move else ("no",))
    }
    return {
        "workspace": connection.workspace,
        "environment": environment,
        "connection": connection,
        "asks_move": asks_move,
        "regions": regions,
        "links": links,
    }
