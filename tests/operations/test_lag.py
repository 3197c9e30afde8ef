"""What the forwarders say and what they have not read yet, put together."""

from __future__ import annotations

from collections import Counter

import pytest

from consumers.forwarder.status import Blocker, ForwarderStatus, PartitionStatus, WorkspaceStatus
from heapline.heap.connection import Connection, Region, Send
from heapline.settings import LimitSettings
from heapline.words import AppId, Workspace
from operations.lag import Unread, blocked, positions, workspaces

LIMITS = LimitSettings(events_per_minute_per_app=600, events_per_minute_per_identity=60)


def connected(*names: str, send: Send = Send.ON) -> dict[str, Connection]:
    """Connect workspaces."""
    return {
        name: Connection(Workspace(name), 1, 0, AppId(f"app-{name}"), Region.US, send)
        for name in names
    }


def forwarder(*told: WorkspaceStatus, **partitions: PartitionStatus) -> ForwarderStatus:
    """Make a forwarder that says these things."""
    return ForwarderStatus("f1", 0, 0, [*partitions.values()], [*told])


def test_read_and_unread_events_add_up() -> None:
    """In lanes, in requests, read ahead and unread: each counted once."""
    told = WorkspaceStatus(
        "a", "1", "open", waiting=10, in_flight=5, deferred=70, read_ahead=20, drain_seconds=3.0
    )
    unread = Unread(Counter(a=100), Counter(a=50))
    (found,) = workspaces([forwarder(told)], unread, connected("a"), LIMITS)
    assert (found.waiting, found.deferred) == (115, 70)
    assert found.drain_seconds == pytest.approx(60 * 185 / 600, abs=0.1)


def test_one_users_limit_can_take_longer_than_the_apps() -> None:
    """The forwarder knows whose events they are; its word stands where it is longer."""
    told = WorkspaceStatus("a", "1", "open", waiting=120, drain_seconds=120.0)
    (found,) = workspaces([forwarder(told)], Unread(), connected("a"), LIMITS)
    assert found.drain_seconds == 120.0


@pytest.mark.parametrize(
    ("state", "send", "runs", "expected", "seconds"),
    [
        ("open", Send.ON, True, "open", 10.0),
        ("backing_off", Send.ON, True, "backing_off", 10.0),
        ("paused", Send.ON, True, "paused", None),
        ("open", Send.HOLD, True, "hold", None),
        ("open", Send.OFF, True, "send_off", 0.0),
        (None, Send.ON, True, "open", 10.0),
        (None, Send.ON, False, "open", None),
    ],
)
def test_time_is_given_only_where_something_moves(
    state: str | None,
    send: Send,
    runs: bool,  # noqa: FBT001 -- the case
    expected: str,
    seconds: float | None,
) -> None:
    """Paused, on hold, or without any forwarder: nobody can say when. Skipping takes no time."""
    told = [WorkspaceStatus("a", "1", state)] if state else []
    alive = [forwarder(*told)] if runs else []
    (found,) = workspaces(alive, Unread(Counter(a=100)), connected("a", send=send), LIMITS)
    assert (found.state, found.drain_seconds) == (expected, seconds)


def test_the_most_troubled_come_first() -> None:
    """Paused before busy, more before less, and what is skipped last."""
    told = [
        WorkspaceStatus("busy", "1", "open"),
        WorkspaceStatus("dead", "2", "paused", "unauthorized"),
    ]
    unread = Unread(Counter(busy=9, busier=10, stranger=99))
    found = workspaces([forwarder(*told)], unread, connected("busy", "busier", "dead"), LIMITS)
    assert [each.workspace for each in found] == ["dead", "busier", "busy", "stranger"]
    assert found[0].reason == "unauthorized"
    assert found[-1].state == "not_connected"


def test_positions_and_blockers_are_those_of_all_forwarders() -> None:
    """The record that waits longest comes first."""
    late = PartitionStatus("events", 0, 5, 2, Blocker(3, 1_000, "a", "waits"))
    early = PartitionStatus("events", 1, 9, 1, Blocker(8, 500, "b", "waits"))
    none = PartitionStatus("events", 2, 7, 0)
    alive = [forwarder(x=late), forwarder(y=early, z=none)]
    assert positions(alive) == {("events", 0): 5, ("events", 1): 9, ("events", 2): 7}
    assert [each.partition for each in blocked(alive)] == ["events[1]", "events[0]"]
