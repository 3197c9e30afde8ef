"""What a person reads when connecting did not work: what happened, and what to do now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.errors import HeapUnavailable, InvalidSetting, NotReady, TryAgainLater
from heapline.heap.oauth import GrantRefused
from heapline.signed_text import Expired, NotSigned
from operations.connecting import Denied, ForgedCallback
from producers.connections import AlreadyClaimed
from producers.invitations import InvitationExpired, NotInvited, OtherEnvironment

if TYPE_CHECKING:
    from heapline.errors import HeaplineError


@dataclass(frozen=True, slots=True)
class Trouble:
    """One page.

    Attributes:
        status: the HTTP status.
        kind: a short stable name, for logs and tests.
        title: what happened.
        advice: what to do.
        again: whether the same link may be opened again.
    """

    status: int
    kind: str
    title: str
    advice: str
    again: bool = False


_ASK: Final = "Ask whoever sent you the link for a new one"
_OPERATOR: Final = "`heapline connections invite WORKSPACE`"
_TROUBLES: Final[dict[type[HeaplineError], Trouble]] = {
    NotInvited: Trouble(
        404,
        "link_not_open",
        "This link is not open",
        "It was used already, a newer link replaced it, or it was not copied whole. If the "
        f"workspace is connected, there is nothing to do. Otherwise: {_ASK.lower()}.",
    ),
    InvitationExpired: Trouble(
        410, "link_expired", "This link has expired", f"Links are good for 24 hours. {_ASK}."
    ),
    NotSigned: Trouble(
        400,
        "callback_forged",
        "This answer was not asked for",
        "The address was changed on its way, or it belongs to another installation. Nothing was "
        "connected. Open the link you were sent once more, and go on from there.",
        again=True,
    ),
    ForgedCallback: Trouble(
        400,
        "callback_of_another_browser",
        "This answer belongs to another browser",
        "Connecting must end in the browser in which it began, with cookies allowed. Nothing was "
        "connected. Open the link you were sent in this browser, and go on from there.",
        again=True,
    ),
    Expired: Trouble(
        400,
        "callback_expired",
        "That took too long",
        "Heap's page must be answered within 30 minutes. Nothing was connected: begin again.",
        again=True,
    ),
    Denied: Trouble(
        403,
        "denied",
        "Heap was not allowed to share segments",
        "Nothing was connected and nothing was changed. If that was a mistake, or if another "
        "person must click Allow, the same link can be opened again.",
        again=True,
    ),
    GrantRefused: Trouble(
        400,
        "grant_refused",
        "Heap did not confirm what you allowed",
        "Its answer may be used once, and within minutes; reloading this page uses it twice. "
        "If the workspace is not connected yet, begin again.",
        again=True,
    ),
    AlreadyClaimed: Trouble(
        409,
        "already_claimed",
        "This Heap environment belongs to another workspace",
        "One Heap environment is connected to one workspace, because Heap's calls could not be "
        "told apart otherwise. Nothing was changed. Begin again and choose another environment, "
        "or ask whoever sent you the link: the other workspace must be disconnected first.",
        again=True,
    ),
    InvalidSetting: Trouble(
        502,
        "installation_unknown",
        "Heap does not know this installation",
        "This is not yours to mend: tell whoever sent you the link. Its operator finds the reason "
        "with `heapline doctor` and in the server's log.",
    ),
    HeapUnavailable: Trouble(
        503,
        "heap_unavailable",
        "Heap does not answer",
        "Nothing was connected. Wait a minute, then begin again.",
        again=True,
    ),
    NotReady: Trouble(
        503,
        "not_ready",
        "This installation is not ready yet",
        "Nothing was connected. Tell whoever sent you the link: `heapline doctor` says what is "
        "missing.",
        again=True,
    ),
    TryAgainLater: Trouble(
        503,
        "unavailable",
        "This does not work just now",
        "Wait a minute, then begin again. If the workspace turns out to be connected already, "
        "all is well.",
        again=True,
    ),
}


def trouble_of(error: HeaplineError) -> Trouble:
    """Give the page for an error; names nobody else's workspace and nothing secret."""
    if isinstance(error, OtherEnvironment):
        return Trouble(
            409,
            "other_environment",
            "You chose another Heap environment",
            f"This workspace belongs to environment {error.current or 'of an earlier connection'}, "
            f"and you chose {error.chosen}. Nothing was changed. Begin again and choose the "
            "same one, or say that the workspace is to move.",
            again=True,
        )
    for kind in type(error).__mro__:
        if kind in _TROUBLES:
            return _TROUBLES[kind]
    return Trouble(
        500,
        "failed",
        "heapline failed here",
        f"Tell whoever sent you the link; a new one is made with {_OPERATOR}.",
        again=True,
    )
