"""Intake of segment pages: verified, validated, assigned to a workspace, written durably.

Every step may refuse; only what was written is accepted, and Heap tries everything else again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.errors import CallerMistake, HeaplineError, NotReady, TryAgainLater
from heapline.heap.segment_page import RefusedCall, SegmentPage, read_call
from heapline.heap.signature import Window, check_signature, read_signature
from heapline.telemetry.logs import logger
from heapline.words import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heapline.clock import Clock
    from heapline.heap.segment_page import Call
    from heapline.heap.signature import Signature
    from heapline.kafka.connection_table import Connections, ConnectionTable
    from heapline.kafka.position import Position
    from heapline.settings import HeapSettings
    from producers.page_log import PageLog

LARGE_BYTES: Final = 256 * 1024
"""Bodies beyond it are hashed and read in a thread: 16 MiB take a third of a second."""
REMEMBERED_REFUSALS: Final = 1_000
HEAPS_WINDOW: Final = Window()
_log = logger(__name__)


class UnknownCustomer(CallerMistake):
    """No workspace has the id_token that the call carries."""


class NamelessCustomer(CallerMistake):
    """The call carries no id_token, and no workspace is set for such calls."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom intake believes, and whom it means.

    Attributes:
        secrets: of the webhook; several while one is being rotated.
        window: how far a call's time may be from ours.
        own_workspace: meant by calls without id_token.
    """

    secrets: Sequence[bytes]
    window: Window = HEAPS_WINDOW
    own_workspace: Workspace | None = None

    @classmethod
    def of(cls, settings: HeapSettings) -> Trust:
        """Read the settings."""
        own = settings.own_workspace
        return cls(
            tuple(each.get_secret_value().encode("utf-8") for each in settings.webhook_secrets),
            Window(
                round(settings.webhook_max_age_seconds * 1000),
                round(settings.webhook_max_ahead_seconds * 1000),
            ),
            Workspace(own) if own else None,
        )


class IdTokens:
    """Which workspace an id_token belongs to."""

    def __init__(self) -> None:
        self._owners: dict[str, Workspace] = {}
        self._tokens: dict[Workspace, str] = {}

    def update(self, changed: Iterable[Workspace], table: ConnectionTable) -> None:
        """Take over what changed in the table."""
        for workspace in changed:
            before = self._tokens.pop(workspace, None)
            if before is not None and self._owners.get(before) == workspace:
                del self._owners[before]
            connection = table.get(workspace)
            if connection is not None and connection.id_token:
                self._tokens[workspace] = connection.id_token
                self._owners[connection.id_token] = workspace

    def owner(self, id_token: str) -> Workspace | None:
        """Give the workspace, or None."""
        return self._owners.get(id_token)


class SegmentIntake:
    """Takes webhook calls.

    Args:
        log: where accepted pages are written.
        connections: the table of workspaces; polled and closed by this.
        trust: secrets, window, own workspace.
        clock: for the window and the time of acceptance.
    """

    def __init__(self, log: PageLog, connections: Connections, trust: Trust, clock: Clock) -> None:
        self._pages = log
        self._connections = connections
        self._trust = trust
        self._clock = clock
        self._tokens = IdTokens()
        self._refused: dict[tuple[str, int], None] = {}

    async def open(self) -> None:
        """Look for topic and schema.

        Raises:
            TryAgainLater, NotReady: they cannot be found now.
        """
        await self._pages.open()

    async def close(self, seconds: float | None = None) -> None:
        """Wait so long for pages on their way, then give them up."""
        await self._pages.close(seconds)
        await asyncio.to_thread(self._connections.close)

    def greet(self, header: str | None) -> Signature:
        """Judge a call by its signature's header alone, before its body is read.

        Raises:
            NotReady: no secret is set, so nothing can be verified.
            BadSignature: missing, malformed or stale.
        """
        if not self._trust.secrets:
            raise NotReady(
                "no webhook secret is set, so no call can be verified: set "
                """HEAPLINE_HEAP__WEBHOOK_SECRETS='["<secret from Heap's Developers Hub>"]'"""
            )
        return read_signature(header, self._clock.epoch_ms(), self._trust.window)

    async def take(self, signature: Signature, body: bytes) -> Position:
        """Accept a call; give the position of its page.

        Raises:
            BadSignature: no secret made the signature over this body.
            RefusedCall: it means nothing.
            UnknownCustomer, NamelessCustomer: it belongs to nobody.
            TryAgainLater, NotReady: Kafka or the registry of connections is not there.
            PageTooLarge: the topic does not take it.
        """
        try:
            if len(body) < LARGE_BYTES:
                call = self._read(signature, body)
            else:
                call = await asyncio.to_thread(self._read, signature, body)
        except RefusedCall as refused:
            await self._keep(refused, signature)
            raise
        page = SegmentPage.of(
            call,
            self._workspace(call),
            signed_at_ms=signature.signed_at_ms,
            received_at_ms=self._clock.epoch_ms(),
        )
        return await self._pages.append(page)

    def _read(self, signature: Signature, body: bytes) -> Call:
        check_signature(signature, body, self._trust.secrets)
        return read_call(body)

    def _workspace(self, call: Call) -> Workspace:
        if call.id_token is None:
            if self._trust.own_workspace is None:
                raise NamelessCustomer(
                    "the call carries no id_token: HEAPLINE_HEAP__OWN_WORKSPACE says whom it means"
                )
            return self._trust.own_workspace
        self._tokens.update(self._connections.poll(), self._connections.table)
        found = self._tokens.owner(call.id_token)
        if found is not None:
            return found
        if not self._connections.ready:
            reason = self._connections.waiting_for or "the connections are being read"
            raise TryAgainLater(f"not yet known whose id_token this is: {reason}")
        token = hashlib.sha256(call.id_token.encode("utf-8", "replace")).hexdigest()[:12]
        _log.warning("segment_page_of_nobody", id_token_sha256=token, segment=call.segment_id)
        raise UnknownCustomer(
            "no workspace is connected under this id_token: connect it again with "
            "`heapline connections invite WORKSPACE`"
        )

    async def _keep(self, refused: RefusedCall, signature: Signature) -> None:
        """Write that a call was refused, so that its connection shows it.

        Heap sends it again and again: once is enough. What cannot be kept is refused all the same.
        """
        call = refused.call
        if call is None:
            return
        with contextlib.suppress(HeaplineError):
            workspace = self._workspace(call)
            known = (workspace, call.digest())
            if known in self._refused:
                return
            page = SegmentPage.of(
                call,
                workspace,
                signed_at_ms=signature.signed_at_ms,
                received_at_ms=self._clock.epoch_ms(),
                refusal=refused.refusal,
            )
            await self._pages.append(page)
            self._refused[known] = None
            if len(self._refused) > REMEMBERED_REFUSALS:
                del self._refused[next(iter(self._refused))]
