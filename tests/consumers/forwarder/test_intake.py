"""Both ways in decide alike: many records at once, and each on its own."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.forwarder.checkpoint import Checkpoint, collect
from consumers.forwarder.columns import Columns
from consumers.forwarder.dispatcher import Dispatcher
from consumers.forwarder.intake import Intake
from consumers.forwarder.mapping import request_body
from consumers.forwarder.offsets import OffsetTracker
from consumers.forwarder.record import Partition, Record
from heapline.erasures import EraseKey, Erasure, Erasures
from heapline.errors import MustStop
from heapline.events.model import Event
from heapline.heap.connection import BlockedCategory, Connection, Region, Send
from heapline.heap.track import TrackAnswer
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.schemas import schema_text
from heapline.outcomes import Outcome, SkipReason
from heapline.settings import ForwarderSettings, LimitSettings
from heapline.words import AppId, EventId, UserId, Workspace
from tests.consumers.forwarder.samples import at
from tests.fakes.connections import FakeConnections
from tests.fakes.schema_source import FakeSchemas

if TYPE_CHECKING:
    from consumers.forwarder.request import Request

EVENTS_0 = Partition("events", 0)
_ENCODER = Encoder("CommandAIEvent", 7)
_OTHER = json.loads(schema_text("CommandAIEvent"))
_OTHER["fields"] = [f for f in _OTHER["fields"] if f["name"] != "is_preview"]
_SCHEMAS = FakeSchemas({7: schema_text("CommandAIEvent"), 8: json.dumps(_OTHER)})


def connect(workspace: str, **more: Any) -> Connection:  # noqa: ANN401 -- any field
    """Connect a workspace to an app of its own."""
    made = Connection(Workspace(workspace), 1, 0, AppId(f"app-{workspace}"), Region.US, Send.ON)
    return replace(made, **more)


CONNECTIONS = (
    connect("acme"),
    connect("plain"),
    connect("anonymous", send_anonymous=True),
    connect("filters", include=("nudge_*", "cb:decide"), exclude=("*_shown",)),
    connect("blocked", blocked_categories=frozenset({BlockedCategory.URLS})),
    connect("holds", send=Send.HOLD),
    connect("off", send=Send.OFF),
    connect("hälsa"),
)
_KEY = EraseKey(b"key")
WORKSPACES = [*(connection.workspace for connection in CONNECTIONS), "stranger", ""]
Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


class Side:
    """A dispatcher, fed one way or the other."""

    def __init__(self, limits: LimitSettings | None = None) -> None:
        self.decoder = Decoder("CommandAIEvent", _SCHEMAS)
        for schema_id in (7, 8):
            self.decoder.learn(schema_id)
        self.connections = FakeConnections(*CONNECTIONS)
        self.dispatcher = Dispatcher(
            limits or LimitSettings(),
            ForwarderSettings(),
            self.decoder,
            self.connections.table,
            random.Random(1),
            Erasures(
                _KEY, [Erasure(Workspace("anonymous"), _KEY.mac("anonymous", "u1"), _KEY.id, 1)]
            ),
        )
        self.dispatcher.assign(EVENTS_0, OffsetTracker(0, -1_000.0))
        self.sent: list[tuple[str, bytes]] = []
        self.exact = 0
        self._intake = Intake(self.dispatcher, self.decoder)
        self._next_offset = 0

    def columns(self, rows: list[Row], seconds: float = 0.0) -> Columns:
        """Put records into columns; their offsets have holes."""
        first, self._next_offset = self._next_offset, self._next_offset + len(rows) * 3
        return Columns(
            [EVENTS_0],
            np.zeros(len(rows), np.int64),
            first + np.arange(len(rows)) * 3,
            [key for key, _, _ in rows],
            [value for _, value, _ in rows],
            [list[Any](headers) for _, _, headers in rows],
            seconds,
        )

    def feed(self, rows: list[Row], *, at_once: bool, seconds: float = 0.0) -> None:
        """Take records, all at once or one by one."""
        columns, now = self.columns(rows, seconds), at(seconds)
        if at_once:
            self._intake.take(columns, now, self._accept_exact)
        else:
            for record in [columns.record(row) for row in range(len(rows))]:
                self.dispatcher.take_note(record)
                self.dispatcher.accept(record, now)

    def _accept_exact(self, record: Record) -> None:
        self.exact += 1
        self.dispatcher.accept(record, at(record.read_at))

    def carry(self, status: int = 200) -> Checkpoint:
        """Send what is to be sent, answered so, and give the checkpoint."""
        for turn in range(50):
            now = at(0.2 * turn)
            for request in list(self.dispatcher.plan(now)):
                app = request.lane.app_id
                self.sent.append((app, request_body(app, request.bodies())))
                self.dispatcher.answered(request, TrackAnswer(status), now)
        return collect(self.dispatcher.trackers, 1_000_000) or Checkpoint()

    def events(self) -> list[tuple[str, bytes]]:
        """Give every event sent, written as it was."""
        return sorted(
            (app, orjson.dumps(event))
            for app, body in self.sent
            for event in orjson.loads(body)["events"]
        )


def outcome(rows: list[Row], *, at_once: bool, status: int = 200) -> Any:  # noqa: ANN401 -- to be compared
    """Tell everything that can be seen from outside of what becomes of records."""
    side = Side()
    try:
        side.feed(rows, at_once=at_once)
    except MustStop as error:
        return str(error)
    checkpoint = side.carry(status)
    letters = [
        (record.offset, record.letter, record.next_deferral, record.value)
        for record in checkpoint.records()
        if record.letter or record.next_deferral
    ]
    offsets = [settled.offset for settled in checkpoint.partitions.values()]
    side.dispatcher.settling.let_go(checkpoint)
    side.dispatcher.stop_sending([EVENTS_0])
    side.dispatcher.release([EVENTS_0])
    assert side.dispatcher.settling.held_bytes == 0
    return checkpoint.counts(), letters, offsets, side.sent


names = st.sampled_from(
    [
        "nudge_clicked",
        "nudge_shown",
        "cb:decide",
        "cb:identify",
        "Nudge Shown",
        "é",
        " x",
        "",
        'a"b',
    ]
) | st.text(max_size=3)
ids = st.sampled_from(
    ["u1", "u2", "null", " undefined ", "", "a b", 'q"', "back\\slash", "\x7f", "ü", "x" * 256]
) | st.text(max_size=2)
_scalars = (
    st.sampled_from(
        [
            *(True, False, None, 0, -0.0, 1, -1, 2**53, 2**53 + 1, 10**15, 10**30, 0.1, 0.0001),
            *(1e-5, 1e-7, 1e15, 1e16, 1e22, 123456.789, 0.1234567890123456, 1.5e300),
            *("x", ":true,", "a,", "}", "{", '"', "\\", "\n", "\x1f", "\u2028", "é", "http://x"),
            *("y" * 511, "y" * 512, "y" * 1023, "y" * 1024, "é" * 600, "\U0001f600" * 520),
        ]
    )
    | st.floats()
    | st.integers()
    | st.text(max_size=4)
)
_values = _scalars | st.lists(_scalars, max_size=2) | st.dictionaries(st.text(max_size=2), _scalars)
_keys = st.sampled_from(
    ["a", "b", "a.b", "a:b", ":", ",", "", "true", "end_user_properties", "é", 'k"', "k" * 1100]
) | st.text(max_size=3)
_objects = st.dictionaries(_keys, _values, max_size=4)
_texts = st.one_of(
    _objects.map(lambda d: json.dumps(d, ensure_ascii=False, separators=(",", ":"))).filter(
        lambda text: not any("\ud800" <= c <= "\udfff" for c in text)
    ),
    _objects.map(json.dumps),
    st.lists(st.tuples(_keys, _scalars), max_size=4).map(
        lambda members: "{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in members) + "}"
    ),
    st.sampled_from(
        [
            *("", " ", "{}", "[]", "null", "{", '{"a":NaN}', '{"a":01}', '{"a":1.0}', '{"a":1.00}'),
            *('{"a":-0}', '{"a":1E5}', '{"a":"\\u00e9"}', '{"a":"\\/"}', '{"a":"\\ud800"}'),
            *('{"a":1,"a":2}', '{"a":{"b":1},"a.b":2}', '{"a":"x"},"identity":"evil","b":{"c":1}'),
            *('{"a":null,"b":true}', '{"a":true,"b":null,"c":null}', '{"a":":null,","b":null}'),
            *('{"a":"b"}}', '{"a" :1}', '{"a":1,}', '{"a":"\t"}', '{"a":tru}', '{"a":true}\n'),
        ]
    ),
)
users = st.sampled_from(["u1", "u1", "u2", "u3"]).map(UserId)
times = st.sampled_from([1_750_000_000_000, 0, -1, 4_102_444_800_001, 2**62, -(2**63), 2**63 - 1])


@st.composite
def rows_of(draw: st.DrawFn) -> Row:
    """Make one record, likely to be plain, with anything odd about it now and then."""
    odd = draw(st.integers(0, 11))
    text = {} if odd else {"properties": draw(_texts)}
    workspace = draw(st.sampled_from(WORKSPACES)) if odd == 1 else "acme"
    event = Event(
        EventId(draw(ids) if odd == 2 else f"e-{draw(st.integers(0, 99_999))}"),
        Workspace(workspace),
        draw(names) if odd in (1, 3) else "nudge_clicked",
        draw(st.none() | ids.map(UserId)) if odd in (1, 4) else draw(users),
        draw(times) if odd == 5 else 1_750_000_000_123,
        0,
        anonymous_id=draw(st.none() | ids) if odd in (1, 4) else None,
        is_admin=odd == 6 and draw(st.booleans()),
        is_simulated=odd == 6 and draw(st.booleans()),
        is_preview=odd == 6 and draw(st.booleans()),
        scrubbers=("urls", "é" * 40) if odd == 7 and draw(st.booleans()) else (),
        **text,
    )
    event = replace(event, properties=draw(_texts)) if odd in (0, 1, 10, 11) else event
    value: bytes | None = _ENCODER.encode(event.to_record())
    if odd == 8:
        value = draw(st.sampled_from(_corrupt(value or b"")))
    key: bytes | None = workspace.encode()
    if odd == 9:
        key = draw(st.sampled_from([None, b"", b"other", b"\xff", b"acme"]))
    headers = [("h", b"1")] if odd == 7 and draw(st.booleans()) else []
    return key, value, headers


def _corrupt(value: bytes) -> list[bytes | None]:
    shown = value.index(b"nudge") if b"nudge" in value else 10
    return [
        *(
            None,
            b"",
            value[:3],
            value[:20],
            value + b"more",
            value + value,
            value[:5] + b"\xff" * 9,
        ),
        b"\x01" + value[1:],
        value[:shown] + b"\xff" + value[shown + 1 :],
        value[:5] + bytes([value[5] | 0x80, 0]) + value[6:],
        value.replace(b"\x02\x04u1", b"\x04\x04u1"),
        value.replace(b"\x02\x04u1", b"\x01\x04u1"),
        b"\x00\x00\x00\x00\x08" + value[5:],
    ]


@given(st.lists(rows_of(), min_size=1, max_size=12))
@settings(max_examples=80, deadline=None)
def test_both_ways_decide_alike(rows: list[Row]) -> None:
    """Requests, outcomes, dead letters, deferrals and offsets; no memory stays reckoned."""
    assert outcome(rows, at_once=True) == outcome(rows, at_once=False)


@given(st.lists(rows_of(), min_size=1, max_size=12), st.sampled_from([400, 401, 413, 429, 503]))
@settings(max_examples=30, deadline=None)
def test_both_ways_bear_refusals_alike(rows: list[Row], status: int) -> None:
    """Rows Heap does not take become records, and are bisected, deferred and retried as such."""
    assert outcome(rows, at_once=True, status=status) == outcome(rows, at_once=False, status=status)


@dataclass(frozen=True)
class Turn:
    """One turn of the loop: answers come, records are read, requests go out."""

    rows: list[Row]
    statuses: list[int]
    seconds: float


turns = st.builds(
    Turn,
    st.lists(rows_of(), max_size=8),
    st.lists(st.sampled_from([200, 200, 200, 200, 400, 413, 429, 503, 401]), max_size=3),
    st.sampled_from([0.01, 0.3, 3.0, 40.0]),
)


def requests(history: list[Turn], limits: LimitSettings, *, at_once: bool) -> Any:  # noqa: ANN401 -- to be compared
    """Give every request of a history, the answers to each being as the turns say."""
    side, seconds = Side(limits), 0.0
    open_requests: list[Request] = []
    try:
        for turn in history:
            seconds += turn.seconds
            for status in turn.statuses[: len(open_requests)]:
                answered = open_requests.pop(0)
                side.dispatcher.answered(answered, TrackAnswer(status), at(seconds))
            if turn.rows:
                side.feed(turn.rows, at_once=at_once, seconds=seconds)
            for request in list(side.dispatcher.plan(at(seconds))):
                side.sent.append((request.lane.app_id, b",".join(request.bodies())))
                open_requests.append(request)
    except MustStop as error:
        return str(error)
    tracker = side.dispatcher.trackers[EVENTS_0]
    return side.sent, tracker.next_offset(), side.dispatcher.settling.read


@given(st.lists(turns, min_size=2, max_size=8))
@settings(max_examples=80, deadline=None)
def test_both_ways_send_the_same_requests_whatever_happens(history: list[Turn]) -> None:
    """Small requests, refusals and pauses in between: each request is the same, byte for byte."""
    limits = LimitSettings(events_per_request=3)
    both = (requests(history, limits, at_once=way) for way in (True, False))
    assert next(both) == next(both)


@given(st.lists(turns, min_size=2, max_size=6), st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_both_ways_keep_an_identity_to_its_limit_alike(history: list[Turn], limit: int) -> None:
    """Whoever has no room is held back, and who goes along in its place is the same."""
    limits = LimitSettings(events_per_request=5, events_per_minute_per_identity=limit)
    both = (requests(history, limits, at_once=way) for way in (True, False))
    assert next(both) == next(both)


def plain_rows(events: int, *workspaces: str) -> list[Row]:
    """Make records as nearly all are."""
    made: list[Row] = []
    for number in range(events):
        workspace = workspaces[number % len(workspaces)]
        event = Event(
            EventId(f"e-{number}"),
            Workspace(workspace),
            "nudge_clicked",
            UserId(f"user-{number % 7}"),
            1_750_000_000_000 + number,
            0,
            properties='{"type":"nudge","on":true,"none":null,"rank":0.25,"n":3}',
        )
        made.append((workspace.encode(), _ENCODER.encode(event.to_record()), _NO_HEADERS))
    return made


_NO_HEADERS: list[tuple[str, bytes]] = []


def test_plain_events_are_never_records() -> None:
    """Not one object each from the topic to the checkpoint, and the requests are byte for byte."""
    rows = plain_rows(300, "acme", "plain")
    columns, records = Side(), Side()
    columns.feed(rows, at_once=True)
    records.feed(rows, at_once=False)
    settled = columns.carry()
    records.carry()
    assert columns.exact == 0
    assert columns.sent == records.sent
    assert not list(settled.records())
    assert settled.rows() == len(settled) == 300
    assert columns.dispatcher.trackers[EVENTS_0].next_offset() == 299 * 3 + 1


def test_a_connection_that_changes_decides_what_is_read_from_then_on() -> None:
    """What its desk said of a name before is forgotten with it."""
    side = Side()
    side.feed(plain_rows(60, "acme"), at_once=True)
    side.connections.put(connect("acme", exclude=("nudge_*",)))
    side.carry()
    side.dispatcher.connections_changed(side.connections.poll(), at(20.0))
    side.feed(plain_rows(60, "acme"), at_once=True)
    outcomes = side.carry().counts()
    assert {(kind.outcome, kind.reason): count for kind, count in outcomes.items()} == {
        (Outcome.SKIPPED, SkipReason.FILTERED): 60
    }


@pytest.mark.parametrize("place", [0, 7, 59])
def test_a_bad_record_costs_its_neighbours_nothing(place: int) -> None:
    """Whatever is wrong with it, it alone takes the exact path."""
    rows = plain_rows(60, "acme")
    _, value, _ = rows[place]
    for bad in (value + value, value[:5] + bytes([value[5] | 0x80, 0]) + value[6:]):  # type: ignore[operator,index]
        rows[place] = (b"acme", bad, _NO_HEADERS)
        side = Side()
        side.feed(rows, at_once=True)
        assert side.exact == 1
        assert side.carry().rows() == 59


def test_an_identity_at_its_limit_is_held_back_alone() -> None:
    """The hashes of rows count toward the limit of an identity, and records likewise."""
    rows = plain_rows(3_000, "acme")
    greedy = [row for number, row in enumerate(rows) if number % 7 == 0]
    side = Side()
    side.feed(greedy * 3, at_once=True)
    side.carry()
    assert len(side.events()) == 1_000


def test_partitions_handed_over_take_their_rows_along() -> None:
    """Neither waiting rows nor those in flight are settled here any more; memory is given back."""
    side = Side()
    side.feed(plain_rows(1_500, "acme"), at_once=True)
    (request, *_) = list(side.dispatcher.plan(at(0)))
    assert side.dispatcher.sending_for([EVENTS_0])
    side.dispatcher.stop_sending([EVENTS_0])
    side.dispatcher.release([EVENTS_0])
    consequence = side.dispatcher.answered(request, TrackAnswer(200), at(1))
    assert not consequence.rows
    assert side.dispatcher.settling.held_bytes == 0
    assert not list(side.dispatcher.plan(at(2)))
