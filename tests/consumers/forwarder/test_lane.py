"""One lane: when it sends, what it makes of answers, when it pauses and what it gives up."""

from __future__ import annotations

import pytest

from consumers.forwarder.pause import Pause
from consumers.forwarder.verdict import Verdict
from heapline.http import Failure
from heapline.outcomes import DeferReason, Source
from heapline.settings import ForwarderSettings, LimitSettings
from tests.consumers.forwarder.samples import TriedLane, record, records

SETTINGS = ForwarderSettings()


# --- when it sends --------------------------------------------------------------------------------


def test_an_idle_lane_sends_at_once() -> None:
    """The linger is zero when nothing is in flight."""
    tried = TriedLane()
    tried.add(record())
    request = tried.plan(0.0)
    assert request is not None
    assert request.sent_at == 0.0


def test_a_busy_lane_lingers_to_fill_its_request() -> None:
    """Unless a full one is ready."""
    tried = TriedLane()
    tried.add(record())
    assert tried.plan(0.0) is not None
    tried.add(*records(999))
    assert tried.plan(0.05) is None
    assert tried.lane.next_look(0.05) == pytest.approx(0.15)
    tried.add(record("one-more"))
    full = tried.plan(0.06)
    assert full is not None
    assert len(full.records) == 1_000


def test_it_has_so_many_requests_in_flight_and_no_more() -> None:
    """One workspace must not take every connection."""
    tried = TriedLane()
    tried.add(*records(6_000))
    sent = [tried.plan(0.0) for _ in range(6)]
    assert [request is not None for request in sent] == [True] * 4 + [False] * 2


def test_a_request_is_cut_by_bytes() -> None:
    """Overhead, events and commas together stay below the bound."""
    tried = TriedLane(LimitSettings(request_bytes=10_000))
    tried.add(*records(20, body=b"x" * 1_000))
    request = tried.plan(0.0)
    assert request is not None
    assert len(request.records) == 9
    size = 30 + sum(len(r.body) for r in request.records) + len(request.records) - 1
    assert size <= 10_000


def test_a_lane_at_its_limit_sends_what_is_released() -> None:
    """A minute and the margin after the answer, to the moment."""
    tried = TriedLane(LimitSettings(events_per_minute_per_app=10))
    tried.add(*records(20))
    assert len(tried.exchange(0.0).delivered) == 10
    assert tried.plan(60.2) is None
    assert len(tried.exchange(60.25).delivered) == 10


def test_records_held_back_go_on_though_nobody_asked_for_a_while() -> None:
    """A budget that filled up while the lane was not asked releases nothing: it must be noticed."""
    tried = TriedLane(LimitSettings(events_per_minute_per_identity=1), started_at=0.0)
    tried.add(*records(1, "hot", source=Source.DEFERRED), *records(1, "cold"))
    assert tried.plan(1.0) is None, "a sixtieth of an event"
    assert len(tried.exchange(500.0).delivered) == 2


def test_it_says_when_to_look_again() -> None:
    """Nothing waits: never. Backing off: then. Paused: at the probe, and not while one is out."""
    tried = TriedLane()
    assert tried.lane.next_look(0.0) is None
    tried.add(record())
    tried.exchange(0.0, 503, retry_after=9.0)
    assert tried.lane.next_look(1.0) == 9.0
    tried.lane.pause_for(Pause.UNAVAILABLE, 1.0)
    assert tried.lane.next_look(1.0) == 31.0
    assert tried.plan(31.0) is not None
    tried.add(record())
    assert tried.lane.next_look(31.0) is None


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [None, 408, 425, 429, 500, 503])
def test_what_may_pass_is_tried_again_in_order(status: int | None) -> None:
    """The same records first, as many attempts counted, the first failure remembered."""
    tried = TriedLane()
    held = records(3)
    tried.add(*held)
    consequence = tried.exchange(0.0, status)
    assert (consequence.delivered, consequence.poison) == ([], [])
    assert {r.attempts for r in held} == {1}
    assert all(r.first_failure_ms for r in held)
    assert tried.lane.pause is None
    again = tried.plan(1.0)
    assert again is not None
    assert again.records == held


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_and_capped(status: int) -> None:
    """Heap's word counts, but not for ever; zero is no busy loop."""
    for said, waited in ((7.0, 7.0), (9_999.0, 300.0), (0.0, 0.05)):
        tried = TriedLane()
        tried.add(record())
        tried.exchange(0.0, status, retry_after=said)
        assert tried.plan(waited - 0.01) is None
        assert tried.plan(waited) is not None


def test_retry_after_outlasts_a_success_sent_before_it() -> None:
    """An older request's 200 says nothing about the newer 429."""
    tried = TriedLane()
    tried.add(*records(2_500))
    older, newer = tried.plan(0.0), tried.plan(0.0)
    assert older is not None
    assert newer is not None
    tried.answer(newer, 1.0, 429, retry_after=30.0)
    tried.answer(older, 1.1, 200)
    assert tried.plan(5.0) is None
    assert tried.plan(31.0) is not None


