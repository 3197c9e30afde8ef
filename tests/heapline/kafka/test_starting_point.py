"""Where reading starts."""

from __future__ import annotations

import pytest

from heapline.errors import RecordsLost
from heapline.kafka.starting_point import NEVER_COMMITTED, Log, Start, starting_point

LOG = Log("events[0]", start=100, end=200, topic_id="A")


@pytest.mark.parametrize("accept_loss", [False, True])
@pytest.mark.parametrize(
    ("committed", "expected"),
    [(NEVER_COMMITTED, 100), (-1001, 100), (100, 100), (150, 150), (200, 200)],
)
def test_it_starts_where_the_group_stopped(
    committed: int, expected: int, *, accept_loss: bool
) -> None:
    """A group that never committed starts at the earliest record."""
    assert starting_point(LOG, committed, "A", accept_loss=accept_loss) == Start(expected)
    assert starting_point(LOG, committed, "", accept_loss=accept_loss) == Start(expected)


def test_records_deleted_unread_stop_it() -> None:
    """How many is said, and what to do."""
    with pytest.raises(RecordsLost, match="--accept-loss") as raised:
        starting_point(LOG, 60, "A", accept_loss=False)
    assert raised.value.lost == {"events[0]": 40}
    assert starting_point(LOG, 60, "A", accept_loss=True) == Start(100, lost=40)


@pytest.mark.parametrize(("committed", "topic_id"), [(150, "B"), (201, "A"), (201, "")])
def test_a_topic_made_anew_stops_it(committed: int, topic_id: str) -> None:
    """Another id, or an offset behind the end: the old offset means nothing in the new topic."""
    with pytest.raises(RecordsLost, match="made anew"):
        starting_point(LOG, committed, topic_id, accept_loss=False)
    assert starting_point(LOG, committed, topic_id, accept_loss=True).offset == 100


def test_an_emptied_log_that_was_read_to_its_end_lost_nothing() -> None:
    """Retention deleted everything, and all of it had been read."""
    emptied = Log("events[0]", start=200, end=200, topic_id="A")
    assert starting_point(emptied, 200, "A", accept_loss=False) == Start(200)
