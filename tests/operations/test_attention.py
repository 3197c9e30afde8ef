"""Which workspaces are shown as paused."""

from __future__ import annotations

import pytest

from operations.attention import Attention, paused_workspaces
from operations.outcomes import OutcomeCount

MINUTE = 60_000


def _count(outcome: str, reason: str, minute: int, workspace: str = "acme") -> OutcomeCount:
    return OutcomeCount(workspace, "events", "nudge_shown", outcome, reason, minute * MINUTE, 3)


def test_a_workspace_deferred_for_a_pause_is_shown() -> None:
    """The latest reason counts, whatever the order the counts come in."""
    counts = [
        _count("deferred", "paused_misconfigured", 7),
        _count("deferred", "paused_unauthorized", 5),
        _count("delivered", "", 4),
    ]
    assert paused_workspaces(counts) == {"acme": Attention("misconfigured", 7 * MINUTE)}


@pytest.mark.parametrize("reason", ["over_limit", "hold", "too_old"])
def test_waiting_is_no_pause(reason: str) -> None:
    """Records deferred for other reasons need nobody's attention."""
    assert paused_workspaces([_count("deferred", reason, 5)]) == {}


def test_a_delivery_since_ends_it() -> None:
    """Heap takes the workspace's events again; another workspace's delivery says nothing."""
    paused = _count("deferred", "paused_unavailable", 5)
    assert paused_workspaces([paused, _count("delivered", "", 6)]) == {}
    assert paused_workspaces([paused, _count("delivered", "", 6, "other")]) != {}
