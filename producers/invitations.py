"""Invitations: one-time links by which a workspace is connected to Heap, and what they may do.

Where *once* is remembered: in the workspace's own row of `heap.connections`. The row holds the
digest of the one link that is open, and the transaction that writes a connection closes it, read
and written through the one fencing producer (`producers.connections`). So a link, and with it every
`state` made from it, connects at most once, over restarts and any number of web processes; a new
invitation closes the older one, and removing the connection closes it too. What is not written
(Deny, a Heap that is down) uses nothing up: the link may be opened again until it expires.

The link's secret itself is nowhere but in the link and, while somebody is on Heap's page, in that
browser's cookie: a callback in another browser is refused (RFC 6749, section 10.12).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from heapline.errors import CallerMistake
from heapline.heap.connection import Connection, Region
from producers.connections import check_text, next_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.heap.oauth import Grant
    from heapline.words import AppId, Workspace

INVITATION_MS: Final = 24 * 3_600_000
"""How long a link is good."""
_LONGEST: Final = 255


class NotInvited(CallerMistake):
    """No such link is open: it was used, replaced by a newer one, or it never was."""


class InvitationExpired(CallerMistake):
    """The link is older than 24 hours."""


class OtherEnvironment(CallerMistake):
    """Another environment than the workspace's was chosen, and moving was not asked for.

    Attributes:
        current: the environment the workspace belongs to, or None where it is not known.
        chosen: the other one.
    """

    def __init__(self, current: AppId | None, chosen: AppId) -> None:
        super().__init__(
            f"the workspace is connected to Heap environment {current or 'of before'}, and "
            f"{chosen} was chosen"
        )
        self.current = current
        self.chosen = chosen


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was chosen before Heap's page was opened.

    Attributes:
        region: where Heap keeps the environment; None where the person did not know.
        move: whether another environment than before may be chosen.
    """

    region: Region | None = None
    move: bool = False


def digest_of(secret: str) -> str:
    """Give what is kept of a link's secret; it is random and long, so a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def invited(
    workspace: Workspace,
    secret: str,
    rows: Iterable[Connection],
    now_ms: int,
    region: Region | None = None,
) -> Connection:
    """Decide the row of a workspace that gets an invitation; closes an older one.

    Raises:
        CallerMistake: the workspace's name is not usable.
    """
    check_text("workspace", workspace, _LONGEST)
    known = {row.workspace: row for row in rows}
    current = known.get(workspace) or Connection(workspace)
    changed = replace(
        current,
        region=region or current.region,
        invitation_digest=digest_of(secret),
        invitation_expires_at_ms=now_ms + INVITATION_MS,
    )
    return next_version(current, changed, known.values(), now_ms)


def invitation(secret: str, rows: Iterable[Connection], now_ms: int) -> Connection:
    """Find the row whose link is open under this secret.

    Raises:
        NotInvited, InvitationExpired: there is none.
    """
    return _open(digest_of(secret), rows, now_ms)


def _open(digest: str, rows: Iterable[Connection], now_ms: int) -> Connection:
    for row in rows:
        if row.invitation_digest and hmac.compare_digest(row.invitation_digest, digest):
            if (row.invitation_expires_at_ms or 0) <= now_ms:
                raise InvitationExpired("this link is older than 24 hours")
            return row
    raise NotInvited("this link is not open: it was used, replaced by a newer one, or never was")


def allowed(
    digest: str, grant: Grant, wishes: Wishes, rows: Iterable[Connection], now_ms: int
) -> Connection:
    """Decide the row of a workspace that somebody allowed in Heap; closes the invitation.

    An app id is filled where there is none and otherwise left: a person changes it.

    Raises:
        NotInvited, InvitationExpired: the link behind it is not open.
        OtherEnvironment: see there.
        AlreadyClaimed: another workspace holds the environment.
    """
    known = tuple(rows)
    current = _open(digest, known, now_ms)
    if moves(current, grant) and not wishes.move:
        raise OtherEnvironment(current.env_id or current.app_id, grant.env_id)
    changed = replace(
        current,
        app_id=current.app_id or grant.env_id,
        region=current.region or wishes.region,
        id_token=grant.id_token,
        env_id=grant.env_id,
        partner_app_id=grant.partner_app_id,
        allowed_by=grant.allowed_by[:_LONGEST] or None,
        allowed_at_ms=grant.allowed_at_ms,
        invitation_digest=None,
        invitation_expires_at_ms=None,
        moved_at_ms=now_ms if moves(current, grant) else current.moved_at_ms,
    )
    return next_version(current, changed, known, now_ms)


def moves(current: Connection, grant: Grant) -> bool:
    """Tell whether a grant is for another environment than the one a row belongs to."""
    before = current.env_id or current.app_id
    if before is not None:
        return before != grant.env_id
    return current.id_token is not None and current.id_token != grant.id_token
