"""`heapline dlq`: what could not be delivered, and sending it again."""

from __future__ import annotations

import base64
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.output import ExitCode, print_json, tell
from cli.plain_text import columns, printable
from cli.time_option import SINCE_HELP, time_option
from heapline.clock import SystemClock
from heapline.errors import RegistryUnavailable, Undeliverable
from heapline.kafka.codec import Decoder
from heapline.kafka.registry import Registry
from heapline.kafka.topics import Names
from heapline.outcomes import DeadLetterReason
from heapline.settings import load_settings
from operations.dlq import REFUSED_AGAIN, Filter, Position, list_dlq, show_dlq
from operations.dlq_replay import Replayed, replay_dlq, to_replay
from operations.resend import TransactionalResender
from operations.times import write_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from heapline.settings import Settings
    from operations.dlq import Content, Entry

app = typer.Typer(
    no_args_is_help=True,
    help="Look at records that could not be delivered, and send them again.",
)
_SHOWN: Final = 50
_EXCERPT_BYTES: Final = 512
_FORCE: Final = {str(each): " (--force sends it)" for each in REFUSED_AGAIN}
_err = Console(stderr=True, soft_wrap=True, highlight=False)

_Workspace = Annotated[
    str | None, typer.Option(help="Only this one's. Default: $HEAPLINE_WORKSPACE, else all.")
]
_Reason = Annotated[DeadLetterReason | None, typer.Option(help="Only those with this reason.")]
_Since = Annotated[
    str | None, typer.Option(metavar="TIME", help=f"Dead-lettered since then. {SINCE_HELP}")
]
_Until = Annotated[str | None, typer.Option(metavar="TIME", help="Dead-lettered before then.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    workspace: _Workspace = None,
    reason: _Reason = None,
    since: _Since = None,
    until: _Until = None,
    *,
    replayed_too: Annotated[
        bool, typer.Option("--all", help="Also records that were replayed.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="Show so many, the newest; 0 shows all.")
    ] = _SHOWN,
    as_json: _Json = False,
) -> None:
    """List records that could not be delivered, without their content."""
    settings = load_settings()
    wanted = _filter(settings, workspace, reason, since, until)
    entries = list_dlq(
        settings, Names(settings.kafka.prefix), replace(wanted, replayed_too=replayed_too)
    )
    shown = entries[-limit:] if limit else entries
    if as_json:
        print_json(
            {
                "total": len(entries),
                "by_reason": Counter(each.reason for each in entries),
                "records": [_entry_json(each) for each in shown],
            }
        )
    else:
        _print_list(entries, shown)


@app.command()
def show(
    position: Annotated[str, typer.Argument(metavar="PARTITION/OFFSET")],
    *,
    as_json: _Json = False,
) -> None:
    """Show one record in full: why it is here, its headers, and its content.

    The content is personal data of a customer's user; no other command prints it.
    """
    settings = load_settings()
    content = show_dlq(settings, Names(settings.kafka.prefix), _position(position))
    decoded = _decoded(settings, content)
    if as_json:
        print_json(_content_json(content, decoded))
    else:
        _print_content(content, decoded)


@app.command("replay")
def replay_(
    positions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PARTITION/OFFSET]...", help="Only these; all, if none is named."),
    ] = None,
    workspace: _Workspace = None,
    reason: _Reason = None,
    since: _Since = None,
    until: _Until = None,
    *,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also records that are wrong in themselves and would come back here."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; needs --yes.")] = False,
) -> None:
    """Send records again, through the deferred topic, each at most once.

    A record that was replayed is marked and no longer listed. Records that are wrong in themselves
    (undecodable, no name, …) stay, unless --force; so do records whose headers cannot be read. Exit
    code 3: some stayed.
    """
    if as_json and not (yes or dry_run):
        raise typer.BadParameter("goes with --yes or --dry-run", param_hint="--json")
    settings = load_settings()
    names = Names(settings.kafka.prefix)
    asked = frozenset(map(_position, positions or ()))
    wanted = replace(_filter(settings, workspace, reason, since, until), positions=asked)
    entries = list_dlq(settings, names, wanted)
    chosen, set_aside = to_replay(entries, force=force)
    gone = tuple(sorted(asked - {each.position for each in entries}))
    done = Replayed(0, set_aside, gone)
    _announce(chosen, done)
    if chosen and not dry_run:
        if not yes:
            typer.confirm(f"Send {len(chosen):,} records again?", abort=True, err=True)
        sent = _replay(settings, names, chosen, force=force)
        done = replace(done, sent=sent.sent, gone=gone + sent.gone)
    _print_replayed(chosen, done, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(ExitCode.SET_ASIDE if done.set_aside or done.gone else ExitCode.DONE)


def _replay(settings: Settings, names: Names, chosen: Sequence[Entry], *, force: bool) -> Replayed:
    """Replay exactly what was announced, and nothing that came meanwhile."""
    exactly = Filter(positions=frozenset(each.position for each in chosen))
    resender = TransactionalResender(settings, names)
    with _progress() as heard:
        return replay_dlq(
            settings,
            names,
            resender,
            exactly,
            now_ms=SystemClock().epoch_ms(),
            force=force,
            progress=heard,
        )


def _filter(
    settings: Settings,
    workspace: str | None,
    reason: DeadLetterReason | None,
    since: str | None,
    until: str | None,
) -> Filter:
    now_ms = SystemClock().epoch_ms()
    return Filter(
        workspace=workspace or settings.workspace,
        reason=reason,
        since_ms=time_option(since, "--since", now_ms),
        until_ms=time_option(until, "--until", now_ms),
    )


def _position(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PARTITION/OFFSET") from error


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    bars = (TextColumn("replay"), BarColumn(), MofNCompleteColumn())
    with Progress(*bars, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        task = bar.add_task("replay", total=None)
        yield lambda sent, of: bar.update(task, completed=sent, total=of)


def _print_list(entries: Sequence[Entry], shown: Sequence[Entry]) -> None:
    if not entries:
        print("nothing here")
        return
    rows = [("POSITION", "DEAD-LETTERED AT", "WORKSPACE", "REASON", "STATUS", "ERROR")]
    rows += [_row(each) for each in shown]
    for line in columns(rows):
        print(line)
    counts = Counter(each.reason for each in entries).most_common()
    told = ", ".join(f"{count:,} {reason}" for reason, count in counts)
    print(f"\n{len(entries):,} records: {told}")
    if len(shown) < len(entries):
        print(f"the newest {len(shown):,} are shown; --limit 0 shows all")


def _row(entry: Entry) -> tuple[str, str, str, str, str, str]:
    letter = entry.letter
    error = letter.error if letter else "its headers cannot be read"
    return (
        str(entry.position),
        write_time(entry.written_at_ms),
        printable(entry.workspace, 40),
        f"{entry.reason} (replayed)" if entry.replayed else entry.reason,
        str(letter.status or "") if letter else "",
        printable(error, 60),
    )


def _entry_json(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {
        "position": str(entry.position),
        "written_at": write_time(entry.written_at_ms),
        "workspace": entry.workspace,
        "reason": entry.reason,
        "replayed": entry.replayed,
    }
    letter = entry.letter
    if letter is not None:
        found |= {
            "event_id": letter.event_id,
            "error": letter.error,
            "status": letter.status,
            "attempts": letter.attempts,
            "first_failure_at": write_time(letter.first_failure_at_ms),
            "last_failure_at": write_time(letter.last_failure_at_ms),
            "schema_id": letter.schema_id,
            "source": letter.source,
            "origin": str(letter.origin),
        }
    return found


def _decoded(settings: Settings, content: Content) -> dict[str, Any] | str:
    """Give the event, or why there is none to see."""
    with Registry(settings.schema_registry) as schemas:
        try:
            return Decoder("CommandAIEvent", schemas).decode(content.value)
        except (Undeliverable, RegistryUnavailable) as error:
            return str(error)


def _content_json(content: Content, decoded: dict[str, Any] | str) -> dict[str, Any]:
    def text(raw: bytes | None) -> str | None:
        return None if raw is None else base64.b64encode(raw).decode()

    headers = [(name, value.decode("utf-8", "replace")) for name, value in content.headers]
    return _entry_json(content.entry) | {
        "headers": headers,
        "key_base64": text(content.key),
        "value_base64": text(content.value),
        "event": decoded if isinstance(decoded, dict) else None,
        "not_decoded_because": decoded if isinstance(decoded, str) else None,
    }


def _print_content(content: Content, decoded: dict[str, Any] | str) -> None:
    rows = [(name, printable(str(value))) for name, value in _entry_json(content.entry).items()]
    rows.append(("key", printable((content.key or b"").decode("utf-8", "backslashreplace"))))
    for line in columns(rows):
        print(line)
    print("\nheaders")
    for name, value in content.headers:
        print(f"  {printable(name)}: {printable(value.decode('utf-8', 'backslashreplace'))}")
    if isinstance(decoded, dict):
        print("\nevent")
        for name, value in decoded.items():
            print(f"  {name}: {printable(str(value))}")
        return
    value = content.value or b""
    print(f"\nnot decoded: {printable(decoded)}\nvalue, {len(value):,} bytes")
    for line in _hex_dump(value[:_EXCERPT_BYTES]):
        print(f"  {line}")
    if len(value) > _EXCERPT_BYTES:
        print(f"  … (the first {_EXCERPT_BYTES}; --json has all)")


def _hex_dump(value: bytes) -> Iterator[str]:
    for start in range(0, len(value), 16):
        row = value[start : start + 16]
        seen = (
            each if each.isascii() and each.isprintable() else "." for each in row.decode("latin-1")
        )
        text = "".join(seen)
        yield f"{start:04x}  {row.hex(' '):<47}  {text}"


def _announce(chosen: Sequence[Entry], done: Replayed) -> None:
    """Say before anything happens what stays and why; on standard error, beside any JSON."""
    counts = Counter((each.workspace, each.reason) for each in chosen)
    for (workspace, reason), count in sorted(counts.items()):
        tell(f"{count:,} of {printable(workspace) or '(no workspace)'}: {reason}")
    for reason, count in done.set_aside.most_common():
        tell(f"{count:,} {reason}: left out, it would come back here{_FORCE.get(reason, '')}")
    for position in done.gone:
        tell(f"{position}: nothing to replay there; see `heapline dlq list --all`")


def _print_replayed(
    chosen: Sequence[Entry], done: Replayed, *, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "eligible": len(chosen),
                "sent": done.sent,
                "set_aside": done.set_aside,
                "gone": [str(each) for each in done.gone],
            }
        )
    elif dry_run:
        print(f"{len(chosen):,} records would be sent again")
    else:
        print(
            f"{done.sent:,} records written to the deferred topic; a running forwarder sends them"
        )
