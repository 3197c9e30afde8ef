"""Connecting a workspace to Heap, from the opened link to the written row.

Every method talks to Kafka or Heap and takes its time: call it from a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlencode

from heapline.errors import CallerMistake, HeaplineError
from heapline.heap.connection import Region
from heapline.signed_text import Signer
from heapline.telemetry.logs import logger
from heapline.words import Workspace
from producers.invitations import Wishes, allowed, digest_of, invitation, moves

if TYPE_CHECKING:
    from heapline.clock import Clock
    from heapline.heap.connection import Connection
    from heapline.heap.oauth import Grant, HeapOAuth, PartnerSettings
    from operations.draining import Drain
    from operations.segment_news import SegmentNews
    from producers.connections import Decision

STATE_MS: Final = 30 * 60_000
"""How long a person may take on Heap's pages; they may have to log in first."""
VIEW_MS: Final = 24 * 3_600_000
"""How long the page after Allow may be looked at."""
CONNECT: Final = "/heap/connect"
_MOVE: Final = "move"
_log = logger(__name__)


class Rows(Protocol):
    """The connections, and the one way to change them; see `producers.connections`."""

    def list(self) -> tuple[Connection, ...]:
        """Give every connection."""
        ...

    def change(self, workspace: Workspace, decide: Decision) -> Connection:
        """Write a workspace's next version as decided from all rows there are."""
        ...


class ForgedCallback(CallerMistake):
    """A callback that does not belong to a page this browser opened."""


class Denied(CallerMistake):
    """Heap sent the browser back without a code.

    Attributes:
        error: Heap's word for it, for example `access_denied`.
    """

    def __init__(self, error: str) -> None:
        super().__init__("nobody clicked Allow")
        self.error = error


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that is good.

    Attributes:
        connection: the workspace's row as it is.
        authorize_url: Heap's page; None where the person must be asked something first.
    """

    connection: Connection
    authorize_url: str | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that is written.

    Attributes:
        drained: how many segments of another environment are being emptied; None where that
            failed and must be done by hand.
        view: by which the page after Allow is looked at.
    """

    connection: Connection
    drained: int | None
    view: str


class Connecting:
    """Leads a person through Heap's OAuth.

    Args:
        partner: this installation's registration.
        oauth: talks to Heap.
        rows: the connections.
        drain: empties segments of an environment that was left.
        news: for the page after Allow.
        clock: for all that expires.
    """

    def __init__(
        self,
        partner: PartnerSettings,
        oauth: HeapOAuth,
        rows: Rows,
        drain: Drain,
        news: SegmentNews,
        clock: Clock,
    ) -> None:
        self.partner = partner
        self.news = news
        self.clock = clock
        self._oauth = oauth
        self._rows = rows
        self._drain = drain
        self._states = Signer(partner.client_secret, "oauth-state")
        self._views = Signer(partner.client_secret, "connection-view")

    def begin(self, secret: str, region: str | None = None, move: str | None = None) -> Opened:
        """Open a link.

        Args:
            secret: the link's.
            region: `us`, `eu`, or `unknown`; None where nobody was asked.
            move: `yes` where another environment may be chosen, `no`, or None likewise.

        Raises:
            NotInvited, InvitationExpired: the link is not open.
            TryAgainLater, NotReady: Kafka or the registry is not there.
        """
        connection = invitation(secret, self._rows.list(), self.clock.epoch_ms())
        if (connection.region is None and region is None) or (
            _has_environment(connection) and move is None
        ):
            return Opened(connection)
        state = {
            "workspace": connection.workspace,
            "invitation": digest_of(secret),
            "region": region if region in set(Region) else "",
            "move": _MOVE if move == "yes" else "",
        }
        signed = self._states.sign(state, self.clock.epoch_ms() + STATE_MS)
        return Opened(connection, self._oauth.authorize_url(signed))

    def complete(self, query: dict[str, str], secret: str) -> Connected:
        """Take what Heap sent the browser back with.

        Args:
            query: of the callback: `state`, and `code` or `error`.
            secret: of the link, from this browser's cookie; empty where it has none.

        Raises:
            ForgedCallback, Expired, NotSigned: see there; nothing was asked of Heap.
            Denied: Heap says no.
            GrantRefused, HeapUnavailable, InvalidSetting: from Heap.
            NotInvited, InvitationExpired, OtherEnvironment, AlreadyClaimed: from deciding.
            TryAgainLater, NotReady: Kafka or the registry is not there.
        """
        now_ms = self.clock.epoch_ms()
        state = self._states.read(query.get("state", ""), now_ms)
        if digest_of(secret) != state["invitation"]:
            raise ForgedCallback("this answer does not belong to a page this browser opened")
        code = query.get("code", "")
        if query.get("error") or not code:
            raise Denied(query.get("error", "")[:100])
        before = invitation(secret, self._rows.list(), now_ms)
        grant = self._oauth.grant(code)
        wishes = Wishes(
            Region(state["region"]) if state["region"] else None, state["move"] == _MOVE
        )
        workspace = Workspace(state["workspace"])
        connection = self._rows.change(
            workspace, lambda rows, ms: allowed(state["invitation"], grant, wishes, rows, ms)
        )
        _log.info("workspace_connected", workspace=workspace, env_id=grant.env_id)
        drained = self._leave(before, grant)
        return Connected(connection, drained, self.view_of(workspace, drained))

    def _leave(self, before: Connection, grant: Grant) -> int | None:
        """Empty the segments of the environment that was left; None where that did not work."""
        if before.id_token is None or not moves(before, grant):
            return 0
        try:
            return len(self._drain.drain(before.workspace))
        except HeaplineError as error:
            _log.error("segments_not_drained", workspace=before.workspace, error=str(error))
            return None

    def view_of(self, workspace: Workspace, drained: int | None = 0) -> str:
        """Give the text by which the page after Allow is looked at for a day."""
        content = {"workspace": workspace, "drained": "" if drained is None else str(drained)}
        return self._views.sign(content, self.clock.epoch_ms() + VIEW_MS)

    def viewed(self, view: str) -> tuple[Connection | None, int | None]:
        """Give the connection as it is now, and how many segments were drained.

        Raises:
            NotSigned, Expired: the text is not good (any more).
            TryAgainLater, NotReady: Kafka or the registry is not there.
        """
        content = self._views.read(view, self.clock.epoch_ms())
        rows = {row.workspace: row for row in self._rows.list()}
        drained = int(content["drained"]) if content["drained"] else None
        return rows.get(Workspace(content["workspace"])), drained

    def workspace_of(self, view: str) -> Workspace:
        """Give whose page a text shows; raises like `viewed`, but asks nobody."""
        return Workspace(self._views.read(view, self.clock.epoch_ms())["workspace"])


def link(partner: PartnerSettings, secret: str) -> str:
    """Give the address that a person opens to connect a workspace."""
    return f"{partner.public_url}{CONNECT}?{urlencode({'invitation': secret})}"


def _has_environment(connection: Connection) -> bool:
    return connection.id_token is not None or connection.app_id is not None
