"""The line of records waiting in one lane: who is next, who is held back, who must leave."""

from __future__ import annotations

from collections import Counter, deque
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from heapline.outcomes import DeferReason, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from consumers.forwarder.budget import Budget
    from consumers.forwarder.record import Partition, Record
    from consumers.forwarder.slab import Slab, Slice
    from consumers.forwarder.trial import Part, Trial


class Waiting:
    """Records waiting for one app: ready in order, blocked by identity, or parts of a request.

    A record is blocked while its identity is over its own limit, so that it holds nobody else up.
    """

    def __init__(self) -> None:
        self.ready: deque[Record] = deque()
        self.parts: deque[Part] = deque()
        self.slabs: deque[Slab] = deque()
        """Rows behind the records; those that leave any other way than to Heap become records."""
        self._blocked: dict[str, deque[Record]] = {}
        self._blocked_count = 0
        self._oldest = inf
        """No record of the events topic in here was read before; it may be a little too early."""

    def __len__(self) -> int:
        return self.unblocked + self._blocked_count

    @property
    def unblocked(self) -> int:
        """How many wait for the app's limit only, and not for their identity's."""
        return self.in_line + sum(len(part.records) for part in self.parts)

    @property
    def in_line(self) -> int:
        """How many are ready, records and rows."""
        return len(self.ready) + sum(map(len, self.slabs))

    def __bool__(self) -> bool:
        return bool(self.ready or self.slabs or self._blocked or self.parts)

    def add(self, record: Record) -> None:
        """Put a record at the end of its line."""
        self._note_age(record)
        blocked = self._blocked.get(record.identity)
        if blocked is None:
            self.ready.append(record)
        else:
            blocked.append(record)
            self._blocked_count += 1

    def add_slab(self, slab: Slab) -> None:
        """Put rows at the end of the line."""
        self.slabs.append(slab)

    def take_rows(
        self, most: int, most_bytes: int, allowance: int, budget: Budget, beside: int
    ) -> list[Slice]:
        """Take rows in order, as `take` does.

        Rows among which an identity may be at its limit become records: `take` tells which it is.
        So many records are taken for the same request `beside`.
        """
        chosen: list[Slice] = []
        events = beside
        while self.slabs and most > 0 and allowance > 0:
            slab = self.slabs[0]
            count = slab.fitting(most, most_bytes)
            if not count and (chosen or beside):
                break
            count = count or 1
            events += count
            if not budget.surely_fits(events, allowance) and not budget.rows_fit(
                [*(each.identities for each in chosen), slab.next_identities(count)],
                allowance,
                beside,
            ):
                if not (chosen or beside):
                    self.slabs.popleft()
                    self.ready.extend(slab.take_records())
                break
            chosen.append(slab.take(count))
            most -= count
            most_bytes -= len(chosen[-1].body) + 1
            if slab:
                break
            self.slabs.popleft()
        return chosen

    def slabs_to_records(self, which: Callable[[Slab], bool]) -> None:
        """Let rows be records from now on, in their order."""
        kept: deque[Slab] = deque()
        for slab in self.slabs:
            if which(slab):
                for record in slab.take_records():
                    self.add(record)
            else:
                kept.append(slab)
        self.slabs = kept

    def leave(self, leaves: Callable[[Partition], bool]) -> None:
        """Forget what waits of some partitions."""
        rows = [slab for slab in self.slabs if not leaves(slab.stretch.partition)]
        self.slabs.clear()
        for record in self.take_all():
            if not leaves(record.partition):
                self.add(record)
        self.slabs.extend(rows)

    def put_back(self, records: Iterable[Record]) -> None:
        """Put records, in their order, before all others."""
        returned = list(records)
        for record in returned:
            self._note_age(record)
        self.ready.extendleft(reversed(returned))

    def put_parts(self, *parts: Part) -> None:
        """Put parts of a request, in their order, before all others."""
        for part in parts:
            for record in part.records:
                self._note_age(record)
        self.parts.extendleft(reversed(parts))

    def _note_age(self, record: Record) -> None:
        if record.read_at < self._oldest and record.source is Source.EVENTS:
            self._oldest = record.read_at

    def take(self, most: int, most_bytes: int, allowance: int, budget: Budget) -> list[Record]:
        """Take ready records in order, up to a count, a size and each identity's limit.

        Records of identities without room are blocked on the way. The first record is taken
        whatever its size. While nobody has any room (a lane that has just started), nobody is
        blocked: the line would only lose its order.
        """
        if allowance <= 0:
            return []
        ready, used = self.ready, budget.identity_used
        chosen: list[Record] = []
        here: dict[str, int] = {}
        while ready and len(chosen) < most:
            record = ready[0]
            identity = record.identity
            before = here.get(identity)
            if before is None:
                before = used(identity)
            if before >= allowance:
                self._block(ready.popleft())
                continue
            most_bytes -= len(record.body) + 1
            if most_bytes < 0 and chosen:
                break
            here[identity] = before + 1
            chosen.append(ready.popleft())
        return chosen

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

    def take_probe(self, allowance: int, budget: Budget) -> list[Record]:
        """Take a single record, to probe with."""
        self.dissolve()
        self._release_blocked()
        if not self.ready and self.slabs:
            self.ready.extend(self.slabs.popleft().take_records())
        return self.take(1, 0, allowance, budget)

    def take_all(self) -> list[Record]:
        """Take every record, whatever it waits for."""
        self.dissolve()
        self._release_blocked()
        self.slabs_to_records(lambda _: True)
        taken = list(self.ready)
        self.ready.clear()
        return taken

    def drop(self) -> None:
        """Forget records whose partition was handed over."""
        rows = [slab for slab in self.slabs if not slab.stretch.dropped]
        self.slabs.clear()
        self.ready.extend(record for record in self.take_all() if not record.dropped)
        self.slabs.extend(rows)

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

    def take_old(self, before: float) -> list[tuple[Record, DeferReason]]:
        """Take records of the events topic read before a time; those over a limit first."""
        if self.slabs and self.slabs[0].stretch.read_at < before:
            self.slabs_to_records(lambda slab: slab.stretch.read_at < before)
        if self._oldest >= before:
            return []
        if any(_is_old(record, before) for part in self.parts for record in part.records):
            self.dissolve()
        blocked = self._take_blocked(lambda record: _is_old(record, before))
        old, self.ready = _parted(self.ready, lambda record: _is_old(record, before))
        self._oldest = min(
            (r.read_at for r in self._all() if r.source is Source.EVENTS), default=inf
        )
        return [
            *((record, DeferReason.IDENTITY_OVER_LIMIT) for record in blocked),
            *((record, DeferReason.TOO_OLD) for record in old),
        ]

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

    def _all(self) -> Iterator[Record]:
        yield from self.ready
        yield from chain.from_iterable(self._blocked.values())
        yield from chain.from_iterable(part.records for part in self.parts)

    def take_overfull(self, most: int) -> Iterator[tuple[Record, DeferReason]]:
        """Take the newest records beyond a count; those over a limit first."""
        over = len(self) - most
        if over <= 0:
            return
        leaving, rows = set[int](), 0
        for slab in reversed(self.slabs):
            if rows >= over:
                break
            leaving.add(id(slab))
            rows += len(slab)
        self.slabs_to_records(lambda slab: id(slab) in leaving)
        for identity, blocked in list(self._blocked.items()):
            while over > 0 and blocked and blocked[-1].source is Source.EVENTS:
                self._blocked_count -= 1
                over -= 1
                yield blocked.pop(), DeferReason.IDENTITY_OVER_LIMIT
            if not blocked:
                del self._blocked[identity]
        while over > 0 and self.ready and self.ready[-1].source is Source.EVENTS:
            over -= 1
            yield self.ready.pop(), DeferReason.OVER_LIMIT


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


def _is_old(record: Record, before: float) -> bool:
    return record.read_at < before and record.source is Source.EVENTS
