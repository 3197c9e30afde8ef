"""Sets of users of one workspace, and their algebra."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from heapline.errors import CallerMistake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyroaring import BitMap

_CHUNK: Final = 1000


class MemberSet:
    """Users of one workspace at one moment; `len` counts them exactly, iterating gives their ids.

    Take the sets you combine from one `MembershipReader.pinned()`, and they are of one moment. Sets
    of two generations combine as well, unless the index was rebuilt in between.

    Raises:
        CallerMistake: sets of two workspaces, or from before and after a rebuild, are combined.
    """

    def __init__(
        self, workspace: str, epoch: int, codes: BitMap, text: Callable[[int], str]
    ) -> None:
        self._workspace = workspace
        self._epoch = epoch
        self._codes = codes
        self._text = text

    def and_(self, other: MemberSet) -> MemberSet:
        """Give those who are in both."""
        return self._with(self._codes & self._of(other))

    def or_(self, other: MemberSet) -> MemberSet:
        """Give those who are in at least one."""
        return self._with(self._codes | self._of(other))

    def andnot(self, other: MemberSet) -> MemberSet:
        """Give those who are here and not there."""
        return self._with(self._codes - self._of(other))

    __and__ = and_
    __or__ = or_
    __sub__ = andnot

    def __len__(self) -> int:
        return len(self._codes)

    def __iter__(self) -> Iterator[str]:
        return map(self._text, self._codes)

    def pages(self, users: int = _CHUNK) -> Iterator[list[str]]:
        """Give the ids in lists of at most so many."""
        ids = iter(self)
        while page := list(islice(ids, users)):
            yield page

    def _of(self, other: MemberSet) -> BitMap:
        if (self._workspace, self._epoch) != (other._workspace, other._epoch):
            raise CallerMistake(
                "sets of two workspaces, or from before and after a rebuild of the index, cannot "
                "be combined: take both from one MembershipReader.pinned()"
            )
        return other._codes

    def _with(self, codes: BitMap) -> MemberSet:
        return MemberSet(self._workspace, self._epoch, codes, self._text)
