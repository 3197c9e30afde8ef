"""A list of members in parts, and the cursors by which it goes on in a later generation."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from heapline.memberships.errors import InvalidCursor

MEMBERS_A_PAGE: Final = 1000
_HIGHEST: Final = 0xFFFF_FFFF
_CURSOR: Final = re.compile(r"([0-9]{1,12})-([0-9]{1,10})")


class MembersPage(NamedTuple):
    """Some members of a segment.

    Attributes:
        users: their ids.
        cursor: what to ask the next page with; None after the last.
    """

    users: list[str]
    cursor: str | None


def cursor_of(code: int, epoch: int) -> str:
    """Name the user with whom a list goes on."""
    return f"{epoch}-{code}"


def code_of(cursor: str, epoch: int) -> int:
    """Give the user a cursor names.

    Raises:
        InvalidCursor: it is none, or users were numbered anew since.
    """
    found = _CURSOR.fullmatch(cursor)
    if found is None or int(found[2]) > _HIGHEST:
        raise InvalidCursor("this is not a cursor of a list of members")
    if int(found[1]) != epoch:
        raise InvalidCursor("the index was rebuilt since: start the listing again")
    return int(found[2])
