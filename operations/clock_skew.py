"""Whether this machine's clock agrees with Heap's well enough for the webhook.

Heap signs each call with its own time, and a call counts for at most 60 s after that and 1 s before
(Heap, Data-out API reference): a clock that is behind refuses everything, one that is far ahead
refuses what took a while to come.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from operations.doctor import Level, Result

_BEHIND_SECONDS: Final = 2.0
"""One second is allowed, and the header tells whole seconds."""
_AHEAD_SECONDS: Final = 30.0
"""Half of the window; the rest is for the call's own way."""
_FIX: Final = "set this machine's clock by NTP: the webhook refuses calls signed in the future"


def judge_clock(date: str | None, sent_at: float, answered_at: float) -> Result | None:
    """Compare an answer's `Date` header (RFC 9110) with this machine's clock.

    Args:
        date: the header; None where the server sent none.
        sent_at: when the question went out, seconds since 1970-01-01 UTC by this machine's clock.
        answered_at: when the answer was in, likewise.

    Returns:
        What to tell; None where the header says nothing.
    """
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    # The header was written between the two, and cut to whole seconds.
    behind, ahead = theirs - answered_at, sent_at - (theirs + 1)
    if behind > _BEHIND_SECONDS:
        return Result("clock", Level.FAIL, f"{behind:.0f} s behind Heap's clock", _FIX)
    if ahead > _AHEAD_SECONDS:
        return Result("clock", Level.FAIL, f"{ahead:.0f} s ahead of Heap's clock", _FIX)
    return Result("clock", Level.OK, "agrees with Heap's")
