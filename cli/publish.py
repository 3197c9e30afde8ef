"""`heapline publish`: events from a file or standard input, one JSON object a line."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.output import ExitCode, print_json, tell
from heapline.events import EventPublisher
from heapline.settings import load_settings
from producers.ndjson import Line, Report, publish_lines, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from heapline.errors import InvalidEvent
    from heapline.settings import Settings

_STDIN: Final = "-"
_PROGRESS_EVERY_LINES: Final = 500
_REJECTIONS_PRINTED: Final = 10


def publish(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE|-", help="One JSON object a line; - reads standard input."),
    ],
    workspace: Annotated[
        str | None,
        typer.Option(
            help="For events that name no workspace themselves. Default: $HEAPLINE_WORKSPACE."
        ),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to put lines that are no events, as they are. Written over. Default: "
            "FILE.rejects, or stdin.rejects in this folder, with a number where that is taken.",
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publish events: v2 cb:* envelopes, v1 wire payloads, or {name, data, user_id, timestamp}.

    Exit code 3: published, but some lines were put aside. Running it again with the same file
    doubles nothing for events whose timestamp has milliseconds or that carry an event_id.
    """
    _check_paths(file, rejects)
    settings = load_settings()
    with ExitStack() as stack:
        publisher = stack.enter_context(_publisher(settings))
        aside = stack.enter_context(Rejects(rejects or _free_name(file)))
        stream = stack.enter_context(_opened(file))
        stop = stack.enter_context(Interruption())
        report = publish_lines(
            stop.guarded(read_lines(stream)),
            publisher,
            workspace=workspace or settings.workspace,
            put_aside=aside.put,
            is_stopped=stop.is_asked,
            progress=stack.enter_context(_progress(file)),
        )
    _print(report, aside.path, as_json=as_json)
    raise typer.Exit(exit_code(report))


def exit_code(report: Report) -> ExitCode:
    """Tell how it ended; lines put aside count only where nothing worse happened."""
    if report.failure is not None or report.given_up:
        return ExitCode.FAILED
    if report.stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.SET_ASIDE if report.rejected else ExitCode.DONE


class Rejects:
    """A file that comes into being with the first line put aside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def put(self, line: Line, _: InvalidEvent) -> None:
        """Write the line's own bytes, with a line ending if it was the last and had none."""
        if self._file is None:
            self._file = self.path.open("wb")
        end = line.start
        self._file.write(end)
        for end in line.rest:
            self._file.write(end)
        if not end.endswith(b"\n"):
            self._file.write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class Interruption:
    """Ctrl-C, heard between two lines or while waiting for one; a second one is not held back."""

    def __init__(self) -> None:
        self._asked = False
        self._is_reading = False
        self._before: Any = None

    def is_asked(self) -> bool:
        """Whether it was pressed."""
        return self._asked

    def guarded(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Give the same lines; waiting for one may end in KeyboardInterrupt."""
        while True:
            self._is_reading = True
            try:
                line = next(lines, None)
            finally:
                self._is_reading = False
            if line is None:
                return
            yield line

    def _hear(self, _: int, __: FrameType | None) -> None:
        is_second, self._asked = self._asked, True
        if is_second or self._is_reading:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)


@contextmanager
def _publisher(settings: Settings) -> Iterator[EventPublisher]:
    """Open a publisher; what became of its events the report says, so closing complains no more."""
    registry = settings.schema_registry
    password = registry.password
    publisher = EventPublisher(
        settings.kafka.bootstrap_servers,
        registry.url,
        prefix=settings.kafka.prefix,
        librdkafka=settings.kafka.security(),
        registry_username=registry.username,
        registry_password=None if password is None else password.get_secret_value(),
    )
    publisher.open()
    try:
        yield publisher
    finally:
        publisher.discard()


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == _STDIN:
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as stream:
        yield stream


@contextmanager
def _progress(file: str) -> Iterator[Callable[[Report], None]]:
    """Show a bar on a terminal, by bytes read; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (
        BarColumn(),
        TextColumn("{task.fields[accepted]:,} events"),
        TextColumn("{task.fields[rejected]:,} put aside"),
        TimeRemainingColumn(),
    )
    size = Path(file).stat().st_size if file != _STDIN and Path(file).is_file() else None
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("publish", total=size, accepted=0, rejected=0)

        def show(report: Report) -> None:
            if report.last_line % _PROGRESS_EVERY_LINES == 0:
                bar.update(
                    task,
                    completed=report.bytes_read,
                    accepted=report.accepted,
                    rejected=report.rejected.total(),
                )

        yield show


def _check_paths(file: str, rejects: Path | None) -> None:
    if file != _STDIN and (not Path(file).exists() or Path(file).is_dir()):
        raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
    if file != _STDIN and not os.access(file, os.R_OK):
        raise typer.BadParameter(f"{file} cannot be read", param_hint="FILE")
    if rejects is not None and file != _STDIN and rejects.absolute() == Path(file).absolute():
        raise typer.BadParameter("would write over the events", param_hint="--rejects")


def _free_name(file: str) -> Path:
    base = "stdin" if file == _STDIN else file
    numbers = itertools.count(2)
    path = Path(f"{base}.rejects")
    while path.exists():
        path = Path(f"{base}.rejects.{next(numbers)}")
    return path


def _print(report: Report, rejects: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(report, rejects))
    else:
        print(f"{report.acknowledged:,} events published")
    for rejection in report.rejections[:_REJECTIONS_PRINTED]:
        tell(f"line {rejection.line}: {rejection.message} ({rejection.reason})")
    if report.rejected:
        more = report.rejected.total() - min(len(report.rejections), _REJECTIONS_PRINTED)
        if more:
            tell(f"... and {more:,} more")
        tell(f"{report.rejected.total():,} lines put aside in {rejects}: mend and publish that")
    if report.stopped:
        tell(f"stopped after line {report.last_line:,}; what follows was not read")
    if report.failure is not None:
        tell(f"failed at or before line {report.last_line + 1:,}: {report.failure}")


def _as_json(report: Report, rejects: Path) -> dict[str, Any]:
    return {
        "published": report.acknowledged,
        "given_up": report.given_up,
        "rejected": dict(report.rejected),
        "rejections": [
            {"line": r.line, "reason": r.reason, "message": r.message} for r in report.rejections
        ],
        "rejects_file": str(rejects) if report.rejected else None,
        "last_line": report.last_line,
        "stopped": report.stopped,
        "failure": None if report.failure is None else str(report.failure),
    }
