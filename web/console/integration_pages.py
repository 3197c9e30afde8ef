"""*Integrations*: the Heap card of each workspace, with Send and Sync with Heap."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from heapline.heap.connection import Send
from heapline.words import Workspace
from producers.connections import ConnectionPatch
from web.console import views
from web.console.pages import Pages, address, meant
from web.console.syncs import sync_views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.console.sessions import Session

_ARRIVED = 10
"""Segments shown as having arrived; the page *Segments* has all."""


def add_integration(router: APIRouter, pages: Pages) -> None:
    """Add the first page, and a workspace's Heap card."""

    @router.get("/")
    async def workspaces(request: Request) -> Response:
        async def page(session: Session) -> Response:
            found = await pages.data.connections()
            mine = [row for name, row in found.items() if session.caller.good_for(name)]
            return pages.render("workspaces.html", session, cards=views.cards(mine))

        return await pages.show(request, None, page)

    @router.get("/console/{workspace}")
    async def integration(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            return await _integration(pages, session, workspace)

        return await pages.show(request, workspace, page)

    @router.post("/console/{workspace}/send")
    async def send(request: Request, workspace: str) -> Response:
        async def change(form: Mapping[str, str]) -> str:
            wanted = Send(form.get("send", ""))
            await pages.data.change(Workspace(workspace), ConnectionPatch(send=wanted))
            return address(workspace)

        return await pages.change(request, workspace, change)

    _add_joining(router, pages)


def _add_joining(router: APIRouter, pages: Pages) -> None:
    @router.post("/console")
    async def connect_new(request: Request) -> Response:
        async def act(session: Session, form: Mapping[str, str]) -> Response:
            workspace = form.get("workspace", "").strip()
            if not session.caller.good_for(workspace):
                raise ValueError(f"your token is not good for workspace {workspace!r}")
            return await _invited(pages, session, workspace)

        return await pages.submit(request, None, act)

    @router.post("/console/{workspace}/connect")
    async def connect(request: Request, workspace: str) -> Response:
        async def act(session: Session, _: Mapping[str, str]) -> Response:
            return await _invited(pages, session, workspace)

        return await pages.submit(request, workspace, act)

    @router.post("/console/{workspace}/disconnect")
    async def disconnect(request: Request, workspace: str) -> Response:
        async def act(_: Session, form: Mapping[str, str]) -> Response:
            meant(form, f"{workspace} is to be disconnected")
            await pages.data.disconnect(Workspace(workspace))
            return RedirectResponse("/", 303)

        return await pages.submit(request, workspace, act)


async def _integration(pages: Pages, session: Session, workspace: str) -> Response:
    row = await pages.connection(workspace)
    name = Workspace(workspace)
    # Together: a page waits for the slowest look, not for one after the other.
    news, users = await asyncio.gather(pages.data.segments(name), pages.data.latest_users(name))
    return pages.render(
        "integration.html",
        session,
        workspace=workspace,
        row=row,
        syncs=sync_views(news.value or (), pages.clock.epoch_ms(), _ARRIVED),
        news=news,
        more=max(0, len(news.value or ()) - _ARRIVED),
        users=users,
    )


async def _invited(pages: Pages, session: Session, workspace: str) -> Response:
    """Show the link: to follow it is a person's own click, and it may be sent to somebody else."""
    link = await pages.data.invite(Workspace(workspace))
    return pages.render("invited.html", session, workspace=workspace, link=link)
