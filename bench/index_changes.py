"""Changes to an index: as fast as they can be taken, or at a pace in a process of its own.

`python -m bench.index_changes FOLDER` applies changes until SIGTERM, and prints what it did.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from heapline.memberships import MembershipReader
from state.index_writer import IndexWriter
from state.raw_changes import RawChanges
from state.user_ids import UserIds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PAUSE_SECONDS: Final = 0.1
_A_PAYLOAD: Final = 1_000
_KNOWN: Final = 50_000


def batch(chance: random.Random, users: Sequence[str], segments: Sequence[str]) -> RawChanges:
    """Let users enter or leave at random."""
    count = len(users)
    return RawChanges(
        user=UserIds.of(users),
        names=[("acme", segment) for segment in segments],
        name=np.array(chance.choices(range(len(segments)), k=count), np.int32),
        enters=np.array(chance.choices((True, False), k=count), np.bool_),
        at_ms=np.full(count, time.time_ns() // 1_000_000, np.int64),
        syncs=["sync"],
        sync=np.zeros(count, np.int32),
    )


def batches(
    users: Sequence[str], segments: Sequence[str], size: int, *, new: bool = False
) -> Iterator[RawChanges]:
    """Give batches for ever, of the same changes in every run."""
    chance = random.Random(size)
    while True:
        some = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(size)] if new else []
        yield batch(chance, some or chance.choices(users, k=size), segments)


def publish(writer: IndexWriter, changes: RawChanges) -> int:
    """Bring a batch from ids to visible; give how many changes had an effect."""
    staged = writer.stage(changes)
    writer.publish(
        staged, version=writer.version + 1, position={}, as_of_ms=time.time_ns() // 1_000_000
    )
    return len(staged.changes)


def fastest(index: Path, all_batches: Iterator[RawChanges], payloads: int) -> dict[str, Any]:
    """Publish payloads one after the other, and see each from a reader."""
    ready = list(itertools.islice(all_batches, payloads))
    with IndexWriter.open(index) as writer:
        reader = MembershipReader(index)
        took = []
        for changes in ready:
            began = time.perf_counter()
            publish(writer, changes)
            if reader.freshness != writer.freshness:
                raise RuntimeError("a reader does not see what was published")
            took.append(time.perf_counter() - began)
    changes_read = sum(map(len, ready))
    return {
        "changes": changes_read,
        "changes_per_second": changes_read / sum(took),
        "longest_payload_seconds": max(took),
    }


def main() -> None:
    """Apply changes at a pace until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    index = Path(sys.argv[1])
    view = MembershipReader(index).pinned()
    segments = [row.segment_id for row in view.segments("acme")]
    users = list(itertools.islice(view.members("acme", segments[0]), _KNOWN))
    payloads = effective = 0
    with IndexWriter.open(index) as writer:
        for changes in batches(users, segments, _A_PAYLOAD):
            if stop.wait(_PAUSE_SECONDS):
                break
            effective += publish(writer, changes)
            payloads += 1
    figures = {"payloads": payloads, "effective_changes": effective}
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")


if __name__ == "__main__":
    main()
