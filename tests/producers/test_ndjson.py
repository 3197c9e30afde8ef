"""Streams of events: every line accounted for."""

from __future__ import annotations

import io
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.errors import HeaplineError, InvalidEvent, KafkaUnavailable
from heapline.events import EventPublisher, NotAcknowledged, Patience
from heapline.events.outbox import Outbox
from producers.ndjson import (
    REJECTIONS_SHOWN,
    Line,
    Report,
    payload_of,
    publish_lines,
    read_lines,
)
from tests.fakes.record_producer import FakeEventSchema, FakeRecordProducer

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = b'{"name":"opened","user_id":"u","timestamp":1772357400125}'


class Played:
    """Publishes a stream to a played Kafka, and keeps what was put aside."""

    def __init__(self) -> None:
        self.kafka = FakeRecordProducer()
        self.aside: list[bytes] = []
        patience = Patience(queue_seconds=0.05, flush_seconds=0.05)
        outbox = Outbox(self.kafka, FakeEventSchema(), patience=patience)
        self.publisher = EventPublisher(outbox=outbox)

    def put_aside(self, line: Line, _: InvalidEvent) -> None:
        """Keep the whole line."""
        self.aside.append(line.start + b"".join(line.rest))

    def run(self, stream: bytes | Iterator[Line], **more: Any) -> Report:  # noqa: ANN401 -- passed on
        """Publish a stream for the workspace acme."""
        lines = read_lines(io.BytesIO(stream)) if isinstance(stream, bytes) else stream
        return publish_lines(
            lines, self.publisher, workspace="acme", put_aside=self.put_aside, **more
        )


def test_good_lines_are_published() -> None:
    """With any line ending, blank lines between them, a byte order mark, and no ending at last."""
    played = Played()
    report = played.run(b"\xef\xbb\xbf" + GOOD + b"\r\n\n   \n\xef\xbb\xbf\n" + GOOD + b"\n" + GOOD)
    assert (report.accepted, report.acknowledged, report.rejected.total()) == (3, 3, 0)
    assert (report.last_line, report.stopped, report.failure) == (6, False, None)
    assert len(played.kafka.acknowledged) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "not_json"),
        (b'{"name":"x"', "not_json"),
        (b"{'name':'x'}", "not_json"),
        (b'{"n":' + b"9" * 5000 + b"}", "not_json"),
        (b'{"name":"\xff\xfe"}', "not_utf8"),
        (GOOD.decode().encode("utf-16"), "not_utf8"),
        (b"[" * 200_000, "not_json"),
        (b"[]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"NaN", "not_an_object"),
        (b"{}", "name_missing"),
        (b'{"name":"x","timestamp":"soon"}', "invalid_timestamp"),
        (b'{"name":"x","data":{"t":"' + b"x" * 1_100_000 + b'"}}', "too_large"),
        (b'{"name":"x","data":{"t":"' + b"x" * 5_000_000 + b'"}}', "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:12],
)
def test_bad_lines_are_put_aside(line: bytes, reason: str) -> None:
    """By number and reason, byte for byte, and the lines around them are published."""
    played = Played()
    report = played.run(GOOD + b"\n" + line + b"\r\n" + GOOD + b"\n")
    assert dict(report.rejected) == {reason: 1}
    assert [(each.line, each.reason) for each in report.rejections] == [(2, reason)]
    assert played.aside == [line + b"\r\n"]
    assert report.acknowledged == 2


@pytest.mark.parametrize(
    ("line", "properties"),
    [
        (b'{"name":"x","data":{"a":NaN,"b":-Infinity}}', {"a": "NaN", "b": "-Infinity"}),
        (b'{"name":"x","data":{"a":1e400}}', {"a": "Infinity"}),
        (b'{"name":"x","data":{"a":"\\ud800"}}', {"a": "\ud800"}),
        (b'{"name":"x","data":{"a":1},"data":{"a":2}}', {"a": 2}),
    ],
)
def test_odd_json_is_read(line: bytes, properties: dict[str, Any]) -> None:
    """What Python and JavaScript write beyond JSON is understood."""
    payload = payload_of(Line(1, line, iter(())))
    assert json.dumps(payload["data"]) in {
        json.dumps(properties),
        '{"a": NaN, "b": -Infinity}',
        '{"a": Infinity}',
    }
    assert Played().run(line).acknowledged == 1


@given(st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"")), max_size=8))
def test_lines_of_any_bytes(raw: list[bytes]) -> None:
    """Joined again, the lines are the stream; cut lines are told by their start."""
    stream = b"\n".join(raw)
    lines, joined = [], b""
    for line in read_lines(io.BytesIO(stream), longest_bytes=10):
        whole = line.start + b"".join(line.rest)
        assert line.is_cut == (len(whole) > 10 or (len(whole) == 10 and whole[-1:] != b"\n"))
        lines.append(whole)
        joined += whole
    assert joined == stream
    assert [line.removesuffix(b"\n") for line in lines] == stream.removesuffix(b"\n").split(b"\n")[
        : len(lines)
    ]


