"""Records of `heap.segment-memberships`: who entered or left a segment, when, and by which sync.

A leave is a tombstone and has no value to tell when and why it happened; so it says both in
headers, which only history needs. An enter says both in its value, and has no headers: reading them
would take as long as reading all the rest (earlier ones have them, and they say the same). The last
record of a page, whatever it is, says that in a header: what stands before it is shown only
together with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from heapline.heap.segment_keys import membership_key, read_key
from heapline.words import SegmentId, UserId, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heapline.kafka.headers import Headers

AT: Final = "heapline-at"
"""When the page of a leave was accepted: milliseconds since 1970-01-01 UTC, as text."""
SYNC: Final = "heapline-sync"
"""The id of the sync of a leave, as in `HeapSegment.syncs`."""
PAGE_END: Final = "heapline-page-end"
"""Present, and empty, on the last record of a page, or of one part of a drain."""
PAGE_ENDS: Final = ((PAGE_END, b""),)
"""The headers of a page's last record, behind those of any other."""
_KEY_TEXTS: Final = 3


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """One user enters or leaves one segment.

    Attributes:
        enters: True for an enter, False for a leave.
        at_ms: when the page was accepted, milliseconds since 1970-01-01 UTC.
        sync: the sync's id; None where a record of others does not tell.
        ends_page: whether it is the last of its page.
    """

    workspace: Workspace
    user: UserId
    segment: SegmentId
    enters: bool
    at_ms: int
    sync: str | None
    ends_page: bool = False

    def key(self) -> bytes:
        """Give the record's key."""
        return membership_key(self.workspace, self.user, self.segment)

    def headers(self) -> Headers:
        """Give the record's headers."""
        headers = [] if self.enters else leave_headers(self.at_ms, self.sync)
        return [*headers, *PAGE_ENDS] if self.ends_page else headers

    def to_record(self) -> dict[str, Any] | None:
        """Give the Avro record, or None for a leave."""
        if not self.enters:
            return None
        return {"entered_at": self.at_ms, "sync_task_id": self.sync}

    @classmethod
    def read(
        cls,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes | None]],
        written_ms: int,
        decode: Callable[[bytes], Mapping[str, Any]],
    ) -> MembershipChange:
        """Read one record.

        Args:
            key: the record's.
            value: the record's; None is a leave.
            headers: the record's.
            written_ms: the record's timestamp, for a leave without our headers.
            decode: reads a framed `SegmentMembership`.

        Raises:
            ValueError: the key is no membership's.
            HeaplineError: from `decode`.
        """
        workspace, user, segment = read_key(key, _KEY_TEXTS)
        told = {name: text for name, text in headers if text is not None}
        if value is None:
            at_ms, sync = _told(told, written_ms)
        else:
            record = decode(value)
            at_ms, sync = int(record["entered_at"]), record["sync_task_id"]
        return cls(
            Workspace(workspace),
            UserId(user),
            SegmentId(segment),
            value is not None,
            at_ms,
            sync,
            PAGE_END in told,
        )


def leave_headers(at_ms: int, sync: str | None) -> Headers:
    """Give the headers of a leave."""
    headers = [(AT, b"%d" % at_ms)]
    if sync is not None:
        headers.append((SYNC, sync.encode()))
    return headers


def _told(headers: Mapping[str, bytes], written_ms: int) -> tuple[int, str | None]:
    sync = headers.get(SYNC)
    try:
        at_ms = int(headers.get(AT, b"%d" % written_ms))
        return at_ms, None if sync is None else sync.decode()
    except ValueError:
        return written_ms, None
