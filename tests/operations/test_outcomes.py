from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.errors import MustStop
from heapline.kafka.topics import OUTCOME_COUNTS
from operations.outcomes import OutcomeCount, Totals, counts_in, read_outcomes, read_totals
from tests.on_kafka import (
    encoder_for,
    make_topics,
    settings_for,
    transaction_producer,
    write,
)

if TYPE_CHECKING:
    from devstack.world import World

MINUTE = 1_700_000_040_000


def count(
    number: int,
    *,
    event: str = "nudge_shown",
    outcome: str = "delivered",
    reason: str | None = None,
    minute: int = MINUTE,
) -> dict[str, Any]:
    """Make one entry of a record."""
    return {
        "source": "events",
        "event": event,
        "outcome": outcome,
        "reason": reason,
        "minute": minute,
        "count": number,
    }


def test_totals_add_up_by_any_dimension() -> None:
    """Sums hold for the whole, for a part, and split by any dimension."""
    record = {
        "workspace": "acme",
        "counts": [
            count(3),
            count(2, event="click"),
            count(4, outcome="skipped", reason="send_off"),
            count(1, outcome="skipped", reason="preview"),
        ],
    }
    totals = Totals(itertools.chain(counts_in(record), counts_in({**record, "workspace": "b"})))
    assert totals.sum() == 20
    assert totals.sum(workspace="acme", outcome="delivered") == 5
    assert totals.by("reason", workspace="acme", outcome="skipped") == {
        ("preview",): 1,
        ("send_off",): 4,
    }
    assert totals.by("workspace", "outcome") == {
        ("acme", "delivered"): 5,
        ("acme", "skipped"): 5,
        ("b", "delivered"): 5,
        ("b", "skipped"): 5,
    }


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            OutcomeCount,
            workspace=st.sampled_from("ab"),
            source=st.sampled_from(["events", "deferred"]),
            event=st.sampled_from("xy"),
            outcome=st.sampled_from(["delivered", "skipped"]),
            reason=st.sampled_from(["", "off"]),
            minute_ms=st.integers(0, 3).map(lambda n: n * 60_000),
            count=st.integers(1, 9),
        )
    ),
    st.randoms(use_true_random=False),
)
def test_order_of_counts_does_not_matter(counts: list[OutcomeCount], random: Any) -> None:  # noqa: ANN401 -- hypothesis' random
    """Checkpoints of several forwarders come in any order; every split adds up to the whole."""
    shuffled = random.sample(counts, len(counts))
    totals, others = Totals(counts), Totals(shuffled)
    assert totals.by("workspace", "event") == others.by("workspace", "event")
    whole = sum(each.count for each in counts)
    assert totals.sum() == sum(totals.by("source", "outcome", "reason").values()) == whole


def test_minutes_that_ended_before_are_left_out() -> None:
    """The minute that holds the time asked for still counts."""
    record = {"workspace": "a", "counts": [count(1), count(2, minute=MINUTE + 60_000)]}
    assert sum(each.count for each in counts_in(record, MINUTE + 59_999)) == 3
    assert sum(each.count for each in counts_in(record, MINUTE + 60_000)) == 2


def test_only_what_is_committed_is_read(world: World, prefix: str) -> None:
    """Counts of an aborted checkpoint never happened."""
    settings = settings_for(world, prefix)
    names = make_topics(settings)
    encoder = encoder_for(settings, names, OUTCOME_COUNTS)
    producer = transaction_producer(settings)
    for number, commit in ((5, True), (100, False), (7, True)):
        producer.begin_transaction()
        for workspace in ("acme", "globex"):
            value = encoder.encode({"workspace": workspace, "counts": [count(number)]})
            producer.produce(names.topic(OUTCOME_COUNTS), value, workspace)
        producer.flush(10)
        (producer.commit_transaction if commit else producer.abort_transaction)(10)
    totals = read_totals(settings, names)
    assert totals.by("workspace") == {("acme",): 12, ("globex",): 12}
    assert totals.by("reason") == {("",): 24}


def test_reading_since_a_time_skips_older_records(world: World, prefix: str) -> None:
    """A later start reads less, and still holds whole minutes."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, 1)
    encoder = encoder_for(settings, names, OUTCOME_COUNTS)
    records = []
    for number in range(4):
        minute = MINUTE + number * 60_000
        value = encoder.encode({"workspace": "a", "counts": [count(10**number, minute=minute)]})
        records.append({"value": value, "timestamp": minute + 30_000})
    write(settings, names.topic(OUTCOME_COUNTS), records)
    found = list(read_outcomes(settings, names, since_ms=MINUTE + 2 * 60_000 + 45_000))
    assert [each.count for each in found] == [100, 1000]


def test_a_foreign_record_is_no_silent_gap(world: World, prefix: str) -> None:
    """Sums are exact or refused: a record that is no count names its place."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, 1)
    write(settings, names.topic(OUTCOME_COUNTS), [{"value": b"hello"}])
    with pytest.raises(MustStop, match=r"outcome-counts/0/0 is not a record of counts"):
        read_totals(settings, names)
