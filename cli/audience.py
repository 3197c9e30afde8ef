"""`heapline audience`: who is in an audience of Command AI's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from cli.freshness import freshness_fields, tell_doubts, tell_freshness
from cli.index_option import JsonOption, WorkspaceOption, open_index, user_ids
from cli.output import ExitCode, print_json, print_table, tell
from cli.plain_text import printable
from heapline.memberships import Audience, InvalidAudience
from web.lookup_answers import WorkspaceAnswers

if TYPE_CHECKING:
    from cli.index_option import Asked

app = typer.Typer(
    no_args_is_help=True,
    help="Ask who is in an audience: evaluate it for users, list its members, count them.",
)
_STDIN: Final = "-"
_AUDIENCE_NAME: Final = "AUDIENCE"
_Audience = Annotated[
    str,
    typer.Argument(
        metavar=_AUDIENCE_NAME,
        help="Command AI's JSON: an audience or a rule expression; a file, - for standard input, "
        "or the JSON itself.",
    ),
]


@app.command()
def evaluate(
    audience: _Audience,
    users: Annotated[list[str], typer.Argument(metavar="USER...", help="Ids of users.")],
    workspace: WorkspaceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Tell of users whether they match: match, no_match, or undecided with what is left to know.

    Only conditions on Heap segments can be decided here; others are left over, unless the segments
    settle the matter.
    """
    wanted = read_audience(audience)
    asked = open_index(workspace)
    answer = WorkspaceAnswers(asked.view, asked.workspace).evaluate(wanted, user_ids(users))
    found = orjson.loads(answer.body)
    if as_json:
        print_json({**found, **_about(asked)})
        return
    rows = [(each["user"], each["result"], _left(each["unresolved"])) for each in found["results"]]
    print_table(("user", "result", "left to know"), rows)
    _tell(asked, found["doubtful"])


@app.command()
def members(
    audience: _Audience, workspace: WorkspaceOption = None, *, as_json: JsonOption = False
) -> None:
    """Print the ids of all users who match, one a line.

    Among those who are in some segment of the workspace. Exit code 3 where some are undecided:
    those are left out.
    """
    wanted = read_audience(audience)
    asked = open_index(workspace)
    counted = asked.view.count_audience(asked.workspace, wanted)
    found = asked.view.audience_members(asked.workspace, wanted)
    if as_json:
        users = list(found)
        print_json({"members": users, "undecided": counted.undecided, **_about(asked)})
    else:
        for page in found.pages():
            sys.stdout.write("".join(f"{printable(user)}\n" for user in page))
        _tell(asked, list(counted.doubtful))
    if counted.undecided:
        left = _left([{"type": each.type, "detail": each.detail} for each in counted.unresolved])
        tell(f"{counted.undecided} users are undecided and left out; left to know: {left}")
        raise typer.Exit(ExitCode.SET_ASIDE)


@app.command()
def count(
    audience: _Audience, workspace: WorkspaceOption = None, *, as_json: JsonOption = False
) -> None:
    """Count who matches, who does not and who is undecided.

    Among those who are in some segment of the workspace.
    """
    wanted = read_audience(audience)
    asked = open_index(workspace)
    found = orjson.loads(WorkspaceAnswers(asked.view, asked.workspace).count(wanted).body)
    if as_json:
        print_json({**found, **_about(asked)})
        return
    print_table(
        ("match", "no match", "undecided", "left to know"),
        [(found["match"], found["no_match"], found["undecided"], _left(found["unresolved"]))],
    )
    _tell(asked, found["doubtful"])


def read_audience(given: str) -> Audience:
    """Read an audience from a file, standard input or the argument itself.

    Raises:
        typer.BadParameter: it cannot be read, is no JSON, or of another shape.
    """
    try:
        return Audience.parse(orjson.loads(_written(given)))
    except OSError as error:
        what = f"cannot read {given}: {error.strerror or error}"
    except orjson.JSONDecodeError as error:
        what = f"no JSON at line {error.lineno}, column {error.colno}: {error.msg}"
    except InvalidAudience as error:
        what = str(error)
    raise typer.BadParameter(what, param_hint=_AUDIENCE_NAME)


def _written(given: str) -> bytes:
    if given == _STDIN:
        return sys.stdin.buffer.read()
    if given.lstrip().startswith("{"):
        return given.encode("utf-8", "surrogateescape")
    return Path(given).read_bytes()


def _left(unresolved: list[dict[str, Any]]) -> str:
    """Name what is left to know, each once."""
    named = [
        f"{each['type']} {each['detail']}" if each["detail"] else each["type"]
        for each in unresolved
    ]
    return ", ".join(dict.fromkeys(named)) or "-"


def _about(asked: Asked) -> dict[str, Any]:
    return {"workspace": asked.workspace, "freshness": freshness_fields(asked.view.freshness)}


def _tell(asked: Asked, doubtful: list[str]) -> None:
    tell_doubts(asked.view, asked.workspace, doubtful)
    tell_freshness(asked.view.freshness)
