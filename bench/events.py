"""Realistic events, the same ones every time: twelve flat properties, some 500 bytes each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from heapline.events.model import Event
from heapline.words import EventId, UserId, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS: Final = 2_000
WORKSPACES: Final = tuple(Workspace(f"workspace-{number}") for number in range(5))
_NAMES: Final = (
    "nudge_shown",
    "nudge_clicked",
    "nudge_completed",
    "questlist_shown",
    "questlist_item_engagement",
    "help_hub_opened",
    "command_execution",
    "survey_response",
)
_STEPS: Final = ("Invite your team", "Create a project", "Connect your data", "Share a report")
_STRIDE: Final = 7_919
"""A prime: users and names do not run in step with workspaces."""


def events(
    count: int,
    *,
    now_ms: int,
    workspaces: tuple[Workspace, ...] = WORKSPACES,
    users: int = USERS,
    first: int = 0,
) -> Iterator[Event]:
    """Give events, workspaces taking turns.

    Args:
        count: how many.
        now_ms: when the last of them happened; they lie 5 ms apart.
        workspaces: whose they are.
        users: over how many users they are spread.
        first: the number of the first; equal numbers are equal events.
    """
    for number in range(first, first + count):
        yield event(number, workspaces[number % len(workspaces)], users, now_ms - number * 5)


def event(number: int, workspace: Workspace, users: int, timestamp_ms: int) -> Event:
    """Give the event of a number."""
    spread = number * _STRIDE
    name = _NAMES[spread % len(_NAMES)]
    return Event(
        event_id=EventId(f"00000000-0000-4000-8000-{number:012d}"),
        workspace=workspace,
        name=name,
        user_id=UserId(f"user-{spread % users:05d}@example.com"),
        timestamp_ms=timestamp_ms,
        received_at_ms=timestamp_ms + 250,
        session_id=f"session-{spread % 4_001:05d}",
        shape="v1",
        properties=properties(number, name),
    )


def properties(number: int, name: str) -> str:
    """Give an event's twelve properties as JSON."""
    return orjson.dumps(
        {
            "type": name,
            "nudge.id": str(4_000 + number % 40),
            "nudge.slug": f"welcome-tour-{number % 40}",
            "nudge.template_source": "onboarding",
            "nudge.frequency_limit": "once_per_user",
            "nudge.trigger.type": "when_page_reached",
            "nudge.trigger.meta.url": "https://app.example.com/projects",
            "nudge.step.id": number % 4,
            "nudge.step.title": _STEPS[number % 4],
            "page.path": f"/projects/{number % 500}",
            "page.title": f"Project {number % 500}",
            "ranking": number % 100 / 100,
        }
    ).decode()
