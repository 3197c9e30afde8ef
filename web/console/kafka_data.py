"""The console's data, from the topics, the store's replica and the index of this machine."""

from __future__ import annotations

import asyncio
import secrets
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from heapline.clock import Clock, Deadline, SystemClock
from heapline.errors import KafkaUnavailable, RegistryUnavailable, Undeliverable
from heapline.heap.oauth import PartnerSettings
from heapline.kafka.codec import Decoder
from heapline.kafka.connection_table import ConnectionFollower
from heapline.kafka.registry import Registry
from heapline.kafka.topics import Names
from heapline.words import Workspace
from operations.connecting import link
from operations.dlq import Filter, list_dlq, show_dlq
from operations.dlq_replay import replay_dlq
from operations.draining import KafkaDrain
from operations.followed_segments import FollowedSegments
from operations.latest_users import latest_users
from operations.offboarding import offboarded
from operations.resend import TransactionalResender
from operations.status import Observer
from operations.try_now import try_now
from producers.connections import ConnectionRegistry
from producers.drains import drain_segments
from producers.invitations import invited
from web.console.data import Letter
from web.console.looks import Looks
from web.console.replica_data import Replica

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from heapline.heap.connection import Connection
    from heapline.heap.segment_record import HeapSegment
    from heapline.memberships import Memberships
    from heapline.settings import Settings
    from heapline.words import SegmentId
    from operations.dlq import Entry, Position
    from operations.dlq_replay import Replayed
    from operations.status import Status
    from producers.connections import ConnectionPatch
    from web.console.data import Change, EventCount
    from web.console.looks import Look
    from web.open_index import OpenIndex

_POLL_SECONDS: Final = 0.01
_SHOWN_SECONDS: Final = 5.0
"""How long a change may take to come back through the topic."""
_LETTER_DAYS: Final = 30
_DAY_MS: Final = 86_400_000


