"""Records and rows in one order, as they came in: who is next, who is last, how many there are."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from consumers.forwarder.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.forwarder.slab import Slab, Slice

    Entry = Record | Slab


class Line:
    """A line of events, some of which are records and some rows of slabs; no slab is empty."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._events = 0

    def __len__(self) -> int:
        """How many events, records and rows."""
        return self._events

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def append(self, entry: Entry) -> None:
        """Put a record, or the rows of a slab, at the end."""
        self._entries.append(entry)
        self._events += _events(entry)

    def put_before(self, records: list[Record]) -> None:
        """Put records, in their order, before all others."""
        self._entries.extendleft(reversed(records))
        self._events += len(records)

    def first(self) -> Entry | None:
        """Give who is next; it stays."""
        return self._entries[0] if self._entries else None

    def take_next(self, count: int) -> Record | Slice:
        """Take the record that is next, or so many rows of the slab that is."""
        entry = self._entries[0]
        self._events -= count
        if isinstance(entry, Record):
            self._entries.popleft()
            return entry
        taken = entry.take(count)
        if not entry:
            self._entries.popleft()
        return taken

    def take(self, leaves: Callable[[Entry], bool]) -> Iterator[Record]:
        """Take some of it, to the end; rows among that are records from now on.

        Rows become records as they leave: all of a long line at once would take twice its memory.
        Meanwhile nothing else may come or go.
        """
        for _ in range(len(self._entries)):
            entry = self._entries.popleft()
            if leaves(entry):
                self._events -= _events(entry)
                yield from _as_records(entry)
            else:
                self._entries.append(entry)

    def take_last(self, leaves: Callable[[Record], bool]) -> Record | None:
        """Take the last, a record from now on; None if it is to stay."""
        if not self._entries:
            return None
        records = _as_records(self._entries.pop())
        last = records[-1]
        if leaves(last):
            records.pop()
            self._events -= 1
            self._entries.extend(records)
            return last
        self._entries.extend(records)
        return None

    def keep(self, stays: Callable[[Entry], bool]) -> None:
        """Forget what does not stay."""
        self._entries = deque(entry for entry in self._entries if stays(entry))
        self._events = sum(map(_events, self._entries))


def _events(entry: Entry) -> int:
    return 1 if isinstance(entry, Record) else len(entry)


def _as_records(entry: Entry) -> list[Record]:
    return [entry] if isinstance(entry, Record) else entry.take_records()
