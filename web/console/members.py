"""Finding members of a segment by a part of their id, a bounded number of them at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from heapline.memberships import Memberships

SEARCHED: Final = 5_000
"""Members looked at for one page: a few hundredths of a second, however many there are."""
SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Found:
    """Members whose ids have something in them.

    Attributes:
        users: in the index's order, at most `SHOWN`.
        more: where to go on; None where all members were looked at.
    """

    users: tuple[str, ...]
    more: str | None


def find_members(
    view: Memberships, workspace: str, segment: str, part: str, cursor: str | None
) -> Found:
    """Look at the next members; without a part, just list them.

    Args:
        view: of the index.
        workspace: whose.
        segment: which.
        part: of the user's id, small and capital letters alike; empty for any.
        cursor: where to go on, from a page before.

    Raises:
        InvalidCursor: it is of another index.
    """
    if not part:
        page = view.members_page(workspace, segment, cursor, SHOWN)
        return Found(tuple(page.users), page.cursor)
    wanted, found = part.casefold(), list[str]()
    looked = 0
    while looked < SEARCHED:
        page = view.members_page(workspace, segment, cursor, _AT_ONCE)
        for user in page.users:
            if wanted in user.casefold():
                found.append(user)
        looked += len(page.users)
        cursor = page.cursor
        if cursor is None or len(found) >= SHOWN:
            break
    return Found(tuple(found), cursor)


_AT_ONCE: Final = 500