class KafkaConsoleData:
    """The real thing; see `ConsoleData`. Use it while `running`.

    Args:
        settings: everything.
        index: the membership index.
        clock: for new versions, and for ages.
    """

    def __init__(self, settings: Settings, index: OpenIndex, clock: Clock | None = None) -> None:
        self._settings = settings
        self._names = Names(settings.kafka.prefix)
        self._index = index
        self._clock = clock or SystemClock()
        self._looks = Looks(self._clock)
        self._replica = Replica(settings.state)
        self._schemas = Registry(settings.schema_registry)
        self._news = FollowedSegments(settings.kafka, self._schemas)
        self._followed: ConnectionFollower | None = None
        self._observer: Observer | None = None
        self._observing = threading.Lock()
        self._replaying = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the connections until the block ends."""
        self._followed = ConnectionFollower(
            self._settings.kafka, self._names, self._schemas, self._clock
        )
        try:
            yield
        finally:
            await self._looks.close()
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._followed is not None:
            self._followed.close()
        if self._observer is not None:
            self._observer.__exit__(None, None, None)
        self._news.close()
        self._schemas.close()

    # --- connections ----------------------------------------------------------------------------

    async def connections(self) -> Mapping[Workspace, Connection]:
        """See `ConsoleData.connections`."""
        table = (await self._follower()).table
        return {row.workspace: row for row in table}

    async def _follower(self) -> ConnectionFollower:
        follower = self._followed
        if follower is None:
            raise KafkaUnavailable("the console has not started yet")
        deadline = Deadline(self._clock, self._settings.kafka.timeout_seconds)
        follower.poll()
        while not follower.ready:
            if deadline.passed():
                raise KafkaUnavailable(f"no connections: {follower.waiting_for}")
            await asyncio.sleep(_POLL_SECONDS)
            follower.poll()
        return follower

    async def _shows(self, workspace: Workspace, version: int | None) -> None:
        """Wait until a row, or with None its removal, has come back through the topic."""
        deadline = Deadline(self._clock, _SHOWN_SECONDS)
        while not deadline.passed():
            row = (await self._follower()).table.get(workspace)
            if row is None if version is None else row is not None and row.version >= version:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def change(self, workspace: Workspace, patch: ConnectionPatch) -> None:
        """See `ConsoleData.change`."""
        row = await asyncio.to_thread(self._rows().set, workspace, patch)
        await self._shows(workspace, row.version)

    async def try_now(self, workspace: Workspace) -> None:
        """See `ConsoleData.try_now`."""
        row = await asyncio.to_thread(try_now, self._rows(), workspace)
        await self._shows(workspace, row.version)

    async def invite(self, workspace: Workspace) -> str:
        """See `ConsoleData.invite`."""
        partner = PartnerSettings.of(self._settings)
        secret = secrets.token_urlsafe(32)
        row = await asyncio.to_thread(
            self._rows().change,
            workspace,
            lambda rows, now_ms: invited(workspace, secret, rows, now_ms),
        )
        await self._shows(workspace, row.version)
        return link(partner, secret)

    async def disconnect(self, workspace: Workspace) -> Sequence[SegmentId]:
        """See `ConsoleData.disconnect`."""
        drain = KafkaDrain(self._settings, self._schemas, self._clock)
        done = await asyncio.to_thread(offboarded, workspace, self._rows(), drain)
        await self._shows(workspace, None)
        return done.drained

    def _rows(self) -> ConnectionRegistry:
        return ConnectionRegistry(self._settings.kafka, self._schemas, self._clock)

    # --- segments -------------------------------------------------------------------------------

    async def drain(self, workspace: Workspace, segment: SegmentId) -> str:
        """See `ConsoleData.drain`."""
        now_ms = self._clock.epoch_ms()
        positions = await asyncio.to_thread(
            drain_segments, self._settings, workspace, [segment], now_ms
        )
        return str(positions[0])

    async def segments(self, workspace: Workspace) -> Look[Sequence[HeapSegment]]:
        """See `ConsoleData.segments`."""
        return await self._looks.at(("segments", workspace), lambda: self._news.of(workspace), 1.0)

    async def history(self, workspace: Workspace, segment: SegmentId) -> Look[Sequence[Change]]:
        """See `ConsoleData.history`."""
        return await self._looks.at(
            ("history", workspace, segment),
            lambda: self._replica.history(workspace, segment),
            10.0,
        )

    def memberships(self) -> Memberships:
        """See `ConsoleData.memberships`."""
        return self._index.answers().view

    # --- events ---------------------------------------------------------------------------------

    async def outcomes(self, workspace: Workspace) -> Look[Sequence[EventCount]]:
        """See `ConsoleData.outcomes`."""
        return await self._looks.at(
            ("outcomes", workspace), lambda: self._replica.outcomes(workspace), 5.0
        )

    async def latest_users(self, workspace: Workspace) -> Look[Sequence[str]]:
        """See `ConsoleData.latest_users`."""
        return await self._looks.at(
            ("users", workspace),
            lambda: latest_users(self._settings, self._names, workspace),
            10.0,
        )

    # --- delivery -------------------------------------------------------------------------------

    async def delivery(self) -> Look[Status]:
        """See `ConsoleData.delivery`."""
        return await self._looks.at("delivery", self._observe, 2.0)

    def _observe(self) -> Status:
        with self._observing:
            if self._observer is None:
                self._observer = Observer(self._settings, self._names, clock=self._clock)
            return self._observer.look()

    async def dead_letters(self, workspace: Workspace) -> Look[Sequence[Entry]]:
        """See `ConsoleData.dead_letters`."""
        return await self._looks.at(("letters", workspace), lambda: self._letters(workspace), 5.0)

    def _letters(self, workspace: Workspace) -> list[Entry]:
        since_ms = self._clock.epoch_ms() - _LETTER_DAYS * _DAY_MS
        wanted = Filter(workspace=workspace, since_ms=since_ms)
        return list_dlq(self._settings, self._names, wanted)[::-1]

    async def dead_letter(self, position: Position) -> Look[Letter]:
        """See `ConsoleData.dead_letter`."""
        return await self._looks.at(("letter", position), lambda: self._letter(position), 10.0)

    def _letter(self, position: Position) -> Letter:
        content = show_dlq(self._settings, self._names, position)
        try:
            event: dict[str, Any] = Decoder("CommandAIEvent", self._schemas).decode(content.value)
        except (Undeliverable, RegistryUnavailable) as error:
            return Letter(content, None, str(error))
        return Letter(content, event)

    async def replay(self, wanted: Filter, *, force: bool) -> Replayed:
        """See `ConsoleData.replay`."""
        async with self._replaying:
            done = await asyncio.to_thread(self._replay, wanted, force)
        if wanted.workspace is not None:
            workspace = Workspace(wanted.workspace)
            await self._looks.renew(("letters", workspace), lambda: self._letters(workspace))
        for position in wanted.positions:
            self._looks.forget(("letter", position))
        return done

    def _replay(self, wanted: Filter, force: bool) -> Replayed:  # noqa: FBT001 -- of a thread's call
        resender = TransactionalResender(self._settings, self._names)
        now_ms = self._clock.epoch_ms()
        return replay_dlq(self._settings, self._names, resender, wanted, now_ms=now_ms, force=force)
