"""The membership index on this machine, and the workspace a command asks about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from heapline.memberships import MembershipReader, UnknownWorkspace
from heapline.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from heapline.memberships import Memberships
    from heapline.settings import Settings

WORKSPACE_NAME: Final = "--workspace"
WorkspaceOption = Annotated[
    str | None,
    typer.Option(
        WORKSPACE_NAME,
        help="Whose. Default: $HEAPLINE_WORKSPACE, or the only one there is.",
        metavar="WORKSPACE",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Asked(NamedTuple):
    """One moment of the index, and whom to ask it about."""

    view: Memberships
    workspace: str


def index_folder(settings: Settings) -> Path:
    """Give where `heapline materialize` keeps the index."""
    return settings.state.directory / "index"


def open_index(workspace: str | None) -> Asked:
    """Open the newest generation.

    Args:
        workspace: as the option gave it.

    Raises:
        IndexUnavailable: there is none; the message says what to do.
        UnknownWorkspace: the index knows no such workspace.
        typer.BadParameter: none is named, and there is not just one.
    """
    settings = load_settings()
    view = MembershipReader(index_folder(settings)).pinned()
    known = view.workspaces()
    named = workspace or settings.workspace
    if named is None:
        return Asked(view, _only(known))
    if named not in known:
        raise UnknownWorkspace(named)
    return Asked(view, named)


def user_ids(users: Iterable[str]) -> list[str]:
    """Give ids as typed.

    Raises:
        typer.BadParameter: one is not UTF-8, so no user can have it.
    """
    ids = list(users)
    if any(map(_is_broken, ids)):
        raise typer.BadParameter("an id is not UTF-8", param_hint="USER")
    return ids


def _is_broken(text: str) -> bool:
    return any("\ud800" <= each <= "\udfff" for each in text)


def _only(known: list[str]) -> str:
    if len(known) == 1:
        return known[0]
    if not known:
        raise typer.BadParameter(
            "no workspace has synced a segment yet: `heapline connections list` shows which are "
            "connected",
            param_hint=WORKSPACE_NAME,
        )
    some = ", ".join(sorted(known)[:10]) + (", …" if len(known) > 10 else "")  # noqa: PLR2004 -- a line's worth
    raise typer.BadParameter(f"say which, of: {some}", param_hint=WORKSPACE_NAME)
