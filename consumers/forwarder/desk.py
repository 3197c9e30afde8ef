"""One workspace's connection, compiled for judging and mapping its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from consumers.forwarder.gate import Gate
from consumers.forwarder.mapping import Mapper
from consumers.forwarder.record import LaneKey
from heapline.errors import Undeliverable
from heapline.heap.connection import Send
from heapline.outcomes import DeadLetterReason, SkipReason

if TYPE_CHECKING:
    from consumers.forwarder.record import Record
    from heapline.erasures import Erasures
    from heapline.events.model import Event
    from heapline.heap.connection import Connection
    from heapline.words import Workspace


class Connections(Protocol):
    """The table of workspaces, as far as the forwarder needs it."""

    def get(self, workspace: Workspace) -> Connection | None:
        """Give a workspace's connection, or None."""
        ...

    def was_removed(self, workspace: Workspace) -> bool:
        """Tell whether it had one, which was removed."""
        ...


class Desk:
    """Where a workspace's events are judged and mapped, for one version of its connection."""

    def __init__(
        self,
        connection: Connection | None,
        erasures: Erasures | None = None,
        *,
        was_connected: bool = False,
    ) -> None:
        self.gate = Gate(connection, was_connected=was_connected)
        self._erasures = erasures
        self._workspace = connection.workspace if connection is not None else ""
        self.mapper: Mapper | None = None
        self.lane: LaneKey | None = None
        self.takes_rows = False
        """Whether eligible events go to the lane as they are: neither held nor blocked in part."""
        self.holds = connection is not None and connection.send is Send.HOLD
        if connection is not None and connection.region and connection.app_id:
            self.lane = LaneKey(connection.region, connection.app_id)
            self.mapper = Mapper(connection)
            self.takes_rows = not self.holds and not connection.blocked_categories

    @property
    def erased_before_ms(self) -> int:
        """Events accepted earlier may be of a user erased since: `refusal` tells."""
        return 0 if self._erasures is None else self._erasures.newest_ms(self._workspace)

    def refusal(self, event: Event) -> SkipReason | None:
        """Give why an event is not sent; last, that its user was erased since it was accepted."""
        refused = self.gate.judge(event)
        if refused is not None or self._erasures is None or event.user_id is None:
            return refused
        covered = self._erasures.cover(event.workspace, event.user_id, event.received_at_ms)
        return SkipReason.ERASED if covered else None


def check_workspace(record: Record, event: Event) -> None:
    """See that a record's key and its event name one workspace, and note it on the record.

    Raises:
        Undeliverable: they do not.
    """
    if not event.workspace:
        raise Undeliverable(DeadLetterReason.WORKSPACE_MISSING, "the event names no workspace")
    if record.key is not None and record.workspace != event.workspace:
        raise Undeliverable(
            DeadLetterReason.WORKSPACE_MISMATCH, "the key is not the event's workspace"
        )
    record.workspace = event.workspace


def desk_of(
    workspace: Workspace, connections: Connections, erasures: Erasures | None = None
) -> Desk:
    """Give a workspace's desk by what is known of its connection now."""
    removed = connections.was_removed(workspace)
    return Desk(connections.get(workspace), erasures, was_connected=removed)
