"""Events from a stream of JSON objects, one a line: read, published, and what is bad put aside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

import orjson

from heapline.errors import HeaplineError, InvalidEvent, KafkaUnavailable, NotReady
from heapline.events.refusals import Refusal, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heapline.events.delivery import DeliveryReport
    from heapline.words import EventId

LONGEST_LINE_BYTES: Final = 4 * 1024 * 1024
"""No longer line is held in memory; no record is a quarter of it."""
REJECTIONS_SHOWN: Final = 100
"""Rejections kept word for word; the rest is counted."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Publisher(Protocol):
    """What this needs of an `EventPublisher`."""

    def publish(
        self, payload: object, workspace: str | None, *, on_delivery: DeliveryReport
    ) -> EventId:
        """Queue one event."""
        ...

    def flush(self, seconds: float | None = None) -> None:
        """Wait for all acknowledgements."""
        ...


@dataclass(slots=True)
class Line:
    """One line as it stands in the stream.

    Attributes:
        number: from 1.
        start: its bytes with the line ending; only the first of them where `is_cut`.
        rest: gives what follows `start`; can be read once.
    """

    number: int
    start: bytes
    rest: Iterator[bytes]
    is_cut: bool = False

    def is_blank(self) -> bool:
        """Whether there is nothing but white space."""
        return not self.is_cut and not self.start.removeprefix(_BYTE_ORDER_MARK).strip()


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one line was put aside."""

    line: int
    reason: str
    message: str


@dataclass(slots=True)
class Report:
    """How far publishing has got.

    Attributes:
        last_line: the last line read.
        bytes_read: of the stream, so far; of a cut line only the start counts.
        accepted: events queued for Kafka.
        acknowledged: events the brokers hold.
        given_up: accepted events the brokers did not take.
        rejected: lines put aside, by reason.
        rejections: the first `REJECTIONS_SHOWN` of them.
        stopped: whether it was stopped before the end of the stream.
        failure: what ended it early, or lost events.
    """

    last_line: int = 0
    bytes_read: int = 0
    accepted: int = 0
    acknowledged: int = 0
    given_up: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejections: list[Rejection] = field(default_factory=list)
    stopped: bool = False
    failure: HeaplineError | None = None

    def reported(self, _: EventId, error: HeaplineError | None) -> None:
        """Count one delivery report."""
        if error is None:
            self.acknowledged += 1
        else:
            self.given_up += 1


def publish_lines(
    lines: Iterator[Line],
    publisher: Publisher,
    *,
    workspace: str | None,
    put_aside: Callable[[Line, InvalidEvent], None],
    is_stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Publish every line, wait for the brokers, and tell how it went.

    Args:
        publisher: an open `EventPublisher`; it is not closed.
        lines: from `read_lines`; a KeyboardInterrupt raised by it ends the stream gracefully.
        workspace: used where an event names none.
        put_aside: is given each line that is no event; must read `rest` if it wants the whole.
        is_stopped: asked before each line.
        progress: called after each line.
    """
    report = Report()
    try:
        for line in lines:
            _publish_line(line, publisher, workspace, put_aside, report)
            progress(report)
            if is_stopped():
                report.stopped = True
                break
    except KeyboardInterrupt:
        report.stopped = True
    except (KafkaUnavailable, NotReady) as error:
        report.failure = error
    except OSError as error:  # of the stream, or of where lines are put aside
        report.failure = HeaplineError(str(error))
    _finish(publisher, report)
    progress(report)
    return report


def read_lines(stream: BinaryIO, longest_bytes: int = LONGEST_LINE_BYTES) -> Iterator[Line]:
    """Give the lines of a stream, blank ones too, whatever their length."""
    number = 0
    while start := stream.readline(longest_bytes):
        number += 1
        is_cut = len(start) == longest_bytes and not start.endswith(b"\n")
        rest = _rest(stream, longest_bytes) if is_cut else iter(())
        yield Line(number, start, rest, is_cut)
        for _ in rest:
            """Whatever nobody wanted is passed over."""


def payload_of(line: Line) -> Mapping[str, Any]:
    """Read the JSON object on a line; a byte order mark is passed over.

    NaN, Infinity and halves of characters are accepted, though JSON has none: Python and
    JavaScript write them.

    Raises:
        InvalidEvent: `too_large`, `not_utf8`, `not_json` or `not_an_object`.
    """
    if line.is_cut:
        raise refuse(
            Refusal.TOO_LARGE, f"longer than {len(line.start)} bytes: leave out large properties"
        )
    payload = _parsed(line.start.removeprefix(_BYTE_ORDER_MARK))
    if not isinstance(payload, Mapping):
        raise refuse(
            Refusal.NOT_AN_OBJECT, f"a JSON {type(payload).__name__}: write one object a line"
        )
    return payload


def _publish_line(
    line: Line,
    publisher: Publisher,
    workspace: str | None,
    put_aside: Callable[[Line, InvalidEvent], None],
    report: Report,
) -> None:
    if not line.is_blank():
        try:
            publisher.publish(payload_of(line), workspace, on_delivery=report.reported)
            report.accepted += 1
        except InvalidEvent as error:
            put_aside(line, error)
            report.rejected[error.reason] += 1
            if len(report.rejections) < REJECTIONS_SHOWN:
                report.rejections.append(Rejection(line.number, error.reason, str(error)))
    report.last_line = line.number
    report.bytes_read += len(line.start)


def _finish(publisher: Publisher, report: Report) -> None:
    try:
        publisher.flush()
    except HeaplineError as error:
        report.failure = report.failure or error


def _rest(stream: BinaryIO, longest_bytes: int) -> Iterator[bytes]:
    while chunk := stream.readline(longest_bytes):
        yield chunk
        if chunk.endswith(b"\n"):
            return


def _parsed(text: bytes) -> Any:  # noqa: ANN401 -- any JSON
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    # orjson is strict and does not say what was wrong in our words.
    try:
        return json.loads(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise refuse(
            Refusal.NOT_UTF8, f"byte {error.start + 1} is not UTF-8: save the file as UTF-8"
        ) from error
    except RecursionError as error:
        raise refuse(Refusal.NOT_JSON, "nested too deeply to be read") from error
    except ValueError as error:
        raise refuse(Refusal.NOT_JSON, f"not JSON: {error}") from error
