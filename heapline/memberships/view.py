"""The memberships of one generation: every question a reader can ask, of one moment."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from pyroaring import BitMap

from heapline.clock import SystemClock
from heapline.kafka.position import segment_digest
from heapline.memberships.audience import Audience
from heapline.memberships.base import CODES_OF_A_BYTE
from heapline.memberships.columns import UNKNOWN, Codes, Columns
from heapline.memberships.dictionary import NOBODY
from heapline.memberships.errors import UnknownSegment, UnknownWorkspace
from heapline.memberships.evaluation import (
    DISCONNECTED,
    UNKNOWN_SEGMENT,
    AudienceCount,
    Evaluation,
    Result,
    decide_all,
    evaluate,
)
from heapline.memberships.keys import tail_of
from heapline.memberships.member_set import MemberSet
from heapline.memberships.members_page import MEMBERS_A_PAGE, MembersPage, code_of, cursor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from heapline.clock import Clock
    from heapline.kafka.position import Position
    from heapline.memberships.base import Base
    from heapline.memberships.evaluation import Decided
    from heapline.memberships.overlay import Overlay
    from heapline.memberships.segments import SegmentRow

_SHOWN_MS: Final = 1_000

Lookup = tuple[bytes, int, BitMap, BitMap, BitMap]
"""How to ask about a segment: what the keys of its workspace end with; its code; the users whose
membership is not told by the row beside their key in the base; its bitmap in the base, and that of
the users whose membership has changed since.
"""
_NOTHING: Final[dict[str, Lookup]] = {}


class Memberships:
    """One generation of the index; it never changes, and any number of threads may ask it.

    Users and segments are named by text; a user never seen is simply in no segment. Time alone
    turns a segment's row into another one, and that is looked at every second.

    Attributes:
        freshness: generation, position and time.
        base: its base; the next generation need not open it again.
        newer: the users who came after the base.
        users: how to find the others; see `Dictionary.parts`.
        elsewhere: the users whose segments are not those beside their keys in the base.
        ids: of all segments, by their codes.
        tails: what the keys of each workspace end with.
        lookups: by workspace and segment, for those asked for before.

    Args:
        base, overlay: its files.
        clock: tells how old segments are.

    Raises:
        UnknownWorkspace: by every question about a workspace that is not connected.
        UnknownSegment: by every question about one segment the workspace has not synced.
    """

    # Slots are found in one step, whatever else is kept in the dictionary.
    __slots__ = ("__dict__", "base", "elsewhere", "ids", "lookups", "newer", "tails", "users")

    def __init__(self, base: Base, overlay: Overlay, clock: Clock | None = None) -> None:
        self.freshness = overlay.freshness
        self._now_ms = (clock or SystemClock()).epoch_ms
        self._shown: dict[str, tuple[int, dict[str, SegmentRow]]] = {}
        self.base = base
        self._overlay = overlay
        self.newer = overlay.dictionary(base.users)
        self.users = base.dictionary.parts
        self._columns = Columns(base, overlay, self.newer)
        self.tails = {name: tail_of(code) for code, name in enumerate(overlay.workspaces)}
        self._codes: dict[str, dict[str, int]] = {name: {} for name in overlay.workspaces}
        for code, row in enumerate(overlay.segments):
            self._codes[row.workspace][row.segment_id] = code
        self._said: dict[str, Codes] = {}
        self.ids = [row.segment_id for row in overlay.segments]
        self.elsewhere = overlay.changed | base.elsewhere
        self._few_segments = len(self.ids) <= CODES_OF_A_BYTE
        self._in_bytes = self._few_segments and not base.elsewhere
        self.lookups: dict[str, dict[str, Lookup]] = {name: {} for name in overlay.workspaces}
        self._disconnected = any(row.disconnected for row in overlay.segments)

    def workspaces(self) -> list[str]:
        """Give the workspaces that are known."""
        return list(self.tails)

    def segments(self, workspace: str) -> list[SegmentRow]:
        """Give a workspace's segments, those without members too."""
        return list(self._rows_now(workspace).values())

    def segment(self, workspace: str, segment: str) -> SegmentRow:
        """Give a segment's name, status and age."""
        row = self._rows_now(workspace).get(segment)
        if row is None:
            raise UnknownSegment(workspace, segment)
        return row

    def has_reached(self, position: Position) -> bool:
        """Tell whether a page, and all its segment's earlier ones, are taken into account."""
        row = self._by_digest.get(position.segment)
        return (
            row is not None
            and row.pages_partition == position.partition
            and row.pages_offset >= position.offset
        )

    def is_member(self, workspace: str, user: str, segment: str) -> bool:
        """Tell whether a user is in a segment."""
        tail, _, _, base, changed = self._lookup(workspace, segment)
        code = self._code(tail, user)
        return code >= 0 and (code in base) is not (code in changed)

    def segments_of(self, workspace: str, user: str) -> list[str]:
        """Give the ids of the segments a user is in, in any order."""
        return self.ids_of(self._code(self._tail(workspace), user))

    def ids_of(self, code: int) -> list[str]:
        """Give the ids of the segments a user is in, by the user's code; none of `NOBODY`."""
        return [self.ids[segment] for segment in self._row(code)]

    def row_of(self, code: int, beside: bytes) -> Sequence[int]:
        """Give the codes of the segments of one of `elsewhere`, from what is beside the key."""
        if self._in_bytes or (self._few_segments and code not in self.base.elsewhere):
            return self._overlay.row_in_bytes(code, beside)  # as one of `changed`
        return self._row(code)

    def entered_at_ms(self, workspace: str, user: str, segment: str) -> int | None:
        """Tell since when a user is in a segment; None if it is not in.

        Milliseconds since 1970-01-01 UTC: when the page that added the user was accepted.
        """
        tail, _, _, base, changed = self._lookup(workspace, segment)
        code = self._code(tail, user)
        if code < 0 or (code in base) is (code in changed):
            return None
        return self._entered_at_ms(code, self._codes[workspace][segment])

    def memberships_of(self, workspace: str, user: str) -> list[tuple[str, int]]:
        """Give the segments a user is in, each with the time since when; see `entered_at_ms`."""
        code = self._code(self._tail(workspace), user)
        return [
            (self.ids[segment], self._entered_at_ms(code, segment)) for segment in self._row(code)
        ]

    def check(self, workspace: str, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """Tell for many (user, segment) pairs; None where nobody can say.

        That is where the segment is unknown, or belongs to an environment that was left.
        """
        if not pairs:
            self._segments_in(workspace)
            return []
        users, segments = zip(*pairs, strict=True)
        return self.check_columns(workspace, users, segments)

    def check_columns(
        self, workspace: str, users: Sequence[str], segments: Sequence[str]
    ) -> list[bool | None]:
        """Tell as `check`, for users and segments in two columns of one length."""
        asked = self._asked(workspace, segments)
        held: list[bool | None] = self._held(workspace, users, asked).tolist()
        for place in np.flatnonzero(asked == UNKNOWN).tolist():
            held[place] = None
        return held

    def check_users(self, workspace: str, users: Sequence[str], segment: str) -> list[bool]:
        """Tell for many users whether they are in one segment."""
        code = np.full(len(users), self._segment_code(workspace, segment), np.int32)
        held: list[bool] = self._held(workspace, users, code).tolist()
        return held

    def count(self, workspace: str, segment: str) -> int:
        """Count a segment's members."""
        _, _, _, base, changed = self._lookup(workspace, segment)
        return len(base) + len(changed) - 2 * base.intersection_cardinality(changed)

    def member_set(self, workspace: str, segment: str) -> MemberSet:
        """Give a segment's members as a set, to be counted, listed and combined."""
        return self._set_of(workspace, self._members(workspace, segment))

    def members(self, workspace: str, segment: str) -> Iterator[str]:
        """Stream a segment's members, all of this moment."""
        return iter(self.member_set(workspace, segment))

    def members_page(
        self,
        workspace: str,
        segment: str,
        cursor: str | None = None,
        limit: int = MEMBERS_A_PAGE,
    ) -> MembersPage:
        """Give some members and where to go on, also in a later generation.

        Whoever is a member from the first page to the last is listed once; others may be.

        Raises:
            InvalidCursor: the cursor is not one of ours, or users were numbered anew since.
        """
        members = self._members(workspace, segment)
        first = 0 if cursor is None else code_of(cursor, self.base.epoch)
        codes = list(itertools.islice(members.iter_equal_or_larger(first), limit + 1))
        more = cursor_of(codes[limit], self.base.epoch) if len(codes) > limit else None
        return MembersPage([self._text(code) for code in codes[:limit]], more)

    def evaluate(self, workspace: str, audience: object, user: str) -> Evaluation:
        """Tell whether a user is in an audience.

        Args:
            workspace: whose user and segments.
            audience: an `Audience`, or Command AI's own shape as parsed JSON.
            user: the user's id.

        Raises:
            InvalidAudience: see `Audience.parse`.
        """
        return self.evaluate_users(workspace, audience, [user])[0]

    def evaluate_users(
        self, workspace: str, audience: object, users: Iterable[str]
    ) -> list[Evaluation]:
        """Tell for several users, as `evaluate`."""
        wanted = _audience(audience)
        doubtful = self._doubtful(workspace, wanted)
        lookups = {name: self._lookup(workspace, name) for name in self._known(workspace, wanted)}
        reason = self._reasons(workspace)
        answers = []
        for user in users:
            code = self._code(self.tails[workspace], user)

            def member(segment: str, code: int = code) -> bool | None:
                if segment not in lookups:
                    return None
                _, _, _, base, changed = lookups[segment]
                return code >= 0 and (code in base) is not (code in changed)

            value, left = evaluate(wanted.rule, member, reason)
            answers.append(Evaluation(Result.of(value), tuple(left), doubtful))
        return answers

    def count_audience(self, workspace: str, audience: object) -> AudienceCount:
        """Count an audience among the users who are in at least one segment of the workspace.

        Raises:
            InvalidAudience: see `Audience.parse`.
        """
        wanted = _audience(audience)
        everyone, decided = self._decided(workspace, wanted)
        match, no_match = len(decided.true), len(decided.false)
        undecided = len(everyone) - match - no_match
        unresolved = decided.unresolved if undecided else ()
        doubtful = self._doubtful(workspace, wanted)
        return AudienceCount(match, no_match, undecided, unresolved, doubtful)

    def audience_members(self, workspace: str, audience: object) -> MemberSet:
        """Give those `count_audience` counts as a match.

        Raises:
            InvalidAudience: see `Audience.parse`.
        """
        return self._set_of(workspace, self._decided(workspace, _audience(audience))[1].true)

    @cached_property
    def _by_digest(self) -> dict[str, SegmentRow]:
        return {
            segment_digest(row.workspace, row.segment_id): row for row in self._overlay.segments
        }

    def _lookup(self, workspace: str, segment: str) -> Lookup:
        found = self.lookups.get(workspace, _NOTHING).get(segment)
        if found is not None:
            return found
        code = self._segment_code(workspace, segment)
        members, changed = self.base.bitmap(code), self._overlay.bitmap(code)
        elsewhere = changed | self.base.untold(code)
        found = self.tails[workspace], code, elsewhere, members, changed
        self.lookups[workspace][segment] = found
        return found

    def _tail(self, workspace: str) -> bytes:
        tail = self.tails.get(workspace)
        if tail is None:
            raise UnknownWorkspace(workspace)
        return tail

    def _code(self, tail: bytes, user: str) -> int:
        try:
            key = user.encode() + tail
        except UnicodeEncodeError:  # half of a surrogate pair: no such id can be synced
            return NOBODY
        code = self.base.dictionary.find(key)
        return self.newer.find(key) if code < 0 else code

    def _row(self, code: int) -> Sequence[int]:
        """Give the codes of the segments a user is in."""
        if code == NOBODY:
            return ()
        row = self.base.row(code)
        return self._overlay.row(code, row) if code in self._overlay.changed else row

    def _entered_at_ms(self, user: int, segment: int) -> int:
        """Tell for somebody who is in."""
        at_ms = self._overlay.entered_at_ms(user, segment)
        if at_ms is None:
            at_ms = self.base.entered_at_ms(user, segment)
        return at_ms or 0

    def _held(
        self, workspace: str, users: Sequence[str], segments: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        number = int.from_bytes(self.tails[workspace][1:], "little")
        return self._columns.held(number, users, segments)

    def _text(self, code: int) -> str:
        dictionary = self.base.dictionary if code < self.base.users else self.newer
        return dictionary.text(code)

    def _segments_in(self, workspace: str) -> dict[str, int]:
        known = self._codes.get(workspace)
        if known is None:
            raise UnknownWorkspace(workspace)
        return known

    def _asked(self, workspace: str, segments: Sequence[str]) -> NDArray[np.int32]:
        """Give the codes of the segments of which can be said who is in them."""
        codes = self._said.get(workspace)
        if codes is None:
            codes = self._said[workspace] = Codes(self._said_in(workspace))
        return codes.of(segments)

    def _said_in(self, workspace: str) -> dict[str, int]:
        """Give the segments of which can be said who is in them."""
        known = self._segments_in(workspace)
        if not self._disconnected:
            return known
        rows = self._overlay.segments
        return {name: code for name, code in known.items() if not rows[code].disconnected}

    def _reasons(self, workspace: str) -> Callable[[str], str]:
        known = self._segments_in(workspace)
        return lambda segment: DISCONNECTED if segment in known else UNKNOWN_SEGMENT

    def _rows_now(self, workspace: str) -> dict[str, SegmentRow]:
        now_ms = self._now_ms()
        shown_at_ms, rows = self._shown.get(workspace, (0, {}))
        if not 0 <= now_ms - shown_at_ms < _SHOWN_MS:
            codes = self._segments_in(workspace).values()
            written = [self._overlay.segments[code] for code in codes]
            times = (row.last_synced_at_ms for row in written)
            newest = max((each for each in times if each is not None), default=None)
            rows = {row.segment_id: row.at(now_ms, newest) for row in written}
            self._shown[workspace] = now_ms, rows
        return rows

    def _segment_code(self, workspace: str, segment: str) -> int:
        code = self._segments_in(workspace).get(segment)
        if code is None:
            raise UnknownSegment(workspace, segment)
        return code

    def _members(self, workspace: str, segment: str) -> BitMap:
        _, _, _, base, changed = self._lookup(workspace, segment)
        return base ^ changed if changed else base

    def _set_of(self, workspace: str, codes: BitMap) -> MemberSet:
        return MemberSet(workspace, self.base.epoch, codes, self._text)

    def _known(self, workspace: str, audience: Audience) -> list[str]:
        known = self._said_in(workspace)
        return [segment for segment in audience.segments if segment in known]

    def _doubtful(self, workspace: str, audience: Audience) -> tuple[str, ...]:
        rows = self._rows_now(workspace)
        return tuple(each for each in audience.segments if each in rows and rows[each].doubtful)

    def _decided(self, workspace: str, audience: Audience) -> tuple[BitMap, Decided]:
        known = self._segments_in(workspace)
        bitmaps = {segment: self._members(workspace, segment) for segment in known}
        everyone = BitMap.union(*bitmaps.values()) if bitmaps else BitMap()
        said = {segment: bitmaps[segment] for segment in self._said_in(workspace)}
        return everyone, decide_all(audience.rule, everyone, said.get, self._reasons(workspace))


def _audience(audience: object) -> Audience:
    return audience if isinstance(audience, Audience) else Audience.parse(audience)
