"""The console's addresses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote

import orjson
from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from heapline.errors import CallerMistake, HeaplineError, NotReady, TryAgainLater
from heapline.heap.connection import Connection, Send
from heapline.memberships import InvalidAudience, UnknownSegment, UnknownWorkspace
from heapline.words import SegmentId, Workspace
from producers.connections import ConnectionPatch
from web.body import read_body
from web.console import views
from web.console.sessions import COOKIE, FORM_FIELD, Session, Sessions
from web.lookup_times import time_text
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.memberships import Memberships
    from web.console.data import ConsoleData

_HERE: Final = Path(__file__).parent
_FORM_BYTES: Final = 64 * 1024
_SAMPLE: Final = 20
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FILES: Final = {"console.css": "text/css", "console.js": "text/javascript"}


class Pages:
    """Renders pages from templates.

    Args:
        sessions: who is signed in.
        data: what is shown.
    """

    def __init__(self, sessions: Sessions, data: ConsoleData) -> None:
        self.sessions = sessions
        self.data = data
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["path"] = lambda text: quote(str(text), safe="")
        self._templates.filters["when"] = lambda ms: time_text(ms) or "never"
        self._templates.filters["number"] = lambda count: f"{count:,}"

    def render(
        self, name: str, session: Session | None, http_status: int = 200, **content: object
    ) -> HTMLResponse:
        """Give a page."""
        template = self._templates.get_template(name)
        text = template.render(session=session, form_field=FORM_FIELD, **content)
        return HTMLResponse(text, http_status, _HEADERS)

    def refused(self, error: Exception, session: Session | None) -> HTMLResponse:
        """Give a page that says what is wrong and what to do."""
        status = error.status if isinstance(error, Problem) else _status_of(error)
        response = self.render("error.html", session, status, status=status, message=str(error))
        if isinstance(error, Problem):
            response.headers.update(error.headers)
        return response

    async def connection(self, workspace: str) -> Connection:
        """Give a workspace's connection.

        Raises:
            Problem: 404, there is none.
        """
        found = (await self.data.connections()).get(Workspace(workspace))
        if found is None:
            detail = (
                f"there is no workspace {workspace!r} yet: `heapline connections invite` makes one"
            )
            raise Problem(404, "not-found", detail)
        return found

    def known_memberships(self) -> tuple[Memberships | None, str]:
        """Give the index, or why there is none."""
        try:
            return self.data.memberships(), ""
        except TryAgainLater as error:
            return None, str(error)


def console_router(sessions: Sessions, data: ConsoleData) -> APIRouter:
    """Make the console's routes."""
    pages = Pages(sessions, data)
    router = APIRouter(include_in_schema=False)
    _add_entrance(router, pages)
    _add_workspaces(router, pages)
    _add_events(router, pages)
    _add_segments(router, pages)
    return router


def _add_entrance(router: APIRouter, pages: Pages) -> None:
    @router.get("/console/static/{name}")
    async def static(name: str) -> Response:
        if name not in _FILES:
            raise Problem(404, "not-found", "there is no such file")
        text = (_HERE / "static" / name).read_text("utf-8")
        return Response(text, media_type=_FILES[name], headers={"Cache-Control": "max-age=300"})

    @router.get("/console/sign-in")
    async def sign_in_page(request: Request) -> Response:
        del request
        return pages.render("sign_in.html", None, wrong=False)

    @router.post("/console/sign-in")
    async def sign_in(request: Request) -> Response:
        form = await _form(request)
        inside = RedirectResponse("/", 303)
        address = request.client.host if request.client else ""
        try:
            if pages.sessions.sign_in(form.get("token", ""), address, inside):
                return inside
        except Problem as problem:
            return pages.refused(problem, None)
        return pages.render("sign_in.html", None, 403, wrong=True)

    @router.post("/console/sign-out")
    async def sign_out(request: Request) -> Response:
        session = pages.sessions.of(request)
        if session is not None:
            pages.sessions.check_form(session, await _form(request))
        outside = RedirectResponse("/console/sign-in", 303)
        outside.delete_cookie(COOKIE)
        return outside


