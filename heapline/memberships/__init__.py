"""Which Heap segments a user is in: the index's file format, its reader, and audience rules."""

from heapline.memberships.audience import Audience, Unresolved
from heapline.memberships.errors import (
    IndexDamaged,
    IndexUnavailable,
    InvalidAudience,
    InvalidCursor,
    UnknownSegment,
    UnknownWorkspace,
)
from heapline.memberships.evaluation import AudienceCount, Evaluation, Result
from heapline.memberships.member_set import MemberSet
from heapline.memberships.members_page import MembersPage
from heapline.memberships.reader import MembershipReader
from heapline.memberships.segments import Freshness, SegmentRow
from heapline.memberships.view import Memberships

__all__ = [
    "Audience",
    "AudienceCount",
    "Evaluation",
    "Freshness",
    "IndexDamaged",
    "IndexUnavailable",
    "InvalidAudience",
    "InvalidCursor",
    "MemberSet",
    "MembersPage",
    "MembershipReader",
    "Memberships",
    "Result",
    "SegmentRow",
    "UnknownSegment",
    "UnknownWorkspace",
    "Unresolved",
]
