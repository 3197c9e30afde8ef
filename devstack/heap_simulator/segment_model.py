"""Heap's segments: who is in, what was told last, and the pages that tell what changed since.

Pure state. What Heap does not publish (page size, order, empty deltas) is a choice of who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

IDENTITY = "identity"
"""The property every user of Heap's has; in the simulator it tells users apart."""

Properties = Mapping[str, str | int]
Member = str | int | Properties
"""A user by identity, or with all properties that Heap knows of him."""

_CUSTOMER_CONFIG = {
    "fields": [
        {
            "field_id": "workspace",
            "field_display_name": "Workspace",
            "value": {"id": "workspace_1", "display_name": "Workspace 1"},
        }
    ]
}


class NotTurnedOn(Exception):
    """A segment cannot be sent: nobody allowed it, or its toggle is off. The message says which."""


class SegmentSettings(BaseModel):
    """What a customer sets on Heap's page of one segment.

    Attributes:
        name: shown in Heap, sent along.
        enabled: the integration's toggle; turned off, Heap forgets what it has told.
        user_id_property: which property of a user is sent as the id; users without it are left out.
        every_seconds: of a recurring sync; None is sent once when asked.
        starts_in_seconds: how long after *Confirm* the first recurring sync is sent.
        numeric_id: send an id of digits as a number, as Heap's samples do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "Segment"
    enabled: bool = False
    user_id_property: str = IDENTITY
    every_seconds: float | None = Field(default=None, gt=0)
    starts_in_seconds: float = Field(default=0.0, ge=0)
    numeric_id: bool = True


class SyncOptions(BaseModel):
    """How one sync is sent.

    Attributes:
        page_size: users a page.
        order: of the pages.
        duplicates: how often each page is sent once more, anywhere after its first time.
        hold_pages: page numbers kept back until they are asked for: late pages.
        parallel: pages under way at once.
        send_empty: whether a sync without changes is sent, as one page with an empty `add`.
        sync_info: whether pages say their number; only a sync of one page may leave it out.
        sync_task_id: of the sync; None makes one up.
        with_id_token: whether pages name the customer (Heap's sample of a drain does not).
        skew_ms: how far Heap's clock is ahead when it signs.
        webhook_secret: signs instead of the partner app's.
        give_up_after_seconds: pages not taken by then are kept with the late ones.
        seed: of the order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    page_size: int = Field(default=1_000, ge=1)
    order: Literal["in_order", "reversed", "shuffled"] = "in_order"
    duplicates: int = Field(default=0, ge=0)
    hold_pages: frozenset[int] = frozenset()
    parallel: int = Field(default=1, ge=1, le=64)
    send_empty: bool = True
    sync_info: bool = True
    sync_task_id: str | None = None
    with_id_token: bool = True
    skew_ms: int = 0
    webhook_secret: str | None = None
    give_up_after_seconds: float = Field(default=60.0, ge=0)
    seed: int = 0


@dataclass(slots=True)
class Segment:
    """One segment of one environment.

    Attributes:
        members: everybody in it, by identity.
        told: the ids that Heap has told of, as after the last sync.
        late: pages kept back, ready to be sent.
        syncs: how many were begun.
    """

    env_id: str
    segment_id: str
    settings: SegmentSettings = field(default_factory=SegmentSettings)
    members: dict[str | int, Properties | None] = field(default_factory=dict)
    told: dict[str | int, None] = field(default_factory=dict)
    late: list[bytes] = field(default_factory=list)
    syncs: int = 0
    next_sync_at: float | None = None

    def change_settings(self, changed: SegmentSettings) -> None:
        """Set the settings; turning the toggle off forgets what was told."""
        if not changed.enabled:
            self.told = {}
            changed = replace_every(changed, None)
        if changed.every_seconds != self.settings.every_seconds:
            self.next_sync_at = None
        self.settings = changed

    def put(self, users: Iterable[Member]) -> None:
        """Let these users be in."""
        for user in users:
            if isinstance(user, Mapping):
                self.members[user[IDENTITY]] = user
            else:
                self.members[user] = None

    def drop(self, identities: Iterable[str | int]) -> None:
        """Let these users be out."""
        for identity in identities:
            self.members.pop(identity, None)

    def ids(self) -> dict[str | int, None]:
        """Give the members' ids, by the chosen property."""
        chosen = self.settings.user_id_property
        if chosen == IDENTITY:
            return dict.fromkeys(self.members)
        known = ((each or {}).get(chosen) for each in self.members.values())
        return {user_id: None for user_id in known if user_id is not None}

    def begin_sync(self, options: SyncOptions, id_token: str, sync_task_id: str) -> list[bytes]:
        """Give the pages with all changes since the last sync; from now on they count as told."""
        ids = self.ids()
        changes = [("add", each) for each in ids if each not in self.told]
        changes += [("remove", each) for each in self.told if each not in ids]
        self.told = ids
        self.syncs += 1
        chunks = list(_chunks(changes, options.page_size))
        if not chunks and options.send_empty:
            chunks = [[]]
        return [
            self._page(chunk, number, len(chunks), options, id_token, sync_task_id)
            for number, chunk in enumerate(chunks, 1)
        ]

    def begin_drain(self, options: SyncOptions, id_token: str) -> list[bytes]:
        """Give the one page that says: remove everyone."""
        self.told = {}
        document = self._envelope("segment.users.drain", options, id_token)
        return [orjson.dumps(document)]

    def _page(
        self,
        changes: Sequence[tuple[str, str | int]],
        number: int,
        total: int,
        options: SyncOptions,
        id_token: str,
        sync_task_id: str,
    ) -> bytes:
        document = self._envelope("segment.users.sync", options, id_token)
        data = document["data"]
        if options.sync_info or total > 1:
            data["sync_info"] = {
                "page_number": number,
                "total_pages": total,
                "sync_task_id": options.sync_task_id or sync_task_id,
            }
        for kind, user_id in changes:
            data.setdefault(kind, []).append({"id": user_id})
        if not changes:
            data["add"] = []
        return orjson.dumps(document)

    def _envelope(self, action: str, options: SyncOptions, id_token: str) -> dict[str, Any]:
        digits = self.settings.numeric_id and self.segment_id.isdecimal()
        segment_id = int(self.segment_id) if digits else self.segment_id
        token = {"id_token": id_token} if options.with_id_token else {}
        return {
            **token,
            "action_type": action,
            "customer_config": _CUSTOMER_CONFIG,
            "data": {"segment": {"id": segment_id, "name": self.settings.name}},
        }


def replace_every(settings: SegmentSettings, every_seconds: float | None) -> SegmentSettings:
    """Give the settings with another rhythm."""
    return settings.model_copy(update={"every_seconds": every_seconds})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What to send in this order, and what to keep back."""

    now: tuple[bytes, ...]
    late: tuple[bytes, ...] = ()


def outgoing(pages: Sequence[bytes], options: SyncOptions) -> Outgoing:
    """Order the pages as the options say."""
    numbered = list(enumerate(pages, 1))
    late = [page for number, page in numbered if number in options.hold_pages]
    sent = [page for number, page in numbered if number not in options.hold_pages]
    random = Random(options.seed)
    if options.order == "reversed":
        sent.reverse()
    elif options.order == "shuffled":
        random.shuffle(sent)
    for page in sent * options.duplicates:
        sent.insert(random.randint(sent.index(page) + 1, len(sent)), page)
    return Outgoing(tuple(sent), tuple(late))


@dataclass(slots=True)
class Segments:
    """All segments of all environments, and when the recurring ones are due.

    Times are monotonic seconds.
    """

    _by_key: dict[tuple[str, str], Segment] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Segment]:
        return iter(tuple(self._by_key.values()))

    def get(self, env_id: str, segment_id: str) -> Segment | None:
        """Give one, if there is one."""
        return self._by_key.get((env_id, segment_id))

    def make(self, env_id: str, segment_id: str) -> Segment:
        """Give one, made where there was none."""
        return self._by_key.setdefault((env_id, segment_id), Segment(env_id, segment_id))

    def remove(self, env_id: str, segment_id: str) -> None:
        """Forget one."""
        self._by_key.pop((env_id, segment_id), None)

    def due(self, now: float) -> list[Segment]:
        """Give the recurring ones whose time has come, and set their next time.

        A segment just made recurring is due `starts_in_seconds` after the first look at it.
        """
        found = []
        for segment in self._by_key.values():
            every_seconds = segment.settings.every_seconds
            if every_seconds is None:
                continue
            if segment.next_sync_at is None:
                segment.next_sync_at = now + segment.settings.starts_in_seconds
            if segment.next_sync_at <= now:
                segment.next_sync_at = now + every_seconds
                found.append(segment)
        return found


def _chunks(
    changes: Sequence[tuple[str, str | int]], size: int
) -> Iterator[list[tuple[str, str | int]]]:
    rest = iter(changes)
    while chunk := list(islice(rest, size)):
        yield chunk
