"""*Audience*: a rule, its exact size, one user's answer, and the JSON that services send."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from web.console.builder import rule_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web.console.pages import Content, Pages
    from web.console.sessions import Session


def add_audience(router: APIRouter, pages: Pages) -> None:
    """Add the page."""

    @router.get("/console/{workspace}/audience")
    async def audience(request: Request, workspace: str) -> Response:
        async def page(session: Session) -> Response:
            content = _content(pages, workspace, request.query_params.multi_items())
            return pages.render("audience.html", session, workspace=workspace, **content)

        return await pages.show(request, workspace, page)


def _content(pages: Pages, workspace: str, asked: Sequence[tuple[str, str]]) -> Content:
    view = pages.data.memberships()
    known = view.segments(workspace)
    rule = rule_of(asked, known)
    audience = rule.audience()
    user = dict(asked).get("user", "").strip()
    return {
        "known": known,
        "rule": rule,
        "counted": view.count_audience(workspace, audience) if audience else None,
        "user": user,
        "answer": view.evaluate(workspace, audience, user) if audience and user else None,
        "json": orjson.dumps({"audience": audience}, option=orjson.OPT_INDENT_2).decode(),
    }
