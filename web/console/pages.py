"""What every page goes through: who asks, what may be changed, and how it is rendered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from heapline.errors import CallerMistake, HeaplineError, NotReady, TryAgainLater
from heapline.memberships import InvalidAudience, UnknownSegment, UnknownWorkspace
from heapline.words import Workspace
from web.body import read_body
from web.console.sessions import FORM_FIELD, Session, Sessions
from web.console.words import age_text, seconds_text, shown_time
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fastapi import Request

    from heapline.clock import Clock
    from heapline.heap.connection import Connection
    from heapline.memberships import Memberships
    from web.console.data import ConsoleData

    Page = Callable[[Session], Awaitable[Response]]
    Change = Callable[[Mapping[str, str]], Awaitable[str]]

HERE: Final = Path(__file__).parent
_FORM_BYTES: Final = 64 * 1024
_SEE_OTHER: Final = 303
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Pages:
    """Renders pages from templates, for those who may see them.

    Args:
        sessions: who is signed in.
        data: what is shown.
        clock: for what is told as an age.
    """

    def __init__(self, sessions: Sessions, data: ConsoleData, clock: Clock) -> None:
        self.sessions = sessions
        self.data = data
        self.clock = clock
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "path": lambda text: quote(str(text), safe=""),
            "when": lambda ms: shown_time(ms) or "never",
            "age": lambda ms: age_text(ms, clock.epoch_ms()),
            "number": lambda count: f"{count:,}",
            "duration": seconds_text,
        }
        for name in self._templates.list_templates():
            self._templates.get_template(name)  # compiled now, not for the first who looks

    # --- looking ------------------------------------------------------------------------------

    async def show(self, request: Request, workspace: str | None, page: Page) -> Response:
        """Give a page to somebody who may see it, else what is to be done first."""
        try:
            session = self.sessions.of(request)
        except Problem as problem:
            return self.refused(problem, None)
        if session is None:
            return RedirectResponse("/console/sign-in", _SEE_OTHER)
        try:
            _check_workspace(session, workspace)
            return await page(session)
        except (Problem, HeaplineError, ValueError) as error:
            return self.refused(error, session)

    async def change(self, request: Request, workspace: str, change: Change) -> Response:
        """Do what a form asks for, and go to the page that the change names."""

        async def act(_: Session, form: Mapping[str, str]) -> Response:
            return RedirectResponse(await change(form), _SEE_OTHER)

        return await self.submit(request, workspace, act)

    async def submit(
        self,
        request: Request,
        workspace: str | None,
        act: Callable[[Session, Mapping[str, str]], Awaitable[Response]],
    ) -> Response:
        """Do what a form of this session asks for, if its token may."""

        async def checked(session: Session) -> Response:
            form = await read_form(request)
            self.sessions.check_form(session, form)
            if not session.may_operate:
                raise Problem(
                    403, "insufficient-role", "your token may look, but not change anything"
                )
            return await act(session, form)

        return await self.show(request, workspace, checked)

    # --- rendering ----------------------------------------------------------------------------

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

    # --- what many pages ask for ----------------------------------------------------------------

    async def connection(self, workspace: str) -> Connection:
        """Give a workspace's connection.

        Raises:
            Problem: 404, there is none.
        """
        found = (await self.data.connections()).get(Workspace(workspace))
        if found is None:
            detail = f"there is no workspace {workspace!r} yet: connect it on the first page"
            raise Problem(404, "not-found", detail)
        return found

    def known_memberships(self, workspace: str) -> tuple[Memberships | None, str]:
        """Give the index if it knows of the workspace, or why there is none."""
        try:
            view = self.data.memberships()
        except TryAgainLater as error:
            return None, str(error)
        return (view, "") if workspace in view.workspaces() else (None, "")


def address(workspace: str, *rest: str) -> str:
    """Give where a page of a workspace is."""
    return "/console/" + "/".join(quote(each, safe="") for each in (workspace, *rest))


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form that was sent."""
    body = await read_body(request, _FORM_BYTES)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def meant(form: Mapping[str, str], what: str) -> None:
    """See that the box beside a button was ticked.

    Raises:
        CallerMistake: it was not.
    """
    if form.get("sure") != "yes":
        raise CallerMistake(f"tick the box to say that {what}")


def _check_workspace(session: Session, workspace: str | None) -> None:
    if workspace is not None and not session.caller.good_for(workspace):
        raise Problem(404, "not-found", "there is no such workspace")


def _status_of(error: Exception) -> int:
    if isinstance(error, UnknownWorkspace | UnknownSegment):
        return 404
    if isinstance(error, NotReady | TryAgainLater):
        return 503
    if isinstance(error, CallerMistake | InvalidAudience | ValueError):
        return 400
    return 500


Content = dict[str, Any]
"""What a template is given."""
