"""The targeting service's reader: asks the newest generation, in microseconds."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from heapline.clock import SystemClock
from heapline.memberships.base import BEFORE_KEY
from heapline.memberships.dictionary import HALF_BYTES, NOBODY
from heapline.memberships.errors import IndexUnavailable
from heapline.memberships.generations import load_newest, map_published
from heapline.memberships.members_page import MEMBERS_A_PAGE
from heapline.memberships.view import Memberships

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from heapline.clock import Clock
    from heapline.kafka.position import Position
    from heapline.memberships.evaluation import AudienceCount, Evaluation
    from heapline.memberships.member_set import MemberSet
    from heapline.memberships.members_page import MembersPage
    from heapline.memberships.newer_keys import NewerKeys
    from heapline.memberships.segments import Freshness, SegmentRow

_log = logging.getLogger(__name__)


class MembershipReader:
    """Answers who is in which Heap segment, from the index another process keeps.

    Every call answers from the newest generation that is whole, and notices a new one by reading
    one number of a mapped file; it never waits for the writer. Several calls that must agree go to
    one `pinned()` view, whose `freshness` then holds for all of them. Threads may share a reader.

    Args:
        folder: the index, `index` in the state folder, on this machine.
        clock: tells how old segments are.

    Raises:
        IndexUnavailable: by the constructor, if there is no whole generation.
        UnknownWorkspace: by every question about a workspace that is not connected.
        UnknownSegment: by every question about one segment the workspace has not synced.
    """

    def __init__(self, folder: str | os.PathLike[str], clock: Clock | None = None) -> None:
        self._folder = Path(folder)
        self._clock = clock or SystemClock()
        self._turn = threading.Lock()
        self._damage: tuple[str, ...] = ()
        self._published = map_published(self._folder)
        self._seen = self._published[0]
        self._keys: NewerKeys | None = None
        self._view = self._loaded(None)

    @property
    def damage(self) -> tuple[str, ...]:
        """What is wrong with generations newer than the one that answers; empty if all is well."""
        return self._damage

    def pinned(self) -> Memberships:
        """Give the newest generation, to be asked several times about one moment."""
        return self._view if self._published[0] == self._seen else self._renewed()

    def refresh(self) -> Freshness:
        """Look into the folder itself, which also notices that the folder was replaced."""
        with self._turn:
            self._published = map_published(self._folder)
            self._seen = self._published[0]
            self._view = self._loaded(self._view)
            return self._view.freshness

    @property
    def freshness(self) -> Freshness:
        """Generation, position and time of the newest generation."""
        return self.pinned().freshness

    def workspaces(self) -> list[str]:
        """See `Memberships.workspaces`."""
        return self.pinned().workspaces()

    def segments(self, workspace: str) -> list[SegmentRow]:
        """See `Memberships.segments`."""
        return self.pinned().segments(workspace)

    def segment(self, workspace: str, segment: str) -> SegmentRow:
        """See `Memberships.segment`."""
        return self.pinned().segment(workspace, segment)

    def has_reached(self, position: Position) -> bool:
        """See `Memberships.has_reached`."""
        return self.pinned().has_reached(position)

    def is_member(self, workspace: str, user: str, segment: str) -> bool:
        """Tell whether a user is in a segment."""
        # `Memberships.is_member` and all it calls, written out: calls take longer than the rest.
        view = self._view if self._published[0] == self._seen else self._renewed()
        try:
            tail, number, elsewhere, members, changed = view.lookups[workspace][segment]
            key = user.encode() + tail
        except (KeyError, UnicodeEncodeError):
            return view.is_member(workspace, user, segment)
        slots, shift, texts, first, halves = view.users
        at = crc32(key) >> shift
        while slot := slots[at]:
            begin = slot * HALF_BYTES + first
            if texts[begin : begin + len(key)] == key:
                code = halves[slot]
                if code in elsewhere:
                    return (code in members) is not (code in changed)
                end = begin - BEFORE_KEY
                return number in texts[end - texts[end] : end]
            at += 1
        code = view.newer.find(key)
        return code != NOBODY and code in changed

    def segments_of(self, workspace: str, user: str) -> list[str]:
        """Give the ids of the segments a user is in, in any order."""
        # As `is_member`.
        view = self._view if self._published[0] == self._seen else self._renewed()
        try:
            key = user.encode() + view.tails[workspace]
        except (KeyError, UnicodeEncodeError):
            return view.segments_of(workspace, user)
        slots, shift, texts, first, halves = view.users
        at = crc32(key) >> shift
        while slot := slots[at]:
            begin = slot * HALF_BYTES + first
            if texts[begin : begin + len(key)] == key:
                code = halves[slot]
                end = begin - BEFORE_KEY
                row: Sequence[int] = texts[end - texts[end] : end]
                if code in view.elsewhere:  # A map gives bytes.
                    row = view.row_of(code, row)  # type: ignore[arg-type]
                ids = view.ids
                found: list[str] = []
                for segment in row:
                    found.append(ids[segment])  # noqa: PERF401 -- half as long as a comprehension
                return found
            at += 1
        return view.ids_of(view.newer.find(key))

    def entered_at_ms(self, workspace: str, user: str, segment: str) -> int | None:
        """See `Memberships.entered_at_ms`."""
        return self.pinned().entered_at_ms(workspace, user, segment)

    def memberships_of(self, workspace: str, user: str) -> list[tuple[str, int]]:
        """See `Memberships.memberships_of`."""
        return self.pinned().memberships_of(workspace, user)

    def check(self, workspace: str, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """See `Memberships.check`."""
        return self.pinned().check(workspace, pairs)

    def check_columns(
        self, workspace: str, users: Sequence[str], segments: Sequence[str]
    ) -> list[bool | None]:
        """See `Memberships.check_columns`."""
        return self.pinned().check_columns(workspace, users, segments)

    def check_users(self, workspace: str, users: Sequence[str], segment: str) -> list[bool]:
        """See `Memberships.check_users`."""
        return self.pinned().check_users(workspace, users, segment)

    def count(self, workspace: str, segment: str) -> int:
        """See `Memberships.count`."""
        return self.pinned().count(workspace, segment)

    def member_set(self, workspace: str, segment: str) -> MemberSet:
        """See `Memberships.member_set`."""
        return self.pinned().member_set(workspace, segment)

    def members(self, workspace: str, segment: str) -> Iterator[str]:
        """See `Memberships.members`."""
        return self.pinned().members(workspace, segment)

    def members_page(
        self,
        workspace: str,
        segment: str,
        cursor: str | None = None,
        limit: int = MEMBERS_A_PAGE,
    ) -> MembersPage:
        """See `Memberships.members_page`."""
        return self.pinned().members_page(workspace, segment, cursor, limit)

    def evaluate(self, workspace: str, audience: object, user: str) -> Evaluation:
        """See `Memberships.evaluate`."""
        return self.pinned().evaluate(workspace, audience, user)

    def evaluate_users(
        self, workspace: str, audience: object, users: Iterable[str]
    ) -> list[Evaluation]:
        """See `Memberships.evaluate_users`."""
        return self.pinned().evaluate_users(workspace, audience, users)

    def count_audience(self, workspace: str, audience: object) -> AudienceCount:
        """See `Memberships.count_audience`."""
        return self.pinned().count_audience(workspace, audience)

    def audience_members(self, workspace: str, audience: object) -> MemberSet:
        """See `Memberships.audience_members`."""
        return self.pinned().audience_members(workspace, audience)

    def _renewed(self) -> Memberships:
        """Open the new generation, or go on with the old one while another thread does."""
        if self._turn.acquire(blocking=False):
            try:
                published = self._published[0]
                try:
                    self._view = self._loaded(self._view)
                except IndexUnavailable as error:
                    self._tell((str(error),))
                # Also after a failure: the next generation is the next chance.
                self._seen = published
            finally:
                self._turn.release()
        return self._view

    def _loaded(self, current: Memberships | None) -> Memberships:
        base = None if current is None else current.base
        loaded = load_newest(self._folder, base, self._keys)
        self._keys = loaded.overlay.keys
        self._tell(loaded.damage)
        number = loaded.overlay.freshness.generation
        if current is not None and number == current.freshness.generation:
            return current
        return Memberships(loaded.base, loaded.overlay, self._clock)

    def _tell(self, damage: tuple[str, ...]) -> None:
        if damage and damage != self._damage:
            _log.warning("the membership index is damaged, older answers are given: %s", damage)
        self._damage = damage