def test_a_change_of_the_connection_does_not_cancel_retry_after() -> None:
    """A person changed a filter; Heap still wants to be left alone."""
    tried = TriedLane()
    tried.add(record())
    tried.exchange(0.0, 429, retry_after=30.0)
    tried.lane.try_now(1.0)
    assert tried.plan(1.0) is None


def test_backoff_grows_with_each_round_and_not_with_each_request() -> None:
    """Four requests that fail together are one failure, and then one request finds out."""
    tried = TriedLane(seed=3)
    tried.add(*records(8_000))
    for request in [tried.plan(0.0) for _ in range(4)]:
        assert request is not None
        tried.answer(request, 0.0, 503)
    look = tried.lane.next_look(0.0)
    assert look is not None
    assert look <= 0.5
    assert tried.plan(0.5) is not None
    assert tried.plan(0.5) is None


def test_failing_for_half_a_minute_pauses() -> None:
    """5xx and lost connections do; a 429 never does, for then Heap is well."""
    for status, pause in ((503, Pause.UNAVAILABLE), (None, Pause.UNAVAILABLE), (429, None)):
        tried = TriedLane()
        tried.add(record())
        for second in range(0, 70, 10):
            if tried.lane.pause is None:
                tried.exchange(float(second), status, retry_after=1.0)
        assert tried.lane.pause is pause


def test_a_success_in_between_starts_the_half_minute_anew() -> None:
    """Only failing all the time is being unavailable."""
    tried = TriedLane()
    for second, status in ((0, 503), (20, 503), (25, 200), (40, 503), (60, 503)):
        tried.add(record())
        tried.exchange(float(second), status, retry_after=0.0)
    assert tried.lane.pause is None


def test_a_request_nobody_saw_costs_no_budget() -> None:
    """Connection refused: Heap cannot have counted it. Lost after sending: it may have."""
    for failure, room in ((Failure.NOT_SENT, 100), (Failure.AMBIGUOUS, 0)):
        tried = TriedLane(LimitSettings(events_per_minute_per_app=100))
        tried.add(*records(100))
        tried.exchange(0.0, None, failure=failure)
        assert tried.lane.budget.room(1.0) == room


def test_too_large_is_split_down_to_the_event_that_is() -> None:
    """Everything else is delivered."""
    tried = TriedLane()
    held = records(64)
    tried.add(*held)
    too_large, delivered, now = [], [], 0.0
    while request := tried.plan(now):
        status = 413 if held[17] in request.records or len(request.records) > 20 else 200
        consequence = tried.answer(request, now, status)
        too_large += [suspect.record for suspect in consequence.too_large]
        delivered += consequence.delivered
        now += 0.2
    assert too_large == [held[17]]
    assert set(delivered) == set(held) - {held[17]}
    assert tried.lane.idle


def test_an_answer_settles_nothing_for_records_handed_over() -> None:
    """Somebody else delivers them again, under the same keys."""
    tried = TriedLane()
    kept, gone = record("a"), record("b")
    tried.add(kept, gone)
    request = tried.plan(0.0)
    assert request is not None
    gone.dropped = True
    tried.lane.drop()
    assert tried.answer(request, 1.0).delivered == [kept]


# --- pausing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "pause"),
    [
        (401, Pause.UNAUTHORIZED),
        (403, Pause.UNAUTHORIZED),
        (404, Pause.UNAUTHORIZED),
        (302, Pause.MISCONFIGURED),
        (405, Pause.MISCONFIGURED),
    ],
)
def test_an_answer_no_retry_changes_pauses_and_keeps_the_events(status: int, pause: Pause) -> None:
    """They are deferred with the reason; nothing else is sent."""
    tried = TriedLane()
    held = records(5)
    tried.add(*held)
    consequence = tried.exchange(0.0, status)
    assert consequence.poison == []
    assert tried.lane.pause is pause
    assert tried.plan(1.0) is None
    assert tried.spill(1.0) == [(r, pause.defer_reason) for r in held]


def test_a_paused_lane_probes_with_one_event_and_backs_off() -> None:
    """30 s, 60 s, ... ten minutes at most."""
    tried = TriedLane()
    tried.add(*records(3))
    tried.exchange(0.0, 401)
    now, waits = 0.0, []
    for _ in range(7):
        tried.spill(now)
        tried.add(*records(3))
        probe_at = tried.lane.probe_at
        assert tried.plan(probe_at - 0.01) is None
        probe = tried.plan(probe_at)
        assert probe is not None
        assert len(probe.records) == 1
        assert tried.plan(probe_at) is None, "one probe at a time"
        waits.append(probe_at - now)
        now = probe_at
        tried.answer(probe, now, 401)
    assert waits == [30, 60, 120, 240, 480, 600, 600]


