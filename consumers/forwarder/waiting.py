"""The line of records waiting in one lane: who is next, who is held back, who must leave."""

from __future__ import annotations

from collections import Counter, deque
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from consumers.forwarder.elbow_room import ElbowRoom
from consumers.forwarder.line import Line
from consumers.forwarder.record import Record
from consumers.forwarder.row_budget import has_any
from heapline.outcomes import DeferReason, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from consumers.forwarder.budget import Budget
    from consumers.forwarder.record import Partition
    from consumers.forwarder.slab import Slab, Slice
    from consumers.forwarder.trial import Part, Trial


class Waiting:
    """Records waiting for one app: ready in order, blocked by identity, or parts of a request.

    A record is blocked while its identity is over its own limit, so that it holds nobody else up.
    """

    def __init__(self) -> None:
        self.line = Line()
        """Who is ready, in order; rows that leave any other way than to Heap become records."""
        self.parts: deque[Part] = deque()
        self._blocked: dict[str, deque[Record]] = {}
        self._blocked_count = 0
        self._oldest = inf
        """Nothing of the events topic in here was read before; it may be a little too early."""

    def __len__(self) -> int:
        return self.unblocked + self._blocked_count

    @property
    def unblocked(self) -> int:
        """How many wait for the app's limit only, and not for their identity's."""
        in_parts = sum(len(part.records) for part in self.parts) if self.parts else 0
        return len(self.line) + in_parts

    def __bool__(self) -> bool:
        return bool(self.line or self._blocked or self.parts)

    def add(self, record: Record) -> None:
        """Put a record at the end of its line."""
        self._note_age(record)
        blocked = self._blocked.get(record.identity)
        if blocked is None:
            self.line.append(record)
        else:
            blocked.append(record)
            self._blocked_count += 1

    def add_slab(self, slab: Slab) -> None:
        """Put rows at the end of the line; where one's identity is blocked, they become records."""
        if self._blocked and has_any(slab.next_identities(len(slab)), self._blocked):
            for record in slab.take_records():
                self.add(record)
            return
        self._oldest = min(self._oldest, slab.stretch.read_at)
        self.line.append(slab)

    def leave(self, leaves: Callable[[Partition], bool]) -> None:
        """Forget what waits of some partitions."""
        self.dissolve()
        self._release_blocked()
        self.line.keep(lambda entry: not leaves(entry.partition))

    def put_back(self, records: Iterable[Record]) -> None:
        """Put records, in their order, before all others."""
        returned = list(records)
        for record in returned:
            self._note_age(record)
        self.line.put_before(returned)

    def put_parts(self, *parts: Part) -> None:
        """Put parts of a request, in their order, before all others."""
        for part in parts:
            for record in part.records:
                self._note_age(record)
        self.parts.extendleft(reversed(parts))

    def _note_age(self, record: Record) -> None:
        if record.read_at < self._oldest and record.source is Source.EVENTS:
            self._oldest = record.read_at

    def take(
        self, most: int, most_bytes: int, allowance: int, budget: Budget
    ) -> list[Record | Slice]:
        """Take ready events in order, up to a count, a size and each identity's limit.

        Records of identities without room are blocked on the way; rows among which is one become
        records. The first event is taken whatever its size. While nobody has any room (a lane that
        has just started), nobody is blocked: the line would only lose its order.
        """
        chosen: list[Record | Slice] = []
        fits = budget.surely_fits(min(most, len(self.line)), allowance)
        room = None if fits else ElbowRoom(budget, allowance)
        while allowance > 0 and most > 0 and (entry := self.line.first()) is not None:
            if isinstance(entry, Record):
                count, size = 1, len(entry.body) + 1
                has_room = room is None or room.take(entry.identity)
            else:
                count = entry.fitting(most, most_bytes) or 1
                size = entry.size(count)
                has_room = room is None or room.take_rows(entry.next_identities(count))
            if not has_room:
                self._stand_aside(count)
            elif chosen and size > most_bytes:
                break
            else:
                chosen.append(self.line.take_next(count))
                most, most_bytes = most - count, most_bytes - size
        return chosen

    def _stand_aside(self, count: int) -> None:
        taken = self.line.take_next(count)
        if isinstance(taken, Record):
            self._block(taken)
        else:
            self.line.put_before(taken.records())

    def next_part(self, allowance: int, budget: Budget) -> Part | None:
        """Give the first part whose identities all have room; the others hold nobody up."""
        return next((p for p in self.parts if _fits(p.records, allowance, budget)), None)

    def examine_elsewhere(self, trial: Trial) -> None:
        """Let the largest part of a trial be the next: poison often comes in a row."""
        parts = [part for part in self.parts if part.trial is trial]
        if parts:
            largest = max(parts, key=lambda part: len(part.records))
            self.parts.remove(largest)
            self.parts.appendleft(largest)

    def take_probe(self, allowance: int, budget: Budget) -> list[Record | Slice]:
        """Take a single event, to probe with."""
        self.dissolve()
        self._release_blocked()
        return self.take(1, 0, allowance, budget)

    def take_all(self) -> Iterator[Record]:
        """Take every record, whatever it waits for; as `Line.take`."""
        self.dissolve()
        self._release_blocked()
        return self.line.take(lambda _: True)

    def drop(self) -> None:
        """Forget records whose partition was handed over."""
        self.dissolve()
        self._release_blocked()
        self.line.keep(lambda entry: not entry.dropped)

    def dissolve(self) -> None:
        """Give up every examination: its records wait like all others."""
        records: list[Record] = []
        for part in self.parts:
            records.extend(part.records)
            if part.trial is not None and not part.trial.dissolved:
                records.extend(part.trial.dissolve())
        self.parts.clear()
        self.put_back(records)

    # --- identities over their limit ------------------------------------------------------------

    @property
    def blocked(self) -> int:
        """How many are held back."""
        return self._blocked_count

    @property
    def blocked_identities(self) -> list[str]:
        """The identities whose records are held back."""
        return list(self._blocked)

    def most_of_one_identity(self) -> int:
        """How many of one identity are held back at most."""
        return max(map(len, self._blocked.values()), default=0)

    def _block(self, record: Record) -> None:
        self._blocked.setdefault(record.identity, deque()).append(record)
        self._blocked_count += 1

    def unblock(self, identities: Iterable[str], allowance: int, budget: Budget) -> None:
        """Let records of identities with room again go before the others, the oldest first."""
        freed: list[Record] = []
        for identity in identities:
            blocked = self._blocked.get(identity)
            if blocked is None:
                continue
            room = max(0, allowance - budget.identity_used(identity))
            freed += [blocked.popleft() for _ in range(min(room, len(blocked)))]
            if not blocked:
                del self._blocked[identity]
        self._blocked_count -= len(freed)
        freed.sort(key=_age)
        self.put_back(freed)

    def _release_blocked(self) -> None:
        self.put_back(chain.from_iterable(self._blocked.values()))
        self._blocked.clear()
        self._blocked_count = 0

    # --- who must leave -------------------------------------------------------------------------

    def may_have_old(self, before: float) -> bool:
        """Whether `take_old` may give anything."""
        return self._oldest < before

    def take_old(self, before: float) -> Iterator[tuple[Record, DeferReason]]:
        """Take records of the events topic read before a time; those over a limit first.

        As `Line.take`.
        """
        if not self.may_have_old(before):
            return
        if any(_is_old(record, before) for part in self.parts for record in part.records):
            self.dissolve()
        for record in self._take_blocked(lambda record: _is_old(record, before)):
            yield record, DeferReason.IDENTITY_OVER_LIMIT
        for record in self.line.take(lambda entry: _is_old(entry, before)):
            yield record, DeferReason.TOO_OLD
        self._oldest = min(
            (each.read_at for each in self._all() if each.source is Source.EVENTS), default=inf
        )

    def take_overblocked(self, most: int) -> list[Record]:
        """Take the newest deferred records held back beyond a count: they can wait elsewhere."""
        over = self._blocked_count - most
        if over <= 0:
            return []
        deferred = [
            record
            for blocked in self._blocked.values()
            for record in blocked
            if record.source is not Source.EVENTS
        ]
        chosen = set(deferred[-over:])
        return self._take_blocked(chosen.__contains__)

    def _take_blocked(self, leaves: Callable[[Record], bool]) -> list[Record]:
        taken: list[Record] = []
        for identity, blocked in list(self._blocked.items()):
            leaving, kept = _parted(blocked, leaves)
            taken += leaving
            if kept:
                self._blocked[identity] = kept
            else:
                del self._blocked[identity]
        self._blocked_count -= len(taken)
        return taken

    def _all(self) -> Iterator[Record | Slab]:
        yield from self.line
        yield from chain.from_iterable(self._blocked.values())
        yield from chain.from_iterable(part.records for part in self.parts)

    def take_overfull(self, most: int) -> Iterator[tuple[Record, DeferReason]]:
        """Take the newest records beyond a count; those over a limit first."""
        over = len(self) - most
        if over <= 0:
            return
        for identity, blocked in list(self._blocked.items()):
            while over > 0 and blocked and blocked[-1].source is Source.EVENTS:
                self._blocked_count -= 1
                over -= 1
                yield blocked.pop(), DeferReason.IDENTITY_OVER_LIMIT
            if not blocked:
                del self._blocked[identity]
        while over > 0 and (last := self.line.take_last(_is_own)) is not None:
            over -= 1
            yield last, DeferReason.OVER_LIMIT


def _age(record: Record) -> tuple[float, int]:
    return record.read_at, record.offset


def _fits(records: list[Record], allowance: int, budget: Budget) -> bool:
    wanted = Counter(record.identity for record in records)
    return all(budget.identity_used(i) + n <= allowance for i, n in wanted.items())


def _parted(
    records: Iterable[Record], leaves: Callable[[Record], bool]
) -> tuple[list[Record], deque[Record]]:
    leaving: list[Record] = []
    kept: deque[Record] = deque()
    for record in records:
        (leaving if leaves(record) else kept).append(record)
    return leaving, kept


def _is_old(entry: Record | Slab, before: float) -> bool:
    return entry.read_at < before and entry.source is Source.EVENTS


def _is_own(record: Record) -> bool:
    return record.source is Source.EVENTS
