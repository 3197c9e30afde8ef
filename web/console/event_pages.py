"""*Events sent to Heap*: every event with its counts and its switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from heapline.words import Workspace
from producers.connections import ConnectionPatch
from web.console import filters, views
from web.console.pages import Pages, address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.console.sessions import Session


def add_events(router: APIRouter, pages: Pages) -> None:
    """Add the page and its switches."""

    @router.get("/console/{workspace}/events")
    async def events(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            row = await pages.connection(workspace)
            counts = await pages.data.outcomes(Workspace(workspace))
            return pages.render(
                "events.html",
                session,
                workspace=workspace,
                row=row,
                rows=views.event_rows(row, counts.value or ()),
                new_events=filters.new_events(row),
                look=counts,
            )

        return await pages.show(request, workspace, page)

    @router.post("/console/{workspace}/events")
    async def switch(request: Request, workspace: str) -> Response:
        async def change(form: Mapping[str, str]) -> str:
            row = await pages.connection(workspace)
            wanted = form.get("on") == "yes"
            lists = filters.switched(row, form.get("event", ""), on=wanted)
            await _write(pages, workspace, lists)
            return address(workspace, "events")

        return await pages.change(request, workspace, change)

    @router.post("/console/{workspace}/new-events")
    async def switch_new(request: Request, workspace: str) -> Response:
        async def change(form: Mapping[str, str]) -> str:
            row = await pages.connection(workspace)
            counts = await pages.data.outcomes(Workspace(workspace))
            known = views.known_names(counts.value or ())
            lists = filters.new_switched(row, known, on=form.get("on") == "yes")
            await _write(pages, workspace, lists)
            return address(workspace, "events")

        return await pages.change(request, workspace, change)


async def _write(pages: Pages, workspace: str, lists: filters.Lists) -> None:
    patch = ConnectionPatch(include=lists.include, exclude=lists.exclude)
    await pages.data.change(Workspace(workspace), patch)
