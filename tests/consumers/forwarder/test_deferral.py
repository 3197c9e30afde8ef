"""When a record goes to the deferred topic, until when, and how long at most."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.deferral import (
    credible,
    deferred_again,
    is_past,
    not_before_ms,
    read_deferral,
)
from heapline.kafka.headers import Deferral, Origin
from heapline.outcomes import DeferReason, Source
from heapline.settings import ForwarderSettings
from tests.consumers.forwarder.samples import EPOCH_MS, deferral, record

SETTINGS = ForwarderSettings()


@given(backlog=st.integers(0, 10_000_000), limit=st.integers(1, 1_000_000))
def test_a_record_waits_for_its_backlog_a_minute_to_an_hour(backlog: int, limit: int) -> None:
    """Section 4: now + max(1 min, backlog / limit), at most 1 h."""
    wait_ms = not_before_ms(EPOCH_MS, backlog, limit, SETTINGS) - EPOCH_MS
    assert 60_000 <= wait_ms <= 3_600_000
    assert wait_ms == pytest.approx(min(3_600_000, max(60_000, 60_000 * backlog / limit)), abs=1)


def test_a_deferred_record_remembers_where_and_when_it_began() -> None:
    """Origin and first time stay, the count goes up, headers survive the topic."""
    first = record(offset=41)
    said = deferred_again(first, DeferReason.TOO_OLD, EPOCH_MS, EPOCH_MS + 60_000)
    assert (said.origin, said.deferrals) == (Origin("events", 0, 41), 1)
    assert said.first_deferred_at_ms == EPOCH_MS
    second = record(source=Source.DEFERRED)
    second.deferral = read_deferral("deferred", 0, 9, said.headers(), EPOCH_MS)
    assert second.deferral == said
    again = deferred_again(second, DeferReason.HOLD, EPOCH_MS + 99, EPOCH_MS + 60_099)
    assert again.origin == said.origin
    assert again.first_deferred_at_ms == EPOCH_MS
    assert (again.deferrals, again.source) == (2, Source.DEFERRED)


def test_a_replayed_record_stays_one() -> None:
    """Its counts are kept apart however often it is deferred."""
    replayed = record(source=Source.REPLAY)
    said = deferred_again(replayed, DeferReason.HOLD, EPOCH_MS, EPOCH_MS)
    assert said.source is Source.REPLAY


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("heapline-origin", b"nonsense")],
        [("heapline-origin", b"t/0/1"), ("heapline-first-deferred-at", b"soon")],
        [("heapline-origin", b"\xff\xfe")],
    ],
)
def test_headers_without_sense_make_a_record_due_now(headers: list[tuple[str, bytes]]) -> None:
    """A record must not be lost for its headers."""
    said = read_deferral("deferred", 3, 9, headers, EPOCH_MS)
    assert said == Deferral(Origin("deferred", 3, 9), Source.DEFERRED, EPOCH_MS, EPOCH_MS, 0)


def test_times_no_forwarder_wrote_are_bounded() -> None:
    """A record from a clock far ahead is neither kept for ever nor younger than new."""
    sane = deferral(EPOCH_MS - 5, EPOCH_MS + 3_600_000)
    assert credible(sane, EPOCH_MS, SETTINGS) == sane
    wild = replace(sane, first_deferred_at_ms=EPOCH_MS + 10**9, not_before_ms=EPOCH_MS + 10**12)
    tame = credible(wild, EPOCH_MS, SETTINGS)
    assert tame.first_deferred_at_ms == EPOCH_MS
    assert tame.not_before_ms == EPOCH_MS + 3_600_000


def test_an_age_is_reached_to_the_millisecond() -> None:
    """Exactly six days are six days."""
    six_days_ms = 6 * 86_400_000
    assert is_past(deferral(EPOCH_MS), EPOCH_MS + six_days_ms, 6 * 86_400)
    assert not is_past(deferral(EPOCH_MS), EPOCH_MS + six_days_ms - 1, 6 * 86_400)
