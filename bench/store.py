"""The store: payloads from integer ids to commit, its size, and copies for analysts.

Beside it, in the same run, the same changes asked of a plain DuckDB table with a primary key.
"""

from __future__ import annotations

import copy
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bench.report import Section, judged, quantile, table
from state.database import BLOCK_BYTES, STORAGE_VERSION, Database, Engine
from state.folder import StateFolder
from state.payload import Changes, NewSegments, NewUsers, Payload
from state.replicas import Replicas
from state.store import Store
from state.swapping import attach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

USERS: Final = 1_000_000
SEGMENTS: Final = 50
SHARE: Final = 0.2
"""Of the users that each segment holds."""
PAGE_USERS: Final = 10_000
CHANGES: Final = 10_000
PAYLOADS: Final = 100
_PAYLOADS_A_CHECKPOINT: Final = 20
_RIVAL_PAYLOADS: Final = 30
_REPLICAS: Final = 10
_PATIENCE_SECONDS: Final = 120.0
_CHANGES_A_SECOND: Final = 500_000
_SLOWEST_MS: Final = 40.0
_BYTES: Final = 1.5
_REPLICA_MS: Final = 100.0
_NOON_MS: Final = 1_767_182_400_000

_RIVAL: Final = (
    "CREATE TABLE plain (segment UINTEGER, person UINTEGER, entered_at_ms BIGINT,"
    " PRIMARY KEY (segment, person))"
)


