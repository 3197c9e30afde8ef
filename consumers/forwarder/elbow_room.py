"""What each identity has left while one request is put together, of records and rows alike."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from consumers.forwarder.row_budget import by_hash, counted, hash_of

if TYPE_CHECKING:
    from consumers.forwarder.budget import Budget
    from consumers.forwarder.row_budget import Hashes


class ElbowRoom:
    """Says who may go along in a request, and takes note of who does.

    Records are counted by name; both by hash once there are rows.

    Args:
        budget: what is held already.
        allowance: for any one identity.
    """

    def __init__(self, budget: Budget, allowance: int) -> None:
        self._budget = budget
        self._allowance = allowance
        self._records: Counter[str] = Counter()
        self._used: dict[str, int] = {}
        self._both: Counter[int] | None = None
        """Records held and all that goes along, by hash; None while no row goes along."""

    def take(self, identity: str) -> bool:
        """Let one event of an identity go along, if it has room."""
        hashed = hash_of(identity) if self._both is not None else 0
        used = self._used_by_name(identity) if self._both is None else self._used_by_hash(hashed)
        if used >= self._allowance:
            return False
        self._records[identity] += 1
        if self._both is not None:
            self._both[hashed] += 1
        return True

    def take_rows(self, hashes: Hashes) -> bool:
        """Let one event for each hash of an identity go along, if all have room."""
        if self._both is None:
            self._both = by_hash(self._budget.records_held) + by_hash(self._records)
        wanted = counted([hashes])
        if any(self._used_by_hash(each) + n > self._allowance for each, n in wanted.items()):
            return False
        self._both.update(wanted)
        return True

    def _used_by_name(self, identity: str) -> int:
        used = self._used.get(identity)
        if used is None:
            used = self._used[identity] = self._budget.identity_used(identity)
        return used + self._records[identity]

    def _used_by_hash(self, hashed: int) -> int:
        here = 0 if self._both is None else self._both[hashed]
        return self._budget.rows_held[hashed] + here
