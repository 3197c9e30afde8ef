"""What the simulator tells about itself, for its HTTP answers and its client alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devstack.heap_simulator.world import SimulatedHeap


@dataclass(frozen=True, slots=True)
class AppReport:
    """What came of the requests for one app id.

    Attributes:
        accepted: new events.
        duplicates: events whose idempotency key was there before.
        conflicting_duplicates: those of them whose content differs from the first write.
        conflicting_keys: the latest such keys, at most 100.
        outcomes: requests by status, or by `reset`, `hang`, `truncated`.
        most_events_in_60_s: the most accepted events (duplicates too) in any 60 seconds.
        most_events_of_one_identity_in_60_s: the same for the busiest identity or user_id.
    """

    accepted: int
    duplicates: int
    conflicting_duplicates: int
    conflicting_keys: list[str]
    outcomes: dict[str, int]
    most_events_in_60_s: int
    most_events_of_one_identity_in_60_s: int


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What came of all requests.

    Attributes:
        requests: that arrived whole at the track endpoint; those still waiting (latency) too.
        requests_by_status: of those that were answered wholly.
        requests_without_answer: by `reset`, `hang`, `truncated`.
        accepted: new events, over all apps.
        duplicates: over all apps.
        conflicting_duplicates: over all apps.
        apps: by app id.
    """

    requests: int
    requests_by_status: dict[str, int]
    requests_without_answer: dict[str, int]
    accepted: int
    duplicates: int
    conflicting_duplicates: int
    apps: dict[str, AppReport]


def ledger_report(heap: SimulatedHeap) -> LedgerReport:
    """Sum up what came of all requests so far."""
    app_ids = heap.model.ledger.accounts.keys() | heap.requests.by_app.keys()
    apps = {app_id: _app_report(heap, app_id) for app_id in sorted(app_ids)}
    return LedgerReport(
        requests=heap.requests.received,
        requests_by_status={str(s): n for s, n in sorted(heap.requests.by_status.items())},
        requests_without_answer=dict(heap.requests.unanswered),
        accepted=sum(app.accepted for app in apps.values()),
        duplicates=sum(app.duplicates for app in apps.values()),
        conflicting_duplicates=sum(app.conflicting_duplicates for app in apps.values()),
        apps=apps,
    )


def _app_report(heap: SimulatedHeap, app_id: str) -> AppReport:
    account = heap.model.ledger.account(app_id)
    window = heap.model.window(app_id)
    return AppReport(
        accepted=account.accepted,
        duplicates=account.duplicates,
        conflicting_duplicates=account.conflicting_duplicates,
        conflicting_keys=list(account.conflicting_keys),
        outcomes=dict(heap.requests.by_app.get(app_id, {})),
        most_events_in_60_s=window.most_events,
        most_events_of_one_identity_in_60_s=window.most_events_of_one_subject,
    )
