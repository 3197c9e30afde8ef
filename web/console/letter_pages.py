"""Dead letters: one in full, and sending them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from operations.dlq import Filter, Position
from web.console.deliveries import letter_says
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.console.data import Letter
    from web.console.pages import Content, Pages
    from web.console.sessions import Session

_EXCERPT_BYTES = 512


def add_letters(router: APIRouter, pages: Pages) -> None:
    """Add a letter's page, and the replay."""

    @router.get("/console/{workspace}/delivery/{partition}/{offset}")
    async def letter(request: Request, workspace: str, partition: str, offset: str) -> Response:
        async def page(session: Session) -> Response:
            position = Position.parse(f"{partition}/{offset}")
            look = await pages.data.dead_letter(position)
            if look.missing:
                raise Problem(404, "not-found", look.missing)
            if look.value and look.value.content.entry.workspace != workspace:
                raise Problem(404, "not-found", f"{workspace} has no dead letter at {position}")
            return pages.render(
                "letter.html",
                session,
                workspace=workspace,
                position=position,
                look=look,
                **(_letter(look.value) if look.value else {}),
            )

        return await pages.show(request, workspace, page)

    @router.post("/console/{workspace}/replay")
    async def replay(request: Request, workspace: str) -> Response:
        async def act(session: Session, form: Mapping[str, str]) -> Response:
            wanted = _wanted(workspace, form)
            done = await pages.data.replay(wanted, force=form.get("force") == "yes")
            return pages.render("replayed.html", session, workspace=workspace, done=done)

        return await pages.submit(request, workspace, act)


def _wanted(workspace: str, form: Mapping[str, str]) -> Filter:
    """Read which are meant: one by its position, those with one reason, or all of them.

    Raises:
        ValueError: the position is none.
    """
    position = form.get("position", "")
    positions = frozenset({Position.parse(position)} if position else ())
    return Filter(workspace=workspace, reason=form.get("reason") or None, positions=positions)


def _letter(letter: Letter) -> Content:
    content = letter.content
    event = dict(letter.event or {})
    properties = event.get("properties")
    if isinstance(properties, str):
        try:
            event["properties"] = orjson.loads(properties)
        except orjson.JSONDecodeError:
            event["properties"] = properties
    value = content.value or b""
    return {
        "entry": content.entry,
        "why": content.entry.letter,
        "says": letter_says(content.entry.reason),
        "payload": orjson.dumps(event, default=str, option=orjson.OPT_INDENT_2).decode()
        if letter.event
        else "",
        "not_decoded_because": letter.not_decoded_because,
        "raw": value[:_EXCERPT_BYTES].hex(" "),
        "raw_bytes": len(value),
    }
