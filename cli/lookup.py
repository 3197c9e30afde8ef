"""`heapline lookup`: which Heap segments a user is in."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from cli.freshness import freshness_fields, tell_doubts, tell_freshness
from cli.index_option import JsonOption, WorkspaceOption, open_index, user_ids
from cli.output import print_json, print_table
from cli.plain_text import printable
from web.lookup_answers import WorkspaceAnswers


def lookup(
    user: Annotated[str, typer.Argument(metavar="USER", help="The workspace's own id of a user.")],
    workspace: WorkspaceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Tell which Heap segments a user is in, and since when.

    Somebody never seen is in none: Heap tells who is in a segment, not who exists. Reads the index
    that `heapline materialize` keeps on this machine.
    """
    (user,) = user_ids([user])
    asked = open_index(workspace)
    answer = WorkspaceAnswers(asked.view, asked.workspace).segments_of(user)
    found = orjson.loads(answer.body)
    if as_json:
        freshness = freshness_fields(asked.view.freshness)
        print_json({"user": user, "workspace": asked.workspace, **found, "freshness": freshness})
        return
    if found["segments"]:
        rows = [
            (
                each["id"],
                each["name"] or "-",
                each["entered_at"] or "-",
                "yes" if each["id"] in found["doubtful"] else "no",
            )
            for each in found["segments"]
        ]
        print_table(("id", "name", "entered", "doubtful"), rows)
    else:
        print(f"{printable(user)} is in no segment of {printable(asked.workspace)}.")
    tell_doubts(asked.view, asked.workspace, found["doubtful"])
    tell_freshness(asked.view.freshness)