def _add_workspaces(router: APIRouter, pages: Pages) -> None:
    @router.get("/")
    async def workspaces(request: Request) -> Response:
        async def page(session: Session) -> Response:
            found = await pages.data.connections()
            mine = [row for name, row in found.items() if session.caller.good_for(name)]
            return pages.render("workspaces.html", session, cards=views.cards(mine))

        return await _guarded(pages, request, None, page)

    @router.get("/console/{workspace}")
    async def integration(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            row = await pages.connection(workspace)
            return pages.render("integration.html", session, workspace=workspace, row=row)

        return await _guarded(pages, request, workspace, page)

    @router.post("/console/{workspace}/send")
    async def send(request: Request, workspace: str) -> Response:
        async def change(_: Session, form: Mapping[str, str]) -> str:
            wanted = Send(form.get("send", ""))
            await pages.data.change(Workspace(workspace), ConnectionPatch(send=wanted))
            return f"/console/{quote(workspace, safe='')}"

        return await _changed(pages, request, workspace, change)


def _add_events(router: APIRouter, pages: Pages) -> None:
    @router.get("/console/{workspace}/events")
    async def events(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            row = await pages.connection(workspace)
            try:
                counts, missing = await pages.data.outcomes(Workspace(workspace)), ""
            except (NotReady, HeaplineError) as error:
                counts, missing = [], str(error)
            return pages.render(
                "events.html",
                session,
                workspace=workspace,
                rows=views.event_rows(row, counts),
                missing=missing,
            )

        return await _guarded(pages, request, workspace, page)

    @router.post("/console/{workspace}/events")
    async def switch(request: Request, workspace: str) -> Response:
        async def change(_: Session, form: Mapping[str, str]) -> str:
            row = await pages.connection(workspace)
            exclude = views.switched(row, form.get("event", ""), on=form.get("on") == "yes")
            await pages.data.change(Workspace(workspace), ConnectionPatch(exclude=exclude))
            return f"/console/{quote(workspace, safe='')}/events"

        return await _changed(pages, request, workspace, change)


def _add_segments(router: APIRouter, pages: Pages) -> None:
    @router.get("/console/{workspace}/segments")
    async def segments(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            view, missing = pages.known_memberships()
            rows = (
                []
                if view is None or workspace not in view.workspaces()
                else [
                    views.segment_view(row, view.count(workspace, row.segment_id))
                    for row in view.segments(workspace)
                ]
            )
            return pages.render(
                "segments.html", session, workspace=workspace, rows=rows, missing=missing
            )

        return await _guarded(pages, request, workspace, page)

    @router.get("/console/{workspace}/segments/{segment}")
    async def segment(request: Request, workspace: str, segment: str) -> Response:
        async def page(session: Session) -> Response:
            view = pages.data.memberships()
            row = view.segment(workspace, segment)
            user = request.query_params.get("user", "")
            return pages.render(
                "segment.html",
                session,
                workspace=workspace,
                segment=views.segment_view(row, view.count(workspace, segment)),
                user=user,
                entered_at_ms=view.entered_at_ms(workspace, user, segment) if user else None,
                sample=view.members_page(workspace, segment, None, _SAMPLE).users,
            )

        return await _guarded(pages, request, workspace, page)

    @router.post("/console/{workspace}/segments/{segment}/drain")
    async def drain(request: Request, workspace: str, segment: str) -> Response:
        async def change(_: Session, form: Mapping[str, str]) -> str:
            if form.get("sure") != "yes":
                raise CallerMistake("tick the box to say that everybody is to leave")
            await pages.data.drain(Workspace(workspace), SegmentId(segment))
            return f"/console/{quote(workspace, safe='')}/segments"

        return await _changed(pages, request, workspace, change)

    @router.get("/console/{workspace}/audience")
    async def audience(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            view = pages.data.memberships()
            content = _audience_content(view, workspace, request)
            return pages.render("audience.html", session, workspace=workspace, **content)

        return await _guarded(pages, request, workspace, page)


def _audience_content(view: Memberships, workspace: str, request: Request) -> dict[str, Any]:
    asked = request.query_params
    known = view.segments(workspace)
    chosen = {row.segment_id: asked.get(f"s.{row.segment_id}", "") for row in known}
    joined = "OR" if asked.get("join") == "OR" else "AND"
    conditions = [
        {"type": "CONDITION", "condition": {"type": "heap", "operator": how, "value": segment}}
        for segment, how in chosen.items()
        if how in {"is", "isNot"}
    ]
    audience = {
        "type": "rule_expression",
        "expression": {"type": joined, "exprs": conditions},
    }
    counted = view.count_audience(workspace, audience) if conditions else None
    user = asked.get("user", "")
    answer = view.evaluate(workspace, audience, user) if conditions and user else None
    return {
        "known": known,
        "chosen": chosen,
        "joined": joined,
        "counted": counted,
        "user": user,
        "answer": answer,
        "json": orjson.dumps(audience, option=orjson.OPT_INDENT_2).decode(),
    }


# --- what every page goes through -----------------------------------------------------------------


async def _guarded(pages: Pages, request: Request, workspace: str | None, page: Any) -> Response:  # noqa: ANN401 -- an async function of the session
    try:
        session = pages.sessions.of(request)
    except Problem as problem:
        return pages.refused(problem, None)
    if session is None:
        return RedirectResponse("/console/sign-in", 303)
    try:
        _check_workspace(session, workspace)
        response: Response = await page(session)
    except (Problem, HeaplineError, ValueError) as error:
        return pages.refused(error, session)
    return response


async def _changed(pages: Pages, request: Request, workspace: str, change: Any) -> Response:  # noqa: ANN401 -- an async function of session and form
    async def act(session: Session) -> Response:
        form = await _form(request)
        pages.sessions.check_form(session, form)
        if not session.may_operate:
            raise Problem(403, "insufficient-role", "your token may look, but not change anything")
        return RedirectResponse(await change(session, form), 303)

    return await _guarded(pages, request, workspace, act)


def _check_workspace(session: Session, workspace: str | None) -> None:
    if workspace is not None and not session.caller.good_for(workspace):
        raise Problem(404, "not-found", "there is no such workspace")


async def _form(request: Request) -> dict[str, str]:
    body = await read_body(request, _FORM_BYTES)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _status_of(error: Exception) -> int:
    if isinstance(error, UnknownWorkspace | UnknownSegment):
        return 404
    if isinstance(error, NotReady | TryAgainLater):
        return 503
    if isinstance(error, CallerMistake | InvalidAudience | ValueError):
        return 400
    return 500
