"""When reading goes on, and when what is kept may lack that somebody left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consumers.materializer.starting import BuildAnew, GoOn, Kept, Log, There, decide_start

DAY_MS = 86_400_000
NOW_MS = 1_790_000_000_000
MEMBERS, SEGMENTS, COUNTS = ("members", 0), ("segments", 0), ("counts", 0)
THERE = There(
    cluster_id="one",
    topic_ids={"members": "m1", "segments": "s1", "counts": "c1"},
    logs={MEMBERS: Log(0, 100), SEGMENTS: Log(0, 10), COUNTS: Log(50, 60)},
    compacted={"members", "segments"},
    tombstones_kept_ms=7 * DAY_MS,
)
KEPT = Kept(
    cluster_id="one",
    topic_ids=dict(THERE.topic_ids),
    positions={MEMBERS: 40, SEGMENTS: 4, COUNTS: 55},
    applied_at_ms=NOW_MS - 1_000,
)


def test_an_empty_store_begins_at_the_beginning() -> None:
    """Nothing was applied: everything kept is read, and nothing is lost."""
    start = decide_start(Kept(), THERE, NOW_MS)
    assert start == GoOn({MEMBERS: 0, SEGMENTS: 0, COUNTS: 50})


def test_a_store_goes_on_where_it_was() -> None:
    """Positions are the store's own."""
    assert decide_start(KEPT, THERE, NOW_MS) == GoOn(dict(KEPT.positions))


def test_a_partition_never_read_is_read_from_its_beginning() -> None:
    """A topic read from now on has no position yet."""
    kept = replace(KEPT, positions={MEMBERS: 40, SEGMENTS: 4})
    start = decide_start(kept, THERE, NOW_MS)
    assert start == GoOn({MEMBERS: 40, SEGMENTS: 4, COUNTS: 50})


@pytest.mark.parametrize(
    ("kept", "there", "said"),
    [
        (replace(KEPT, cluster_id="other"), THERE, "cluster other"),
        (replace(KEPT, topic_ids={"members": "m0"}), THERE, "made anew"),
        (replace(KEPT, topic_ids={"segments": "s0"}), THERE, "made anew"),
        (replace(KEPT, positions={MEMBERS: 101}), THERE, "ends at 100"),
        (KEPT, replace(THERE, logs={MEMBERS: Log(41, 100)}), "begins at 41"),
        (replace(KEPT, applied_at_ms=NOW_MS - 4 * DAY_MS), THERE, "96 h"),
    ],
)
def test_what_cannot_be_gone_on_with_is_built_anew(kept: Kept, there: There, said: str) -> None:
    """Another cluster or topic, a log that went back or was cut, too long an absence."""
    start = decide_start(kept, there, NOW_MS)
    assert isinstance(start, BuildAnew)
    assert said in start.why


def test_who_missed_nothing_was_not_away_too_long() -> None:
    """An old store that has read everything lacks nothing."""
    ends = {place: log.end for place, log in THERE.logs.items()}
    kept = replace(KEPT, positions=ends, applied_at_ms=NOW_MS - 400 * DAY_MS)
    assert decide_start(kept, THERE, NOW_MS) == GoOn(ends)


def test_counts_that_retention_took_are_told_as_lost() -> None:
    """Outcome counts are no state: what is gone is said, and reading goes on."""
    kept = replace(KEPT, positions={MEMBERS: 100, SEGMENTS: 10, COUNTS: 20})
    start = decide_start(kept, THERE, NOW_MS)
    assert start == GoOn({MEMBERS: 100, SEGMENTS: 10, COUNTS: 50}, {COUNTS: 30})


@pytest.mark.parametrize(
    "kept",
    [
        replace(KEPT, topic_ids={"counts": "c0"}),
        replace(KEPT, positions={**KEPT.positions, COUNTS: 99}),
    ],
)
def test_counts_of_a_topic_made_anew_are_read_from_its_beginning(kept: Kept) -> None:
    """They add to what is known; nothing is built anew for them."""
    start = decide_start(kept, THERE, NOW_MS)
    assert isinstance(start, GoOn)
    assert start.positions[COUNTS] == 50
