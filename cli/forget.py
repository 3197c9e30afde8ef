"""`heapline forget`: erase a user."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import print_json
from cli.plain_text import printable
from heapline.heap.deletion import HeapDeletion
from heapline.http import HttpxClient
from heapline.kafka.registry import Registry
from heapline.settings import load_settings
from heapline.words import UserId, Workspace
from operations.forget import SETTLE_SECONDS, Forget
from operations.segment_news import KafkaSegmentNews
from producers.connections import ConnectionRegistry

if TYPE_CHECKING:
    from operations.forget import Forgotten, Later


def forget(
    user: Annotated[str, typer.Argument(metavar="USER", help="The workspace's own id of a user.")],
    workspace: Annotated[
        str | None,
        typer.Option(metavar="WORKSPACE", help="Whose. Default: $HEAPLINE_WORKSPACE."),
    ] = None,
    *,
    heap: Annotated[bool, typer.Option("--heap", help="Ask Heap to delete the user, too.")] = False,
    settle_seconds: Annotated[
        float, typer.Option(min=0, help="How long to wait for roles that are at work.")
    ] = SETTLE_SECONDS,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Erase a user: out of every segment, history, index and copy, and never sent again.

    Every role drops what was accepted before. What cannot be gone at once is said, with dates. Run
    it again after a failure: that is harmless.
    """
    settings = load_settings()
    named = workspace or settings.workspace
    if named is None:
        raise typer.BadParameter("name one, or set HEAPLINE_WORKSPACE", param_hint="--workspace")
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("say --yes where nobody can be asked")
        what = f"Erase {printable(user)} of {printable(named)}? This cannot be undone."
        typer.confirm(what, abort=True)
    with (
        Registry(settings.schema_registry) as schemas,
        closing(HttpxClient.for_heap(settings.heap, connections=1)) as http,
    ):
        rows = {row.workspace: row for row in ConnectionRegistry(settings.kafka, schemas).list()}
        news = KafkaSegmentNews(settings.kafka, schemas)
        done = Forget(settings, schemas, news, HeapDeletion(http, settings.heap)).forget(
            Workspace(named),
            UserId(user),
            rows.get(Workspace(named)),
            in_heap=heap,
            settle_seconds=settle_seconds,
        )
    if as_json:
        print_json({"workspace": named, "user": user, **asdict(done)})
    else:
        _print(user, named, done)


def _print(user: str, workspace: str, done: Forgotten) -> None:
    print(
        f"{printable(user)} of {printable(workspace)} is erased: what was accepted before "
        f"{_time(done.erased_at_ms)} is dropped everywhere, and {len(done.segments)} segments are "
        "without the user. Running nodes take the user out of their files now."
    )
    for role, settled in done.settled.items():
        if not settled:
            print(f"  `heapline {role}` is not running or is behind: it drops the rest as it reads")
    if done.heap is not None:
        print(f"  Heap: deletion request {done.heap.request_id} is {done.heap.status}")
    print("Not gone yet:")
    for each in done.later:
        print(f"  {_line(each)}")


def _line(later: Later) -> str:
    if later.gone_by_ms is None:
        return later.what
    return f"by {_time(later.gone_by_ms)[:10]}  {later.what}"


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
