"""Whether a store is right: its codes, its memberships against its history, and the index.

Everything is read from a replica, never from the live file, so that it works beside a running
writer. The index goes on meanwhile: it names the version of the store it reflects, and what the
memberships were then, the history tells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from heapline.clock import Deadline
from heapline.memberships import IndexDamaged, IndexUnavailable, Memberships
from heapline.memberships.generations import load_newest
from state.database import Engine
from state.history import held_now, replay
from state.replicas import settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from heapline.clock import Clock
    from state.database import Database
    from state.folder import StateFolder
    from state.history import Held

_CODED: Final = (
    ("workspace", "workspace"),
    ("person", "workspace, user_id"),
    ("segment", "workspace, segment_id"),
    ("sync", "sync_id"),
    ("moment", "code"),
)
_STRAY: Final = (
    ("person", "workspace", "workspace"),
    ("segment", "workspace", "workspace"),
    ("moment", "sync", "sync"),
    ("membership", "segment", "segment"),
    ("membership", "person", "person"),
    ("membership", "moment", "moment"),
    ("history", "segment", "segment"),
    ("history", "person", "person"),
    ("history", "moment", "moment"),
    ("segment_row", "segment", "segment"),
    ("segment_sync", "segment", "segment"),
    ("segment_sync", "sync", "sync"),
)
_SAMPLED: Final = 2_000
_LOOK_AGAIN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Attributes:
        version: of the store that was looked at.
        index_version: of the store that the index reflects; None where there is no index.
        users, segments, memberships, changes: how many were looked at.
        problems: what is wrong, in words; empty where all is well.
    """

    version: int
    index_version: int | None
    users: int
    segments: int
    memberships: int
    changes: int
    problems: list[str] = field(default_factory=list)


def verify(database: Database, index: Memberships | None, index_version: int | None) -> Verdict:
    """Look through a whole store and its index.

    Args:
        database: a replica (`state.replicas.open_replica`), at least as new as the index.
        index: one generation, or None where there is none.
        index_version: the version of the store that it reflects.
    """
    facts = database.one(
        "SELECT version, users, segments, memberships, (SELECT count(*) FROM stored.history)"
        " FROM about"
    )
    version: int = facts[0]
    problems = list(_of_codes(database))
    if problems:
        return Verdict(version, index_version, facts[1], facts[2], facts[3], facts[4], problems)
    held, out_of_turn = replay(database, version)
    problems += _of_history(database, held, out_of_turn)
    if index is not None and index_version is not None:
        if index_version > version:
            problems.append(
                f"the index reflects version {index_version} and the newest replica is {version}: "
                "run this again when there is a newer one"
            )
        else:
            then = held if index_version == version else replay(database, index_version)[0]
            problems += _of_index(database, index, then)
    return Verdict(version, index_version, facts[1], facts[2], facts[3], facts[4], problems)


def verify_folder(folder: StateFolder, clock: Clock, patience_seconds: float = 30.0) -> Verdict:
    """Look through the store and the index of a state folder, beside its writer or without one.

    Args:
        folder: the state folder.
        clock: waits, where the index is newer than the newest replica.
        patience_seconds: how long to wait for a newer one.

    Raises:
        StoreMissing: there is no store, or no replica of it yet.
        StoreCorrupt: it is so damaged that it cannot be read.
    """
    deadline = Deadline(clock, patience_seconds)
    while True:
        index, version, problems = _index_of(folder)
        with settled(folder, Engine(spill=folder.spill / "verify")) as database:
            (newest,) = database.one("SELECT version FROM stored.fact")
            if version is None or version <= newest or deadline.passed():
                verdict = verify(database, index, version)
                verdict.problems.extend(problems)
                return verdict
        clock.sleep(_LOOK_AGAIN_SECONDS)


def _index_of(folder: StateFolder) -> tuple[Memberships | None, int | None, list[str]]:
    if not folder.index.is_dir():
        return None, None, []
    try:
        base, overlay, damage = load_newest(folder.index)
    except (IndexDamaged, IndexUnavailable) as error:
        return None, None, [f"index: {error}"]
    return Memberships(base, overlay), overlay.version, [f"index: {each}" for each in damage]


def _of_codes(database: Database) -> Iterator[str]:
    for table, name in _CODED:
        rows, codes, most, names = database.one(
            f"SELECT count(*), count(DISTINCT code), coalesce(max(code) + 1, 0),"
            f" (SELECT count(*) FROM (SELECT DISTINCT {name} FROM stored.{table}))"
            f" FROM stored.{table}"
        )
        if not rows == codes == most:
            yield f"{table}: the codes of {rows:,} rows are not 0 to {rows - 1:,}, each once"
        if names != rows:
            yield f"{table}: {rows - names:,} rows repeat another's name"
    for table, column, other in _STRAY:
        (stray,) = database.one(
            f"SELECT count_if({column} >= (SELECT count(*) FROM stored.{other}))"
            f" FROM stored.{table}"
        )
        if stray:
            yield f"{table}: {stray:,} rows name a {other} that does not exist"


