"""*Segments*: what Heap syncs, who is in, why somebody is not, and letting everybody leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from heapline.words import SegmentId, Workspace
from web.console import views
from web.console.members import SEARCHED, find_members
from web.console.pages import Content, Pages, address, meant
from web.console.plot import plot
from web.console.syncs import sync_at, sync_view, sync_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heapline.memberships import Memberships, SegmentRow
    from web.console.sessions import Session

_SAMPLES = 3
_A_PAGE = 100


def add_segments(router: APIRouter, pages: Pages) -> None:
    """Add the list, a segment's own page, and its drain."""

    @router.get("/console/{workspace}/segments")
    async def segments(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            content = await _list(pages, workspace, request.query_params)
            return pages.render("segments.html", session, workspace=workspace, **content)

        return await pages.show(request, workspace, page)

    @router.get("/console/{workspace}/segments/{segment}")
    async def segment(request: Request, workspace: str, segment: str) -> Response:
        async def page(session: Session) -> Response:
            content = await _segment(pages, workspace, segment, request.query_params)
            return pages.render("segment.html", session, workspace=workspace, **content)

        return await pages.show(request, workspace, page)

    @router.post("/console/{workspace}/segments/{segment}/drain")
    async def drain(request: Request, workspace: str, segment: str) -> Response:
        async def change(form: Mapping[str, str]) -> str:
            meant(form, "everybody is to leave")
            await pages.data.drain(Workspace(workspace), SegmentId(segment))
            return address(workspace, "segments", segment)

        return await pages.change(request, workspace, change)


async def _list(pages: Pages, workspace: str, asked: Mapping[str, str]) -> Content:
    view, missing = pages.known_memberships(workspace)
    known = view.segments(workspace) if view else []
    part = asked.get("find", "").strip()
    found = [row for row in known if part.casefold() in (row.name or row.segment_id).casefold()]
    found.sort(key=lambda row: (row.name.casefold(), row.segment_id))
    first = max(0, int(asked.get("from") or 0))
    shown = found[first : first + _A_PAGE]
    news = (await pages.data.segments(Workspace(workspace))).value or ()
    numbers = {row.segment_id for row in known}
    now_ms = pages.clock.epoch_ms()
    syncs = {each.segment_id: each for each in sync_views(news, now_ms, of=_ids(shown))}
    return {
        "rows": [
            views.segment_view(
                row, view.count(workspace, row.segment_id), syncs.get(row.segment_id)
            )
            for row in shown
            if view
        ],
        "coming": sync_views(news, now_ms, _A_PAGE, {each.segment_id for each in news} - numbers),
        "missing": missing,
        "find": part,
        "known": len(known),
        "found": len(found),
        "first": first,
        "following": first + _A_PAGE if first + _A_PAGE < len(found) else None,
    }


def _ids(rows: Sequence[SegmentRow]) -> set[str]:
    return {row.segment_id for row in rows}


async def _segment(pages: Pages, workspace: str, segment: str, asked: Mapping[str, str]) -> Content:
    view = pages.data.memberships()
    row = view.segment(workspace, segment)
    name, number = Workspace(workspace), SegmentId(segment)
    news, history, latest = await asyncio.gather(
        pages.data.segments(name), pages.data.history(name, number), pages.data.latest_users(name)
    )
    members = view.count(workspace, segment)
    record, sync = sync_view(news.value or (), segment, pages.clock.epoch_ms())
    user = asked.get("user", "").strip()
    entered_at_ms = view.entered_at_ms(workspace, user, segment) if user else None
    return {
        "segment": views.segment_view(row, members, sync),
        "history": history,
        "plot": plot(history.value or (), members, pages.clock.epoch_ms()),
        "user": user,
        "entered_at_ms": entered_at_ms,
        "since_sync": sync_at(record, entered_at_ms) if entered_at_ms else "",
        "sample": view.members_page(workspace, segment, None, _SAMPLES).users,
        "latest": latest,
        **_found(view, workspace, segment, asked),
    }


def _found(view: Memberships, workspace: str, segment: str, asked: Mapping[str, str]) -> Content:
    part = asked.get("find", "").strip()
    found = find_members(view, workspace, segment, part, asked.get("from") or None)
    return {"find": part, "found": found, "searched": SEARCHED}
