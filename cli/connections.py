"""`heapline connections`: which workspace belongs to which Heap environment, and what is sent."""

from __future__ import annotations

import contextlib
import secrets
import sys
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from cli.output import masked, print_json, print_table, tell
from cli.plain_text import printable
from heapline.clock import SystemClock
from heapline.errors import NotReady
from heapline.heap.connection import BlockedCategory, Region, Send
from heapline.heap.oauth import PartnerSettings
from heapline.kafka.registry import Registry
from heapline.kafka.topics import Names
from heapline.settings import load_settings
from heapline.words import AppId, Workspace
from operations.attention import LOOK_BACK_MS, Attention, paused_workspaces
from operations.connecting import link
from operations.draining import KafkaDrain
from operations.offboarding import offboarded
from operations.outcomes import MINUTE_MS, read_outcomes
from operations.segment_news import KafkaSegmentNews, asides_of
from producers.connections import ConnectionPatch, ConnectionRegistry
from producers.invitations import invited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heapline.heap.connection import Connection
    from operations.segment_news import Aside

app = typer.Typer(
    no_args_is_help=True,
    help="Join workspaces to Heap environments, and say what is sent. Forwarders follow a change "
    "within a second.",
)

_T = TypeVar("_T")
_MS: Final = 1_000
_STDIN: Final = "-"
_OF_HEAP: Final = (
    "partner_app_id",
    "allowed_by",
    "allowed_at",
    "env_id",
    "invitation_expires_at",
)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Workspace = Annotated[
    str, typer.Argument(metavar="WORKSPACE", help="The Command AI organisation.")
]


class Anonymous(StrEnum):
    """What becomes of events without a user id."""

    SKIP = "skip"
    SEND = "send"


@app.command("list")
def list_connections(*, as_json: _Json = False) -> None:
    """List every workspace's connection, and whether Heap takes its events; tokens are masked.

    Pages of Heap's that were refused or put aside are told after it, with what mends them.
    """
    with _connections() as connections:
        rows = connections.list()
    paused = _paused() if rows else {}
    asides = _asides() if rows else {}
    if as_json:
        shown = [
            {
                **_shown(each),
                "paused": _reason(each, paused),
                "put_aside": [asdict(aside) for aside in asides.get(each.workspace, ())],
            }
            for each in rows
        ]
        print_json({"connections": shown})
    elif rows:
        titles = ("workspace", "app id", "region", "send", "paused", "filters", "blocked")
        print_table(
            (*titles, "changed", "version"),
            [_cells(each, _reason(each, paused) or "-") for each in rows],
        )
        for workspace, found in asides.items():
            for each in found:
                segment = each.segment_name or each.segment_id or "of no segment"
                print(printable(f"{workspace}, {segment}: {each.reason}. {each.repair}"))
    else:
        print("No workspace is connected yet: see `heapline connections set --help`.")