class Population:
    """Who is in which segment, so that every change made is effective.

    Args:
        users: how many there are.
        seed: of the random choices.
    """

    def __init__(self, users: int, seed: int = 4) -> None:
        self._chance = np.random.default_rng(seed)
        self.users = users
        self._is_in = np.zeros((SEGMENTS, users), np.bool_)

    def first_sync(self, segment: int) -> Changes:
        """Give the first sync of a segment, in pages, its users in no order."""
        count = int(self.users * SHARE)
        entering = self._chance.permutation(self.users)[:count]
        pages = np.arange(count) // PAGE_USERS
        return self._turn(segment, entering, _NOON_MS + segment * 1_000_000 + pages * 1_000)

    def changes(self, segments: int, at_ms: int) -> Changes:
        """Give changes of some segments, half of them enters and half leaves."""
        chosen = self._chance.choice(SEGMENTS, segments, replace=False)
        parts = [self._changes_of(segment, CHANGES // segments, at_ms) for segment in chosen]
        user = np.concatenate([part.user for part in parts])
        return Changes(
            user,
            np.concatenate([part.segment for part in parts]),
            np.concatenate([part.enters for part in parts]),
            np.full(user.size, at_ms, np.int64),
            np.zeros(user.size, np.int32),
            ["sync"],
        )

    def _changes_of(self, segment: int, count: int, at_ms: int) -> Changes:
        is_in = self._is_in[segment]
        half = count // 2
        parts = [
            self._chance.choice(np.flatnonzero(m), half, replace=False) for m in (is_in, ~is_in)
        ]
        return self._turn(segment, np.concatenate(parts), np.full(2 * half, at_ms))

    def _turn(self, segment: int, users: NDArray[np.int64], at_ms: NDArray[np.int64]) -> Changes:
        enters = ~self._is_in[segment, users]
        self._is_in[segment, users] = enters
        return Changes(
            users.astype(np.uint32),
            np.full(users.size, segment, np.uint32),
            enters,
            at_ms.astype(np.int64),
            np.zeros(users.size, np.int32),
            ["first"],
        )


def measure(users: int = USERS, payloads: int = PAYLOADS) -> Section:
    """Fill a store, and measure it and its rival."""
    section = Section("store")
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as place:
        folder = StateFolder(Path(place) / "state")
        population = Population(users)
        with Store(folder, now_ms=0) as store:
            fill(store, population)
            _measure_sizes(section, store)
            with _rival(Path(place), store) as rival:
                _measure_payloads(section, store, rival, population, payloads)
            _measure_replicas(section, store)
    return section


def _measure_payloads(
    section: Section, store: Store, rival: Database, population: Population, payloads: int
) -> None:
    of_rival = copy.deepcopy(population)
    rows: list[tuple[str, ...]] = [
        ("a payload of 10,000 changes", "p50 ms", "p99 ms", "changes/s", "")
    ]
    ours: list[float] = []
    theirs: list[float] = []
    applied = _payloads(store, population, 1, payloads)
    for milliseconds in applied:
        ours.append(milliseconds)
        if len(theirs) < _RIVAL_PAYLOADS:  # by turns, so that both meet the same machine
            changes = of_rival.changes(1, _NOON_MS)
            theirs.append(_timed(partial(_ask_rival, rival, changes)))
    rows.append(_row(section, "store, of 1 segment", ours, judge=True))
    rows.append(_row(section, "plain table with a primary key", theirs, judge=False))
    spread = list(_payloads(store, population, 10, payloads))
    rows.append(_row(section, "store, of 10 segments", spread, judge=False))
    section.lines += table(rows)


def fill(store: Store, population: Population) -> None:
    """Bring the first sync of every segment into an empty store, and order it."""
    chance = np.random.default_rng(5)
    ids = [str(uuid.UUID(bytes=chance.bytes(16), version=4)) for _ in range(population.users)]
    store.apply(
        Payload(
            now_ms=_NOON_MS,
            new_workspaces=["acme"],
            new_users=NewUsers(np.zeros(len(ids), np.uint32), ids),
            new_segments=NewSegments(
                np.zeros(SEGMENTS, np.uint32), [f"S{number}" for number in range(SEGMENTS)]
            ),
        )
    )
    for segment in range(SEGMENTS):
        store.apply(Payload(now_ms=_NOON_MS, changes=population.first_sync(segment)))
    store.checkpoint()


def _payloads(store: Store, population: Population, segments: int, count: int) -> Iterator[float]:
    """Apply payloads, with checkpoints between them that do not count; give milliseconds each."""
    for number in range(count):
        payload = Payload(
            now_ms=_NOON_MS,
            positions={("memberships", 0): number},
            changes=population.changes(segments, _NOON_MS + number),
        )
        yield _timed(partial(store.apply, payload))
        if number % _PAYLOADS_A_CHECKPOINT == 0:
            store.checkpoint()


def _row(section: Section, name: str, taken: list[float], *, judge: bool) -> tuple[str, ...]:
    middle, slow = quantile(taken, 0.5), quantile(taken, 0.99)
    speed = CHANGES / middle * 1_000
    section.figures[name] = {"p50_ms": middle, "p99_ms": slow, "changes_per_second": speed}
    verdict = ""
    if judge:
        verdict = f"{judged(speed, _CHANGES_A_SECOND)} (500,000/s), "
        verdict += f"{judged(slow, _SLOWEST_MS, at_most=True)} (p99 40 ms)"
    return (name, f"{middle:,.1f}", f"{slow:,.1f}", f"{speed:,.0f}", verdict)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


def _bytes_of(store: Store, name: str) -> int:
    """Give the bytes of a file that holds one table of the store alone."""
    path = store.folder.path / f"{name}.alone"
    how = f"STORAGE_VERSION '{STORAGE_VERSION}', BLOCK_SIZE {BLOCK_BYTES}"
    attach(store.database, path, "alone", how)
    store.database.run(f"CREATE TABLE alone.{name} AS FROM stored.{name}")
    store.database.run("CHECKPOINT alone")
    store.database.run("DETACH alone")
    size = path.stat().st_size
    path.unlink()
    return size


def _measure_sizes(section: Section, store: Store) -> None:
    memberships, users = store.database.one("SELECT memberships, users FROM about")
    sizes = {name: _bytes_of(store, name) for name in ("membership", "history", "person")}
    each = sizes["membership"] / memberships
    section.figures["bytes_a_membership"] = each
    section.figures["bytes_a_change"] = sizes["history"] / memberships
    section.figures["bytes_a_user"] = sizes["person"] / users
    section.figures["file_bytes"] = store.folder.store.stat().st_size
    section.lines += [
        (
            f"{memberships:,} memberships, {SEGMENTS} segments, {users:,} users (UUIDs), "
            f"synced in pages of {PAGE_USERS:,} in no order"
        ),
        (
            f"{each:.2f} bytes a membership {judged(each, _BYTES, at_most=True)} (1.5); "
            f"{sizes['history'] / memberships:.2f} bytes an enter of history; "
            f"{sizes['person'] / users:.0f} bytes a user"
        ),
    ]


def _rival(place: Path, store: Store) -> Database:
    held = store.memberships()
    rival = Database(place / "plain.duckdb", Engine())
    rival.run(_RIVAL)
    columns: dict[str, NDArray[Any]] = {
        "segment": held.segment,
        "person": held.user,
        "at": held.entered_at_ms,
    }
    rival.run("INSERT INTO plain SELECT * FROM held", held=columns)
    rival.checkpoint()
    return rival


def _ask_rival(rival: Database, changes: Changes) -> None:
    leaves = ~changes.enters
    pairs = {"segment": changes.segment[leaves], "person": changes.user[leaves]}
    entered: dict[str, NDArray[Any]] = {
        "segment": changes.segment[changes.enters],
        "person": changes.user[changes.enters],
        "at": changes.at_ms[changes.enters],
    }
    with rival.transaction():
        rival.run(
            "DELETE FROM plain USING gone"
            " WHERE plain.segment = gone.segment AND plain.person = gone.person",
            gone=pairs,
        )
        rival.run("INSERT OR REPLACE INTO plain SELECT * FROM entered", entered=entered)


def _measure_replicas(section: Section, store: Store) -> None:
    taken = []
    with Replicas(store.folder) as replicas:
        for _ in range(_REPLICAS):
            store.apply(Payload(now_ms=_NOON_MS))
            store.checkpoint()
            taken.append(_timed(partial(_replica, replicas, store)))
    middle = quantile(taken, 0.5)
    megabytes = store.folder.store.stat().st_size / 1e6
    section.figures["replica_ms"] = middle
    section.lines.append(
        f"a replica of {megabytes:.0f} MB: {middle:,.0f} ms ({min(taken):,.0f}-{max(taken):,.0f}) "
        f"{judged(middle, _REPLICA_MS, at_most=True)} (100 ms)"
    )


def _replica(replicas: Replicas, store: Store) -> None:
    if not replicas.refresh(store) or not replicas.finished(_PATIENCE_SECONDS):
        raise RuntimeError("no replica was made")
