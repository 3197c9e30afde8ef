"""The same memberships in a plain DuckDB table with a primary key, and in Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import redis

from bench.installation import wait_until
from heapline.memberships import MembershipReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bench.filled_index import Filled
    from bench.index_questions import Changing

LOOPBACK: Final = "127.0.0.1"
_START_SECONDS: Final = 30.0
_AT_ONCE: Final = 1_000


class DuckDBTable:
    """See `bench.index_questions.Answerer`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, members: Mapping[str, Any]) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE membership (user_id VARCHAR, segment_id VARCHAR,"
            " PRIMARY KEY (user_id, segment_id))"
        )
        for segment, users in members.items():
            connection.register("added", {"user_id": np.array(users, np.object_)})
            connection.execute("INSERT INTO membership SELECT user_id, ? FROM added", [segment])
            connection.unregister("added")

    def is_member(self, user: str, segment: str) -> bool:
        """See `Answerer`."""
        sql = "SELECT count(*) FROM membership WHERE user_id = ? AND segment_id = ?"
        (found,) = self._connection.execute(sql, [user, segment]).fetchall()[0]
        return bool(found)

    def segments_of(self, user: str) -> Sequence[str]:
        """See `Answerer`."""
        sql = "SELECT segment_id FROM membership WHERE user_id = ?"
        return [row[0] for row in self._connection.execute(sql, [user]).fetchall()]

    def check(self, users: Sequence[str], segments: Sequence[str]) -> Sequence[bool | None]:
        """See `Answerer`."""
        columns = {
            "place": np.arange(len(users)),
            "user_id": np.array(users, np.object_),
            "segment_id": np.array(segments, np.object_),
        }
        self._connection.register("asked", columns)
        sql = (
            "SELECT m.user_id IS NOT NULL FROM asked LEFT JOIN membership AS m"
            " USING (user_id, segment_id) ORDER BY place"
        )
        return [row[0] for row in self._connection.execute(sql).fetchall()]

    def count(self, a: str, b: str, c: str) -> int:
        """See `Answerer`."""
        sql = (
            "SELECT count(*) FROM (SELECT user_id FROM membership WHERE segment_id = ?"
            " INTERSECT SELECT user_id FROM membership WHERE segment_id = ?"
            " EXCEPT SELECT user_id FROM membership WHERE segment_id = ?)"
        )
        found: int = self._connection.execute(sql, [a, b, c]).fetchall()[0][0]
        return found

    def change(self, enter: bool, pairs: Sequence[tuple[str, str]]) -> None:  # noqa: FBT001 -- a fact
        """See `Changing`."""
        users, segments = (np.array(column, np.object_) for column in zip(*pairs, strict=True))
        self._connection.register("changed", {"user_id": users, "segment_id": segments})
        entering = "INSERT OR IGNORE INTO membership SELECT user_id, segment_id FROM changed"
        leaving = (
            "DELETE FROM membership AS m USING changed"
            " WHERE m.user_id = changed.user_id AND m.segment_id = changed.segment_id"
        )
        self._connection.execute(entering if enter else leaving)
        self._connection.unregister("changed")


class RedisSets:
    """A set of users for each segment, and a set of segments for each user; see `Answerer`."""

    def __init__(self, client: Any, members: Mapping[str, Sequence[str]]) -> None:  # noqa: ANN401 -- its stubs know awaitables
        self._client = client
        for segment, users in members.items():
            for some in chunks(users):
                with client.pipeline(transaction=False) as pipeline:
                    pipeline.sadd(f"segment:{segment}", *some)
                    for user in some:
                        pipeline.sadd(f"user:{user}", segment)
                    pipeline.execute()

    def is_member(self, user: str, segment: str) -> bool:
        """See `Answerer`."""
        return bool(self._client.sismember(f"segment:{segment}", user))

    def segments_of(self, user: str) -> Sequence[str]:
        """See `Answerer`."""
        return list(self._client.smembers(f"user:{user}"))

    def check(self, users: Sequence[str], segments: Sequence[str]) -> Sequence[bool | None]:
        """See `Answerer`."""
        with self._client.pipeline(transaction=False) as pipeline:
            for user, segment in zip(users, segments, strict=True):
                pipeline.sismember(f"segment:{segment}", user)
            return list(map(bool, pipeline.execute()))

    def count(self, a: str, b: str, c: str) -> int:
        """See `Answerer`."""
        both = [f"segment:{a}", f"segment:{b}"]
        with self._client.pipeline() as pipeline:
            pipeline.sinterstore("found", both)
            pipeline.sdiffstore("found", ["found", f"segment:{c}"])
            return int(pipeline.execute()[-1])

    def change(self, enter: bool, pairs: Sequence[tuple[str, str]]) -> None:  # noqa: FBT001 -- a fact
        """See `Changing`."""
        with self._client.pipeline(transaction=False) as pipeline:
            put = pipeline.sadd if enter else pipeline.srem
            for user, segment in pairs:
                put(f"segment:{segment}", user)
                put(f"user:{user}", segment)
            pipeline.execute()


def chunks(users: Iterable[str]) -> Iterator[list[str]]:
    """Cut a column into commands."""
    left = iter(users)
    while some := list(islice(left, _AT_ONCE)):
        yield some


@contextmanager
def duckdb_table(members: Mapping[str, Sequence[str]]) -> Iterator[DuckDBTable]:
    """Fill a table on disk."""
    with (
        tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder,
        closing(duckdb.connect(f"{folder}/memberships.duckdb")) as connection,
    ):
        yield DuckDBTable(connection, members)


def redis_is_installed() -> bool:
    """Tell whether there is a server to start."""
    return shutil.which("redis-server") is not None


@contextmanager
def redis_sets(members: Mapping[str, Sequence[str]]) -> Iterator[RedisSets]:
    """Start a server of our own on the loopback, fill it, and end it."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port: int = free.getsockname()[1]
    settings = {"bind": LOOPBACK, "port": port, "save": "", "appendonly": "no"}
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    with (
        tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder,
        subprocess.Popen(
            ["redis-server", *options], cwd=folder, stdout=subprocess.DEVNULL
        ) as server,
    ):
        try:
            client = redis.Redis(LOOPBACK, port, decode_responses=True)
            patience = wait_until(_START_SECONDS, "redis-server did not start")
            while not _answers(client):
                patience.pause()
            yield RedisSets(client, members)
            client.close()
        finally:
            server.terminate()


def _answers(client: Any) -> bool:  # noqa: ANN401 -- as above
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def rivals(filled: Filled) -> Iterator[tuple[str, Changing]]:
    """Give those there are, one after the other, filled with a tenth of the segments."""
    view = MembershipReader(filled.state / "index").pinned()
    members = {each: list(view.members(filled.workspace, each)) for each in held_by(filled)}
    with duckdb_table(members) as answerer:
        yield "DuckDB", answerer
    if redis_is_installed():
        with redis_sets(members) as other:
            yield "Redis", other


def held_by(filled: Filled) -> Sequence[str]:
    """Give the segments that rivals hold: with all of them they would take minutes to fill."""
    return filled.segments[: max(3, len(filled.segments) // 10)]
