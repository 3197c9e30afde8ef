"""Which workspaces a person should look at: those whose lanes were paused when last heard of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from operations.outcomes import OutcomeCount

LOOK_BACK_MS: Final = 3_600_000
"""Further back than any pause stays silent: deferred records come back within an hour."""
_PAUSED: Final = "paused_"


@dataclass(frozen=True, slots=True)
class Attention:
    """A pause that no delivery has followed.

    Attributes:
        reason: `unauthorized`, `misconfigured`, `unavailable` or `dead_letters`.
        minute_ms: when records were last deferred for it, milliseconds since 1970-01-01 UTC.
    """

    reason: str
    minute_ms: int


def paused_workspaces(counts: Iterable[OutcomeCount]) -> dict[str, Attention]:
    """Tell from recent outcome counts which workspaces are paused, and why."""
    paused: dict[str, Attention] = {}
    delivered: dict[str, int] = {}
    for each in counts:
        if each.outcome == Outcome.DELIVERED:
            delivered[each.workspace] = max(each.minute_ms, delivered.get(each.workspace, 0))
        elif each.outcome == Outcome.DEFERRED and each.reason.startswith(_PAUSED):
            known = paused.get(each.workspace)
            if known is None or each.minute_ms >= known.minute_ms:
                paused[each.workspace] = Attention(each.reason[len(_PAUSED) :], each.minute_ms)
    return {
        workspace: attention
        for workspace, attention in paused.items()
        if delivered.get(workspace, 0) <= attention.minute_ms
    }