def test_a_cut_line_nobody_reads_to_its_end() -> None:
    """The next line is the next line all the same."""
    lines = read_lines(io.BytesIO(b"x" * 95 + b"\nshort\n"), longest_bytes=10)
    assert [(line.number, line.start) for line in lines] == [(1, b"x" * 10), (2, b"short\n")]


@given(st.lists(st.sampled_from([GOOD, b"", b"bad", b"{}", b"[]", b"\xff"]), max_size=30))
def test_every_line_is_accounted_for(lines: list[bytes]) -> None:
    """Lines = blank + published + put aside, whatever their order."""
    played = Played()
    report = played.run(b"".join(line + b"\n" for line in lines))
    assert report.last_line == len(lines)
    assert report.acknowledged == lines.count(GOOD) == len(played.kafka.acknowledged)
    bad = [line for line in lines if line not in {GOOD, b""}]
    assert [line.rstrip(b"\n") for line in played.aside] == bad
    assert report.rejected.total() == len(bad)


def test_rejections_are_bounded() -> None:
    """A file full of nonsense does not fill the memory with complaints."""
    report = Played().run(b"bad\n" * 1000)
    assert report.rejected.total() == 1000
    assert len(report.rejections) == REJECTIONS_SHOWN


def test_stopping_between_lines() -> None:
    """What was accepted is flushed, and the last line is known."""
    played = Played()
    answers = iter([False, False, True])
    report = played.run(b"".join([GOOD + b"\n"] * 10), is_stopped=lambda: next(answers))
    assert (report.stopped, report.last_line, report.acknowledged) == (True, 3, 3)


def test_stopping_while_waiting_for_a_line() -> None:
    """Ctrl-C at the keyboard of a terminal or an idle pipe ends the stream as well."""

    def interrupted() -> Iterator[Line]:
        yield from itertools.islice(read_lines(io.BytesIO((GOOD + b"\n") * 9)), 2)
        raise KeyboardInterrupt

    report = Played().run(interrupted())
    assert (report.stopped, report.last_line, report.acknowledged) == (True, 2, 2)


def test_a_queue_that_stays_full_ends_it() -> None:
    """The failure is told, with what was published before it."""
    played = Played()
    played.kafka.capacity, played.kafka.brokers_answer = 2, False
    report = played.run((GOOD + b"\n") * 5)
    assert isinstance(report.failure, KafkaUnavailable)
    assert (report.accepted, report.acknowledged, report.last_line) == (2, 0, 2)


def test_events_the_brokers_do_not_take() -> None:
    """They are counted as given up, and the run has failed."""
    played = Played()
    lost: list[HeaplineError | None] = [None, KafkaUnavailable("timed out"), None]
    played.kafka.failures.extend(lost)
    report = played.run((GOOD + b"\n") * 3)
    assert isinstance(report.failure, NotAcknowledged)
    assert (report.acknowledged, report.given_up) == (2, 1)


def test_a_disk_that_is_full() -> None:
    """What was accepted before is flushed, and the failure is told."""
    played = Played()

    def full(_: Line, __: InvalidEvent) -> None:
        raise OSError(28, "No space left on device")

    lines = read_lines(io.BytesIO(GOOD + b"\nbad\n" + GOOD))
    report = publish_lines(lines, played.publisher, workspace="acme", put_aside=full)
    assert "No space left" in str(report.failure)
    assert (report.last_line, report.acknowledged) == (1, 1)


def test_progress() -> None:
    """It is told line by line, up to all bytes."""
    seen: list[int] = []
    stream = (GOOD + b"\n") * 3
    Played().run(stream, progress=lambda report: seen.append(report.bytes_read))
    assert seen == [58, 116, 174, 174]
    assert seen[-1] == len(stream)
