from __future__ import annotations

import pytest

from cli.status import duration, lines
from consumers.forwarder.status import Blocker, ForwarderStatus, PartitionStatus
from operations.lag import BlockedCheckpoint, WorkspaceLag
from operations.status import Status

NOW_MS = 1_760_000_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3_720, "1 h 2 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    """Two units at most."""
    assert duration(seconds) == text


def test_the_view_names_trouble_and_cannot_steer_the_terminal() -> None:
    """Every part of it once: forwarders, the silent, workspaces, what blocks."""
    running = ForwarderStatus(
        "f1",
        NOW_MS,
        0,
        [PartitionStatus("events", 0, 9, 1)],
        requests={"retry": 2, "rate_limited": 1, "rate_limited_in_rate": 1},
        request_events=1_500,
        retried_events=700,
        outcomes={"delivered": 800, "dead_lettered": 3},
    )
    found = Status(
        NOW_MS,
        [running],
        [ForwarderStatus("gone", NOW_MS - 60_000, 0)],
        events_lag=1_234,
        unowned=[3],
        workspaces=[
            WorkspaceLag("a\x1b[2J", "1", "paused", "unauthorized", 0, 7, None, 0.5, NOW_MS + 9_000)
        ],
        complete=False,
        blocked=[
            BlockedCheckpoint("events[0]", "f1", Blocker(42, NOW_MS - 5_000, "a", "app at limit")),
            BlockedCheckpoint("events[1]", "f1", Blocker(43, NOW_MS - 100, "a", "just sent")),
        ],
    )
    text = "\n".join(lines(found))
    assert "\x1b" not in text
    assert "1 forwarder running, 1,234 events not checkpointed, at least 7 deferred" in text
    assert "partitions without a forwarder: 3" in text
    assert "forwarder gone is silent since" in text
    assert "paused (unauthorized)" in text
    assert "in 9 s" in text
    assert "events a request: 500; in requests Heap did not take: 700" in text
    assert "records checkpointed since then: delivered 800, dead_lettered 3" in text
    assert "app at limit" in text
    assert "just sent" not in text, "that is no trouble yet"


def test_nothing_at_all_says_what_to_start() -> None:
    """An empty view is no answer."""
    text = "\n".join(lines(Status(NOW_MS)))
    assert "no forwarder runs: start one with `heapline forward`" in text
    assert "nothing waits" in text
