"""`heapline segments`: what Heap has synced."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from cli.freshness import doubt, freshness_fields, tell_doubts, tell_freshness
from cli.index_option import JsonOption, WorkspaceOption, open_index
from cli.output import print_json, print_table
from cli.plain_text import printable
from heapline.clock import SystemClock
from heapline.errors import CallerMistake
from heapline.memberships import UnknownSegment
from heapline.settings import load_settings
from heapline.words import SegmentId, Workspace
from producers.drains import drain_segments
from web.lookup_answers import WorkspaceAnswers, segment_fields, status_of
from web.lookup_times import time_text

if TYPE_CHECKING:
    from cli.index_option import Asked
    from heapline.memberships import SegmentRow


def segments(
    segment: Annotated[
        str | None,
        typer.Argument(metavar="SEGMENT", help="Only this one: its id, or its name."),
    ] = None,
    workspace: WorkspaceOption = None,
    *,
    members: Annotated[
        bool, typer.Option("--members", help="Print the ids of SEGMENT's members, one a line.")
    ] = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="Let everybody leave SEGMENT, until Heap syncs it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --drain: do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List a workspace's Heap segments: size, status, rhythm and age; or look at one.

    Reads the index that `heapline materialize` keeps on this machine.

    To get everybody of a partial segment again: turn its toggle off in Heap, --drain it here, and
    turn it on again; Heap then sends all members.
    """
    asked = open_index(workspace)
    if segment is None:
        if members or drain:
            raise typer.BadParameter(
                "needs a SEGMENT", param_hint="--members" if members else "--drain"
            )
        _list(asked, as_json=as_json)
        return
    row = find_segment(asked, segment)
    if drain:
        _drain(asked, row, yes=yes, as_json=as_json)
    elif members:
        _print_members(asked, row, as_json=as_json)
    elif as_json:
        count = asked.view.count(asked.workspace, row.segment_id)
        print_json({"segment": segment_fields(row, count), **_about(asked)})
    else:
        _print_one(asked, row)
        tell_freshness(asked.view.freshness)


def find_segment(asked: Asked, named: str) -> SegmentRow:
    """Find a segment by its id, else by its name.

    Raises:
        UnknownSegment: there is none.
        CallerMistake: several have that name.
    """
    rows = asked.view.segments(asked.workspace)
    found = [row for row in rows if row.segment_id == named]
    found = found or [row for row in rows if row.name == named]
    if not found:
        raise UnknownSegment(asked.workspace, named)
    if len(found) > 1:
        ids = ", ".join(row.segment_id for row in found)
        raise CallerMistake(f"several segments are named {named!r}: say which by its id: {ids}")
    return found[0]


def _drain(asked: Asked, row: SegmentRow, *, yes: bool, as_json: bool) -> None:
    members = asked.view.count(asked.workspace, row.segment_id)
    if not yes:
        named = printable(row.name or row.segment_id)
        typer.confirm(f"Let all {members:,} members leave {named}?", abort=True, err=True)
    workspace, segment = Workspace(asked.workspace), SegmentId(row.segment_id)
    now_ms = SystemClock().epoch_ms()
    (position,) = drain_segments(load_settings(), workspace, [segment], now_ms)
    if as_json:
        print_json({"segment": row.segment_id, "position": str(position)})
    else:
        print("asked for; `heapline apply-syncs` carries it out")


def _about(asked: Asked) -> dict[str, Any]:
    return {
        "workspace": asked.workspace,
        "freshness": freshness_fields(asked.view.freshness),
    }


def _list(asked: Asked, *, as_json: bool) -> None:
    rows = asked.view.segments(asked.workspace)
    if as_json:
        answer = WorkspaceAnswers(asked.view, asked.workspace).segments()
        print_json({**orjson.loads(answer.body), **_about(asked)})
        return
    titles = ("id", "name", "members", "status", "rhythm", "last synced", "stale")
    print_table(titles, [_cells(asked, row) for row in rows])
    tell_doubts(asked.view, asked.workspace, [row.segment_id for row in rows])
    tell_freshness(asked.view.freshness)


def _cells(asked: Asked, row: SegmentRow) -> tuple[object, ...]:
    return (
        row.segment_id,
        row.name or "-",
        asked.view.count(asked.workspace, row.segment_id),
        status_of(row),
        row.rhythm,
        time_text(row.last_synced_at_ms) or "never",
        "yes" if row.stale else "no",
    )


def _print_one(asked: Asked, row: SegmentRow) -> None:
    titles = ("id", "name", "members", "status", "rhythm", "last synced", "stale")
    for title, cell in zip(titles, _cells(asked, row), strict=True):
        print(f"{title + ':':<13}{printable(str(cell))}")
    if row.doubtful:
        print(f"{'doubtful:':<13}{doubt(row)}")


def _print_members(asked: Asked, row: SegmentRow, *, as_json: bool) -> None:
    members = asked.view.member_set(asked.workspace, row.segment_id)
    if as_json:
        print_json({"members": list(members), "segment": row.segment_id, **_about(asked)})
        return
    for page in members.pages():
        sys.stdout.write("".join(f"{printable(user)}\n" for user in page))
    tell_doubts(asked.view, asked.workspace, [row.segment_id])
    tell_freshness(asked.view.freshness)