@app.command("set")
def set_connection(
    workspace: _Workspace,
    app_id: Annotated[str | None, typer.Option(help="Heap's environment id.")] = None,
    region: Annotated[
        Region | None, typer.Option(help="Where Heap keeps it. Needed with the first --app-id.")
    ] = None,
    send: Annotated[
        Send | None,
        typer.Option(help="on: send; off: skip (the default); hold: keep until on again."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only events with such names. May be repeated."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="No events with such names; wins. May be repeated."),
    ] = None,
    block: Annotated[
        list[BlockedCategory] | None,
        typer.Option(help="Text typed by users that must not be sent. May be repeated."),
    ] = None,
    anonymous: Annotated[
        Anonymous | None, typer.Option(help="Events without a user id: skip (the default) or send.")
    ] = None,
    id_token: Annotated[
        str | None,
        typer.Option(help="By which Heap's webhook names this customer; - reads it from stdin."),
    ] = None,
    *,
    no_include: Annotated[
        bool, typer.Option("--no-include", help="Forget all --include filters.")
    ] = False,
    no_exclude: Annotated[
        bool, typer.Option("--no-exclude", help="Forget all --exclude filters.")
    ] = False,
    no_block: Annotated[bool, typer.Option("--no-block", help="Block nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Connect a workspace, or change its connection: only what is named is changed.

    Naming --include, --exclude or --block replaces the whole list.
    """
    blocked = _list(block, clear=no_block, name="block")
    patch = ConnectionPatch(
        app_id=None if app_id is None else AppId(app_id),
        region=region,
        send=send,
        include=_list(include, clear=no_include, name="include"),
        exclude=_list(exclude, clear=no_exclude, name="exclude"),
        blocked_categories=None if blocked is None else frozenset(blocked),
        send_anonymous=None if anonymous is None else anonymous is Anonymous.SEND,
        id_token=sys.stdin.readline().strip() if id_token == _STDIN else id_token,
    )
    if not patch.changes():
        raise typer.BadParameter("nothing to change is named; see --help")
    with _connections() as connections:
        connection = connections.set(Workspace(workspace), patch)
    if as_json:
        print_json(_shown(connection))
    else:
        _print_set(connection)


@app.command()
def remove(
    workspace: _Workspace,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: _Json = False,
) -> None:
    """Forget a workspace's connection; its events are skipped from then on."""
    _confirm(yes, f"Forget the connection of {workspace}?")
    with _connections() as connections:
        connections.remove(Workspace(workspace))
    if as_json:
        print_json({"workspace": workspace, "removed": True})
    else:
        print(f"{workspace} is not connected any more.")


@app.command()
def invite(
    workspace: _Workspace,
    region: Annotated[
        Region | None,
        typer.Option(help="Where Heap keeps the environment. Otherwise the page asks."),
    ] = None,
    *,
    as_json: _Json = False,
) -> None:
    """Make a one-time link, good for 24 hours, by which somebody connects a workspace to Heap.

    Whoever has the link can connect the workspace: send it to that person only. A new link closes
    the older one. Needs `heapline serve` under HEAPLINE_WEB__PUBLIC_URL.
    """
    partner = PartnerSettings.of(load_settings())
    secret, name = secrets.token_urlsafe(32), Workspace(workspace)
    with _connections() as connections:
        row = connections.change(
            name, lambda rows, now_ms: invited(name, secret, rows, now_ms, region)
        )
    expires = datetime.fromtimestamp((row.invitation_expires_at_ms or 0) / _MS, UTC)
    if as_json:
        found = {"workspace": workspace, "link": link(partner, secret)}
        print_json({**found, "expires_at": row.invitation_expires_at_ms})
    else:
        print(link(partner, secret))
        tell(f"Good once, until {expires.isoformat(' ', 'seconds')}. Send it to one person only.")


@app.command()
def offboard(
    workspace: _Workspace,
    *,
    keep_segments: Annotated[
        bool, typer.Option("--keep-segments", help="Leave users in the segments they are in.")
    ] = False,
    keep_connection: Annotated[
        bool, typer.Option("--keep-connection", help="Only empty the segments.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: _Json = False,
) -> None:
    """Disconnect a workspace: nothing is sent, nothing is taken, and its segments are emptied.

    Run again after a failure: what is done already is left alone.
    """
    if keep_segments and keep_connection:
        raise typer.BadParameter("--keep-segments and --keep-connection together do nothing")
    _confirm(yes, _what_offboarding_means(workspace, keep_segments, keep_connection))
    settings, name = load_settings(), Workspace(workspace)
    with Registry(settings.schema_registry) as schemas:
        connections = ConnectionRegistry(settings.kafka, schemas)
        drain = KafkaDrain(settings, schemas)
        done = offboarded(
            name,
            connections,
            drain,
            keep_segments=keep_segments,
            keep_connection=keep_connection,
        )
    if as_json:
        print_json({"workspace": workspace, "removed": done.removed, "drained": done.drained})
        return
    if done.removed:
        print(f"{workspace} is not connected any more.")
    if done.drained:
        print(f"{len(done.drained)} segments are being emptied: {', '.join(done.drained)}")


def _what_offboarding_means(workspace: str, keep_segments: bool, keep_connection: bool) -> str:
    means = []
    if not keep_connection:
        means += [
            "Send stops, and events that still wait are skipped as disconnected.",
            "Heap's pages are refused from then on: turn the integration off in Heap, too.",
            "The app id becomes free for another workspace.",
        ]
    kept = "Users stay in the segments they are in, and nothing updates them any more."
    means.append(kept if keep_segments else "Everybody is removed from all of its segments.")
    lines = "\n".join(f"  - {each}" for each in means)
    return f"To disconnect {workspace} means:\n{lines}\nDisconnect?"


def _confirm(yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("say --yes where nobody can be asked")
    typer.confirm(question, abort=True)


@contextmanager
def _connections() -> Iterator[ConnectionRegistry]:
    settings = load_settings()
    with Registry(settings.schema_registry) as schemas:
        yield ConnectionRegistry(settings.kafka, schemas)


def _list(values: list[_T] | None, *, clear: bool, name: str) -> tuple[_T, ...] | None:
    if values and clear:
        raise typer.BadParameter(f"--{name} and --no-{name} contradict one another")
    if clear:
        return ()
    return tuple(dict.fromkeys(values)) if values else None


def _paused() -> dict[str, Attention]:
    """Ask the outcome counts of the last hour; without them nothing is known of pauses."""
    settings = load_settings()
    since_ms = SystemClock().epoch_ms() - LOOK_BACK_MS
    try:
        counts = read_outcomes(settings, Names(settings.kafka.prefix), since_ms)
        return paused_workspaces(counts)
    except NotReady:
        return {}


def _asides() -> dict[str, list[Aside]]:
    """Give the pages that were put aside, by workspace."""
    settings = load_settings()
    found: dict[str, list[Aside]] = {}
    with contextlib.suppress(NotReady), Registry(settings.schema_registry) as schemas:
        for segment in KafkaSegmentNews(settings.kafka, schemas).all():
            if asides := asides_of(segment):
                found.setdefault(segment.workspace, []).extend(asides)
    return found


def _reason(connection: Connection, paused: dict[str, Attention]) -> str | None:
    """Give why a workspace is paused, unless its connection was changed since."""
    attention = paused.get(connection.workspace)
    if attention is None or connection.updated_at_ms > attention.minute_ms + MINUTE_MS:
        return None
    return attention.reason


def _shown(connection: Connection) -> dict[str, Any]:
    shown = {**connection.to_record(), "id_token": masked(connection.id_token)}
    del shown["invitation_digest"]
    return shown


def _cells(connection: Connection, paused: str) -> tuple[object, ...]:
    changed = datetime.fromtimestamp(connection.updated_at_ms / _MS, UTC)
    return (
        connection.workspace,
        connection.app_id or "-",
        connection.region or "-",
        connection.send,
        paused,
        _filters(connection),
        " ".join(sorted(connection.blocked_categories)) or "-",
        changed.isoformat(" ", "seconds"),
        connection.version,
    )


def _filters(connection: Connection) -> str:
    named = [f"+{glob}" for glob in connection.include]
    named += [f"-{glob}" for glob in connection.exclude]
    if connection.send_anonymous:
        named.append("+anonymous")
    return " ".join(named) or "-"


def _print_set(connection: Connection) -> None:
    for name, value in _shown(connection).items():
        if name not in {"updated_at", *_OF_HEAP}:
            print(f"{name:<19} {_text(value)}")
    workspace = connection.workspace
    if connection.app_id and not connection.region:
        tell(
            f"Events of {workspace} are skipped until it is known where Heap keeps the "
            f"environment: `heapline connections set {workspace} --region us|eu`"
        )
    elif not connection.connected:
        tell(
            f"Events of {workspace} are skipped until it has an app id: "
            f"`heapline connections set {workspace} --app-id ID --region us|eu`"
        )
    elif connection.send is Send.OFF:
        tell(
            f"Events of {workspace} are skipped until Send is on: "
            f"`heapline connections set {workspace} --send on`"
        )


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