def test_a_probe_that_is_taken_opens_the_lane() -> None:
    """And the next pause starts with short waits again."""
    tried = TriedLane()
    tried.add(record())
    tried.exchange(0.0, 401)
    tried.lane.probe_at = 700.0
    tried.exchange(700.0, 200)
    assert tried.lane.open(700.0)
    tried.add(record())
    tried.exchange(701.0, 401)
    assert tried.lane.probe_at == 731.0


@pytest.mark.parametrize("status", [503, 429])
def test_a_probe_waits_for_retry_after(status: int) -> None:
    """Even where the next probe would come earlier."""
    tried = TriedLane()
    tried.add(record())
    tried.exchange(0.0, 401)
    tried.exchange(30.0, status, retry_after=250.0)
    assert tried.lane.probe_at == 280.0
    assert tried.lane.pause is Pause.UNAUTHORIZED


@pytest.mark.parametrize("status", [400, 413])
def test_an_answer_about_the_event_proves_the_app_is_known(status: int) -> None:
    """A lane paused for the app's sake goes on and finds out about the event."""
    tried = TriedLane()
    tried.add(*records(2))
    tried.exchange(0.0, 401)
    consequence = tried.exchange(30.0, status)
    assert tried.lane.pause is None
    assert len(consequence.poison) + len(consequence.too_large) == 1


def test_a_lane_paused_for_its_events_stays_so_on_a_400() -> None:
    """One more refused event is what was to be expected; it is not dead-lettered."""
    for why in (Pause.MISCONFIGURED, Pause.DEAD_LETTERS):
        tried = TriedLane()
        tried.add(record())
        tried.lane.pause_for(why, 0.0)
        assert tried.exchange(30.0, 400).poison == []
        assert tried.lane.pause is why
        assert tried.lane.probe_at == 90.0


def test_a_paused_lane_without_budget_gives_its_events_up_all_the_same() -> None:
    """They must not pin their partition until there is room for a probe."""
    tried = TriedLane(LimitSettings(events_per_minute_per_app=1))
    tried.add(record())
    tried.exchange(0.0, 200)
    tried.lane.pause_for(Pause.UNAUTHORIZED, 0.0)
    held = record()
    tried.add(held)
    assert tried.plan(30.0) is None
    assert [r for r, _ in tried.spill(30.0)] == [held]
    tried.add(record())
    assert tried.plan(62.0) is not None


# --- what it gives up -----------------------------------------------------------------------------


def test_records_are_deferred_at_half_a_minute() -> None:
    """Those of the events topic; deferred ones pin nothing."""
    tried = TriedLane()
    old, deferred = record(read_at=0.0), record(read_at=0.0, source=Source.DEFERRED)
    tried.add(deferred, old)
    tried.exchange(0.0, 503, retry_after=300.0)
    assert tried.spill(30.0) == []
    assert tried.spill(30.1) == [(old, DeferReason.TOO_OLD)]
    assert list(tried.lane.waiting.line) == [deferred]


def test_beyond_the_backlog_the_newest_are_deferred() -> None:
    """The bound is a setting."""
    tried = TriedLane(settings=ForwarderSettings(lane_backlog_events=3))
    held = records(5)
    tried.add(*held)
    assert tried.spill(0.0) == [
        (held[4], DeferReason.OVER_LIMIT),
        (held[3], DeferReason.OVER_LIMIT),
    ]


def test_pausing_ends_an_examination_and_keeps_its_suspects() -> None:
    """An event found refused is not dead-lettered once the app itself is refused."""
    tried = TriedLane()
    held = records(4)
    tried.add(*held)
    tried.exchange(0.0, 400)
    tried.exchange(0.2, 400)
    tried.exchange(0.4, 400)  # the first alone
    tried.exchange(0.6, 401)
    assert {r for r, _ in tried.spill(0.6)} == set(held)
    assert tried.lane.idle


def test_an_answer_after_the_examination_ended_starts_a_new_one() -> None:
    """A half in flight while the lane was paused is judged by itself."""
    tried = TriedLane()
    held = records(4)
    tried.add(*held)
    tried.exchange(0.0, 400)
    left, right = tried.plan(0.2), tried.plan(0.2)
    assert left is not None
    assert right is not None
    tried.answer(left, 0.3, 401)
    tried.spill(0.3)
    assert tried.answer(right, 0.4, 400).verdict is Verdict.BISECT
    assert tried.exchange(0.6, 400).poison == [], "the other one of its half decides with it"
    consequence = tried.exchange(0.8, 200)
    assert [suspect.record for suspect in consequence.poison] == [held[2]]
    assert consequence.delivered == [held[3]]


def test_a_half_that_waits_for_its_identity_lets_the_others_pass() -> None:
    """Its budget went to a request that failed on the way; that takes a minute to come back."""
    tried = TriedLane(LimitSettings(events_per_minute_per_identity=2))
    tried.add(*records(2, "hot"))
    tried.exchange(0.0, 400)
    tried.exchange(0.2, 503, retry_after=0.0)
    tried.exchange(0.4, 503, retry_after=0.0)
    others = records(5)
    tried.add(*others)
    passing = tried.plan(0.6)
    assert passing is not None
    assert passing.records == others