def _of_history(database: Database, replayed: Held, out_of_turn: int) -> Iterator[str]:
    now = held_now(database)
    twice = int(np.count_nonzero(now.pairs[1:] == now.pairs[:-1]))
    if twice:
        yield f"memberships: {twice:,} stand twice"
    if out_of_turn:
        yield f"history: {out_of_turn:,} changes are not enters and leaves by turns"
    missing = int(np.count_nonzero(~_among(replayed.pairs, now.pairs)))
    if missing:
        yield f"memberships: {missing:,} are missing that the history tells of"
    known = _among(now.pairs, replayed.pairs)
    if not known.all():
        count = int(np.count_nonzero(~known))
        yield f"memberships: {count:,} are there that the history does not tell of"
    places = np.searchsorted(replayed.pairs, now.pairs[known])
    late = int(np.count_nonzero(replayed.at_ms[places] != now.at_ms[known]))
    if late:
        yield f"memberships: {late:,} have another time of entering than the history tells"


def _among(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Tell which of some pairs are among others; both ascend."""
    if not others.size:
        return np.zeros(some.size, np.bool_)
    found: NDArray[np.bool_] = others.take(np.searchsorted(others, some), mode="clip") == some
    return found


def _of_index(database: Database, index: Memberships, held: Held) -> Iterator[str]:
    names, users, segments = _names(database)
    if sorted(names) != sorted(index.workspaces()):
        yield "index: its workspaces are others"
        return
    person = held.person
    starts = np.searchsorted(held.segment, np.arange(len(segments) + 1))
    for code, (workspace, segment_id) in enumerate(segments):
        some = slice(starts[code], starts[code + 1])
        of_segment = names[workspace], segment_id
        yield from _of_segment(index, of_segment, users[person[some]], held.at_ms[some])
    yield from _of_users(database, index, held)


def _names(
    database: Database,
) -> tuple[list[str], NDArray[np.object_], list[tuple[int, str]]]:
    rows = database.run("SELECT workspace FROM stored.workspace ORDER BY code").rows
    users = database.columns("SELECT user_id FROM stored.person ORDER BY code")["user_id"]
    segments = database.run("SELECT workspace, segment_id FROM stored.segment ORDER BY code").rows
    return [name for (name,) in rows], np.asarray(users, np.object_), segments


def _of_segment(
    index: Memberships, of: tuple[str, str], users: NDArray[np.object_], at_ms: NDArray[Any]
) -> Iterator[str]:
    """Compare members: as many, and each of them, are the same members."""
    workspace, segment_id = of
    where = f"index: segment {segment_id!r} of {workspace!r}"
    if segment_id not in {row.segment_id for row in index.segments(workspace)}:
        if users.size:
            yield f"{where} is missing, with {users.size:,} members"
        return
    count = index.count(workspace, segment_id)
    if count != users.size:
        yield f"{where} has {count:,} members and should have {users.size:,}"
    missing = index.check_users(workspace, users.tolist(), segment_id).count(False)
    if missing:
        yield f"{where} lacks {missing:,} members"
    step = max(1, users.size // _SAMPLED)
    wrong = sum(
        index.entered_at_ms(workspace, user, segment_id) != at
        for user, at in zip(users[::step].tolist(), at_ms[::step].tolist(), strict=True)
    )
    if wrong:
        yield f"{where} has another time of entering for {wrong:,} of some {_SAMPLED:,} members"


def _of_users(database: Database, index: Memberships, held: Held) -> Iterator[str]:
    """Compare the other way, from user to segments, for some users."""
    names, users, segments = _names(database)
    workspaces = database.columns("SELECT workspace FROM stored.person ORDER BY code")
    step = max(1, users.size // _SAMPLED)
    of_each: dict[int, list[str]] = {person: [] for person in range(0, users.size, step)}
    sampled = held.person % step == 0
    for person, segment in zip(
        held.person[sampled].tolist(), held.segment[sampled].tolist(), strict=True
    ):
        of_each[person].append(segments[segment][1])
    wrong = sum(
        sorted(index.segments_of(names[workspaces["workspace"][person]], users[person]))
        != sorted(expected)
        for person, expected in of_each.items()
    )
    if wrong:
        yield f"index: {wrong:,} of some {len(of_each):,} users are in other segments"
