"""*Delivery*: what waits for Heap, how long it takes, what is paused and why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from heapline.words import Workspace
from web.console.deliveries import delivery_of, letter_groups
from web.console.pages import Pages, address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.console.sessions import Session

_LETTERS = 50


def add_delivery(router: APIRouter, pages: Pages) -> None:
    """Add the page of all workspaces, and each one's own."""

    @router.get("/delivery")
    async def all_of_it(request: Request) -> Response:
        async def page(session: Session) -> Response:
            look = await pages.data.delivery()
            good_for = session.caller.good_for
            return pages.render(
                "deliveries.html",
                session,
                look=look,
                status=look.value,
                limited=bool(session.caller.workspaces),
                rows=[
                    delivery_of(each.workspace, look.value)
                    for each in (look.value.workspaces if look.value else ())
                    if good_for(each.workspace)
                ],
            )

        return await pages.show(request, None, page)

    @router.get("/console/{workspace}/delivery")
    async def delivery(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            look, letters = await asyncio.gather(
                pages.data.delivery(), pages.data.dead_letters(Workspace(workspace))
            )
            found = letters.value or ()
            return pages.render(
                "delivery.html",
                session,
                workspace=workspace,
                look=look,
                row=delivery_of(workspace, look.value),
                letters=letters,
                groups=letter_groups(found),
                shown=found[:_LETTERS],
            )

        return await pages.show(request, workspace, page)

    @router.post("/console/{workspace}/try-now")
    async def try_now(request: Request, workspace: str) -> Response:
        async def change(_: Mapping[str, str]) -> str:
            await pages.data.try_now(Workspace(workspace))
            return address(workspace, "delivery")

        return await pages.change(request, workspace, change)
