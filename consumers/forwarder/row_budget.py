"""What the identities of rows have used, by hash, counted only where it can matter.

A row's identity is known as a 64-bit hash. Most lanes never come near the limit of one identity:
while the whole lane uses less than that, no identity can have used more, and nothing is counted.
Else the hashes held are counted, and the counts kept up to date for as long as somebody asks for
them. Two identities with one hash would share a limit: that keeps Heap's limits all the more.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]


def hashes_of(identities: pl.Series) -> Hashes:
    """Hash identities; equal texts have equal hashes in this process."""
    return identities.hash(seed=0).to_numpy()


def _hashes(identities: Iterable[str]) -> Hashes:
    # Who holds rows has imported it; whoever has none starts faster without it.
    import polars as pl  # noqa: PLC0415

    return hashes_of(pl.Series(list(identities), dtype=pl.String))


def hash_of(identity: str) -> int:
    """Hash one identity."""
    return int(_hashes([identity])[0])


def by_hash(events: Mapping[str, int]) -> Counter[int]:
    """Give events by identity as events by the identity's hash."""
    found = Counter[int]()
    hashes = _hashes(events).tolist() if events else ()
    for each, count in zip(hashes, events.values(), strict=True):
        found[each] += count
    return found


def counted(rows: Iterable[Hashes]) -> dict[int, int]:
    """Count hashes."""
    every = list(rows)
    if not every:
        return {}
    import numpy as np  # noqa: PLC0415 -- see `_hashes`

    found, counts = np.unique(np.concatenate(every), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def has_any(rows: Hashes, identities: Iterable[str]) -> bool:
    """Whether a row is of one of these identities."""
    import numpy as np  # noqa: PLC0415 -- see `_hashes`

    return bool(np.isin(rows, _hashes(identities)).any())


class RowBudget:
    """Events of rows in the window."""

    def __init__(self) -> None:
        self._held: dict[int, Hashes] = {}
        self._counts: Counter[int] | None = None
        self._asked = False
        """Whether somebody asked for the counts since rows were last held."""

    def hold(self, rows: Sequence[Hashes]) -> Hashes:
        """Take the budget of rows, and give what to release: a copy, for they share arrays."""
        import numpy as np  # noqa: PLC0415 -- see `_hashes`

        hashes = np.concatenate(rows)
        self._held[id(hashes)] = hashes
        if not self._asked:
            self._counts = None
        elif self._counts is not None:
            self._counts.update(counted([hashes]))
        self._asked = False
        return hashes

    def release(self, hashes: Hashes) -> None:
        """Let the budget of rows held before go."""
        del self._held[id(hashes)]
        if self._counts is not None:
            self._counts.subtract(counted([hashes]))
        if not self._held:
            self._counts = None

    def used(self, identity: str) -> int:
        """Give how many events of an identity are held."""
        if not self._held:
            return 0
        return self.counts()[hash_of(identity)]

    def counts(self) -> Counter[int]:
        """Give how many events are held, by hash; not to be changed."""
        self._asked = True
        if self._counts is None:
            self._counts = Counter(counted(self._held.values()))
        return self._counts
