"""Everything the simulator accepted: first write wins, and nothing is forgotten."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFLICTS_NAMED = 100
"""How many of the latest conflicting idempotency keys of an app are named."""


EVENT_FIELDS = frozenset(
    {"event", "idempotency_key", "identity", "properties", "session_id", "timestamp", "user_id"}
)
"""What Heap keeps of an event (Heap, Track reference)."""


class Arrival(NamedTuple):
    """Which request brought an event, and when."""

    request_number: int
    received_at_ms: int


@dataclass(slots=True)
class AppAccount:
    """What one app id sent and was accepted.

    Attributes:
        accepted: events that are new.
        duplicates: events whose idempotency key was there before; their data changed nothing.
        conflicting_duplicates: those of the duplicates that said something else than the first.
        conflicting_keys: the latest idempotency keys of such.
        keys: the idempotency key of each accepted event, in order; None where there was none.
        payloads: the first accepted events themselves, as JSON with sorted keys; later ones are
            kept as keys only, once the ledger's bound is reached.
    """

    accepted: int = 0
    duplicates: int = 0
    conflicting_duplicates: int = 0
    conflicting_keys: deque[str] = field(default_factory=lambda: deque(maxlen=CONFLICTS_NAMED))
    keys: list[str | None] = field(default_factory=list)
    payloads: list[tuple[bytes, Arrival]] = field(default_factory=list)
    _content_by_key: dict[str, int] = field(default_factory=dict)

    def is_duplicate(self, key: str | None, content: bytes) -> bool:
        """Whether `key` was written before; if so it is counted, else it is remembered."""
        if key is None:
            return False
        digest = hash(content)
        first = self._content_by_key.get(key)
        if first is None:
            self._content_by_key[key] = digest
            return False
        self.duplicates += 1
        if first != digest:
            self.conflicting_duplicates += 1
            self.conflicting_keys.append(key)
        return True


class Ledger:
    """Accepted events by app id.

    Args:
        keep_payloads: how many accepted events are kept whole, over all apps. Of all others the
            idempotency key and a hash of the content are kept (about 200 bytes an event).
    """

    def __init__(self, *, keep_payloads: int) -> None:
        self._keep_payloads = keep_payloads
        self._payloads_kept = 0
        self.accounts: dict[str, AppAccount] = {}

    def write(self, app_id: str, events: list[dict[str, Any]], arrival: Arrival) -> None:
        """Apply the valid events of one request; later writes of a key change no data."""
        account = self.accounts.setdefault(app_id, AppAccount())
        for event in events:
            content = orjson.dumps(_content(event), option=orjson.OPT_SORT_KEYS)
            key = event.get("idempotency_key")
            if account.is_duplicate(key, content):
                continue
            account.accepted += 1
            account.keys.append(key)
            if self._payloads_kept < self._keep_payloads:
                self._payloads_kept += 1
                # A copy: what orjson returns keeps its whole buffer, some 8 KiB, alive.
                account.payloads.append((bytes(memoryview(content)), arrival))

    def account(self, app_id: str) -> AppAccount:
        """What this app id sent; an empty account where nothing was accepted."""
        return self.accounts.get(app_id) or AppAccount()

    def lines(self, app_id: str, *, after: int, limit: int) -> Iterator[bytes]:
        """The app's accepted events numbered `after` + 1 and on, each as one line of JSON."""
        account = self.account(app_id)
        for index in range(after, min(after + limit, account.accepted)):
            yield orjson.dumps(_line(account, index), option=orjson.OPT_APPEND_NEWLINE)


def _content(event: dict[str, Any]) -> dict[str, Any]:
    # What the contract does not name (in a single request also the app id) is no data of Heap's.
    if event.keys() <= EVENT_FIELDS:
        return event
    return {k: v for k, v in event.items() if k in EVENT_FIELDS}


def _line(account: AppAccount, index: int) -> dict[str, Any]:
    line: dict[str, Any] = {"number": index + 1, "idempotency_key": account.keys[index]}
    if index >= len(account.payloads):
        return line
    content, arrival = account.payloads[index]
    line |= orjson.loads(content)
    return line | arrival._asdict()
