"""Who takes part in the demo: workspaces that each show something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from heapline.heap.connection import BlockedCategory, Region, Send
from heapline.words import AppId, Workspace
from producers.connections import ConnectionPatch


@dataclass(frozen=True, slots=True)
class Member:
    """One workspace of the demo.

    Attributes:
        workspace: its name.
        share: of all events, in percent.
        shows: what a person sees on it, in a few words.
        connection: what `heapline connections set` would be given; None leaves it unconnected.
        known_to_heap: whether the simulator takes its app id.
    """

    workspace: Workspace
    share: int
    shows: str
    connection: ConnectionPatch | None = None
    known_to_heap: bool = True

    @property
    def app_id(self) -> AppId | None:
        """Its Heap environment, if it has one."""
        return self.connection.app_id if self.connection else None


def _connection(app_id: str, region: Region = Region.US, send: Send = Send.ON) -> ConnectionPatch:
    return ConnectionPatch(app_id=AppId(app_id), region=region, send=send)


AURORA: Final = Member(Workspace("aurora"), 30, "Send on", _connection("3100100101"))
BIRCH: Final = Member(
    Workspace("birch"),
    22,
    "Send on, EU, filters",
    ConnectionPatch(
        app_id=AppId("3100100202"),
        region=Region.EU,
        send=Send.ON,
        exclude=("cb:copilot_*",),
        blocked_categories=frozenset({BlockedCategory.HELP_HUB_SEARCH}),
    ),
)
COBALT: Final = Member(
    Workspace("cobalt"),
    18,
    "Send on, anonymous too",
    ConnectionPatch(
        app_id=AppId("3100100303"), region=Region.US, send=Send.ON, send_anonymous=True
    ),
)
DUNE: Final = Member(
    Workspace("dune"),
    12,
    "an app id Heap refuses",
    _connection("3100100440"),
    known_to_heap=False,
)
EMBER: Final = Member(Workspace("ember"), 12, "Send off", _connection("3100100505", send=Send.OFF))
FJORD: Final = Member(Workspace("fjord"), 6, "not connected")

CAST: Final = (AURORA, BIRCH, COBALT, DUNE, EMBER, FJORD)
CONNECTED: Final = tuple(member for member in CAST if member.connection is not None)
RIGHT_APP_ID_OF_DUNE: Final = AppId("3100100404")
"""The simulator takes this one: with `--keep`, a person can mend the connection."""
APP_IDS_HEAP_KNOWS: Final = (
    *(member.app_id for member in CONNECTED if member.known_to_heap and member.app_id),
    RIGHT_APP_ID_OF_DUNE,
)
