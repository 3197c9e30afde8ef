"""What the console asks the analysts' replica of this machine's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heapline.errors import NotReady
from state.database import Database, Engine
from state.folder import StateFolder
from web.console.data import Change, EventCount

if TYPE_CHECKING:
    from heapline.settings import StateSettings
    from heapline.words import SegmentId, Workspace

HISTORY_DAYS: Final = 30
DAY_SQL: Final = """
SELECT event, outcome, coalesce(reason, ''), sum(records), strftime(max(minute), '%Y-%m-%d %H:%M')
FROM outcome WHERE workspace = ? AND minute >= now() - INTERVAL 1 DAY
GROUP BY ALL
"""
# Not the view of analysts: it joins every user, which nobody asks for here.
HISTORY_SQL: Final = f"""
SELECT m.at_ms, sum(CASE WHEN h.enters THEN 1 ELSE -1 END)::BIGINT
FROM stored.history AS h JOIN stored.moment AS m ON m.code = h.moment
WHERE h.segment = (
    SELECT s.code FROM stored.segment AS s JOIN stored.workspace AS w ON w.code = s.workspace
    WHERE w.workspace = ? AND s.segment_id = ?)
AND m.at_ms >= epoch_ms(now() - INTERVAL {HISTORY_DAYS} DAY)
GROUP BY m.at_ms ORDER BY m.at_ms
"""  # noqa: S608 -- the number is ours


class Replica:
    """The newest replica there is; a file of its own each time it is asked.

    Args:
        settings: where it is kept.
    """

    def __init__(self, settings: StateSettings) -> None:
        self._settings = settings

    def outcomes(self, workspace: Workspace) -> list[EventCount]:
        """Give what became of a workspace's records within the last day; raises `NotReady`."""
        with self._opened() as database:
            rows = database.run(DAY_SQL, [workspace]).rows
        return [EventCount(n, o, r, int(c), f"{at} UTC") for n, o, r, c, at in rows]

    def history(self, workspace: Workspace, segment: SegmentId) -> list[Change]:
        """Give how a segment changed, the oldest first; raises `NotReady`."""
        with self._opened() as database:
            rows = database.run(HISTORY_SQL, [workspace, segment]).rows
        return [Change(int(at_ms), int(net)) for at_ms, net in rows]

    def _opened(self) -> Database:
        replica = StateFolder(self._settings.directory).analyst
        if not replica.exists():
            raise NotReady("counts appear once `heapline materialize` runs on this machine")
        return Database(replica, Engine(threads=1), read_only=True)
