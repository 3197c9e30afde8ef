"""Where reading a partition starts, and what was lost before anybody could read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from heapline.errors import RecordsLost

NEVER_COMMITTED: Final = -1


@dataclass(frozen=True, slots=True)
class Log:
    """A partition as it is now.

    Attributes:
        name: `topic[partition]`, for messages.
        start, end: the first offset kept, and the one after the last.
        topic_id: changes when the topic is deleted and made anew.
    """

    name: str
    start: int
    end: int
    topic_id: str


@dataclass(frozen=True, slots=True)
class Start:
    """Where to start, and how many offsets are gone."""

    offset: int
    lost: int = 0


def starting_point(log: Log, committed: int, topic_id: str, *, accept_loss: bool) -> Start:
    """Decide where to start reading.

    A group that never committed starts at the earliest record.

    Args:
        log: the partition as it is now.
        committed: the group's offset; negative where it has none.
        topic_id: the id the offset was committed with; empty where unknown.
        accept_loss: go on although records were deleted unread.

    Raises:
        RecordsLost: records were deleted unread and `accept_loss` is not given.
    """
    if committed < 0:
        return Start(log.start)
    made_anew = bool(topic_id and log.topic_id and topic_id != log.topic_id)
    if made_anew or committed > log.end:
        if not accept_loss:
            raise RecordsLost(
                f"{log.name} was deleted and made anew: what the old topic still held is lost. "
                "Start once with --accept-loss to read the new one from its beginning",
                lost={log.name: 0},
            )
        return Start(log.start)
    lost = max(0, log.start - committed)
    if lost and not accept_loss:
        raise RecordsLost(
            f"{log.name}: the log starts at {log.start}, but the group had read to {committed} "
            f"only: {lost} offsets were deleted by retention before they were read. Start once "
            "with --accept-loss to go on after them; heapline_lost_to_retention counts them",
            lost={log.name: lost},
        )
    return Start(max(committed, log.start), lost)
