"""Sending records of the dead-letter queue again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from operations.dlq import Position, first_offsets, list_dlq, marker_for, read_dlq
from operations.resend import Resend, headers_of, resend, transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from heapline.kafka.topics import Names
    from heapline.settings import Settings
    from operations.dlq import Entry, Filter
    from operations.resend import Resender


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did.

    Attributes:
        sent: records written to the deferred topic and marked.
        set_aside: records left where they are because they would be dead-lettered again, by reason.
        gone: positions asked for at which there is no record to replay.
    """

    sent: int
    set_aside: Counter[str] = field(default_factory=Counter)
    gone: tuple[Position, ...] = ()


def to_replay(entries: Iterable[Entry], *, force: bool) -> tuple[list[Entry], Counter[str]]:
    """Choose what to send again, and count by reason what would only come back.

    Records whose headers cannot be read are never sent: nobody knows where they came from.
    """
    chosen: list[Entry] = []
    set_aside: Counter[str] = Counter()
    for each in entries:
        if each.letter is None or (each.refused_again and not force):
            set_aside[each.reason] += 1
        else:
            chosen.append(each)
    return chosen, set_aside


def replay_dlq(
    settings: Settings,
    names: Names,
    resender: Resender,
    wanted: Filter,
    *,
    now_ms: int,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _sent, _all: None,
) -> Replayed:
    """Send records of the DLQ again, those never replayed unless the filter says otherwise.

    Args:
        settings: where Kafka is.
        names: of this installation.
        resender: writes them; made before this is called, so that an earlier replay is over.
        wanted: which.
        now_ms: milliseconds since 1970-01-01 UTC.
        force: also those that would be dead-lettered again.
        progress: hears how many of how many are written.

    Raises:
        NotReady, KafkaUnavailable, CallerMistake: as `list_dlq`.
        Fenced: another replay took over. What was written before stays written and marked.
    """
    entries = list_dlq(settings, names, wanted)
    chosen, set_aside = to_replay(entries, force=force)
    sent = 0
    records = _resends(settings, names, chosen, resender.partitions, now_ms)
    for batch in transactions(records):
        resender.write(batch)
        sent += len(batch)
        progress(sent, len(chosen))
    gone = wanted.positions - {each.position for each in entries}
    return Replayed(sent, set_aside, tuple(sorted(gone)))


def _resends(
    settings: Settings, names: Names, chosen: Collection[Entry], partitions: int, now_ms: int
) -> Iterator[Resend]:
    letters = {each.position: each.letter for each in chosen}
    if not letters:
        return
    last = _last_offsets(letters)
    for message in read_dlq(settings, names, starts=first_offsets(letters), until=last):
        position = Position(message.partition() or 0, message.offset() or 0)
        letter = letters.get(position)
        if letter is not None:
            yield resend(
                key=message.key(),
                value=message.value(),
                headers=headers_of(message),
                origin=letter.origin,
                partitions=partitions,
                now_ms=now_ms,
                marker=marker_for(position, message.key()),
            )


def _last_offsets(positions: Iterable[Position]) -> dict[int, int]:
    ends: dict[int, int] = {}
    for each in positions:
        ends[each.partition] = max(each.offset + 1, ends.get(each.partition, 0))
    return ends
