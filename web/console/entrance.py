"""Signing in and out, and the console's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from web.console.pages import HERE, Pages, read_form
from web.console.sessions import COOKIE
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES: Final[Mapping[str, str]] = {"console.css": "text/css", "console.js": "text/javascript"}


def add_entrance(router: APIRouter, pages: Pages) -> None:
    """Add the way in and out."""

    @router.get("/console/static/{name}")
    async def static(name: str) -> Response:
        if name not in _FILES:
            raise Problem(404, "not-found", "there is no such file")
        text = (HERE / "static" / name).read_text("utf-8")
        headers = {"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"}
        return Response(text, media_type=_FILES[name], headers=headers)

    @router.get("/console/sign-in")
    async def sign_in_page() -> Response:
        return pages.render("sign_in.html", None, wrong=False)

    @router.post("/console/sign-in")
    async def sign_in(request: Request) -> Response:
        form = await read_form(request)
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
            try:
                pages.sessions.check_form(session, await read_form(request))
            except Problem as problem:
                return pages.refused(problem, session)
        outside = RedirectResponse("/console/sign-in", 303)
        outside.delete_cookie(COOKIE)
        return outside
