"""A reader of the index as a process: asks without end, and ends with 1 at the first wrong answer.

Each view must agree with itself: as many members as are counted, each of them in the segment by
both ways of asking, and nobody in two places at once.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from heapline.memberships import IndexUnavailable, MembershipReader


def look(reader: MembershipReader, chance: random.Random) -> None:
    """Ask one view about one segment.

    Raises:
        AssertionError: it contradicts itself.
    """
    view = reader.pinned()
    for workspace in view.workspaces():
        rows = view.segments(workspace)
        if not rows:
            continue
        segment = chance.choice(rows).segment_id
        members = list(view.members(workspace, segment))
        assert len(members) == len(set(members)) == view.count(workspace, segment)
        for user in chance.sample(members, min(20, len(members))):
            assert view.is_member(workspace, user, segment)
            assert segment in view.segments_of(workspace, user)
        assert not view.is_member(workspace, "nobody", segment)


def main(folder: Path) -> None:
    """Ask until killed."""
    chance = random.Random(time.time_ns())
    reader: MembershipReader | None = None
    generation = -1
    while True:
        try:
            reader = reader or MembershipReader(folder)
            look(reader, chance)
            assert reader.freshness.generation >= generation, "the index went back"
            generation = reader.freshness.generation
        except IndexUnavailable:
            assert reader is None, "an index that was there is gone"
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
