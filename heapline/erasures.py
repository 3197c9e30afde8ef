"""Whose data was erased, and since when: facts accepted before that time are dropped everywhere.

The list of erasures must not itself be a list of people, so it holds an HMAC of workspace and user
id. A plain hash would be no protection: ids are often addresses of mail, which can be guessed by
the million. The key is `HEAPLINE_ERASURE__KEY`. Where it is not set it is derived from the prefix
of the topics, so that all roles agree without being told; then whoever can read the topics can
test guesses, as they could in the topic of memberships. A role with another key than the one an
erasure was written with could not recognise the user, and would let them come back: it stops.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from heapline.errors import MustStop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from heapline.settings import Settings
    from heapline.words import UserId, Workspace

_KEY_ID_CHARACTERS: Final = 8


class AnotherErasureKey(MustStop):
    """An erasure was written with another key than this process has."""


class EraseKey:
    """Names users without saying who they are.

    Attributes:
        id: tells two keys apart, and says nothing about them.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"heapline.erasure", hashlib.sha256)
        self.id = hmac.digest(self._key, b"id", hashlib.sha256).hex()[:_KEY_ID_CHARACTERS]

    @classmethod
    def of(cls, settings: Settings) -> EraseKey:
        """Read the settings."""
        given = settings.erasure.key
        if given is not None:
            return cls(given.get_secret_value().encode("utf-8"))
        return cls(b"heapline\0" + settings.kafka.prefix.encode("utf-8"))

    def mac(self, workspace: str, user: str) -> str:
        """Give a user's name in the list."""
        said = orjson.dumps((workspace, user))
        return hmac.digest(self._key, said, hashlib.sha256).hex()


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure; field by field `avro/HeapErasure.avsc`."""

    workspace: Workspace
    user_mac: str
    key_id: str
    erased_at_ms: int

    @property
    def key(self) -> bytes:
        """The record's key."""
        return orjson.dumps((self.workspace, self.user_mac))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Erasure:
        """Make one from a decoded Avro record."""
        return cls(record["workspace"], record["user_mac"], record["key_id"], record["erased_at"])

    def to_record(self) -> dict[str, Any]:
        """Give the Avro record."""
        return {
            "workspace": self.workspace,
            "user_mac": self.user_mac,
            "key_id": self.key_id,
            "erased_at": self.erased_at_ms,
        }


class _OfWorkspace(NamedTuple):
    newest_ms: int
    by_mac: dict[str, int]


class Erasures:
    """All erasures, asked for one fact at a time; pure.

    A fact younger than the workspace's newest erasure costs one look into a dictionary; only older
    ones cost an HMAC, a microsecond or two.
    """

    def __init__(self, key: EraseKey, erasures: Iterable[Erasure] = ()) -> None:
        self._key = key
        self._workspaces: dict[str, _OfWorkspace] = {}
        for each in erasures:
            self.add(each)

    def __len__(self) -> int:
        return sum(len(each.by_mac) for each in self._workspaces.values())

    def add(self, erasure: Erasure) -> None:
        """Take one over; of two about one user the later counts.

        Raises:
            AnotherErasureKey: see there.
        """
        if erasure.key_id != self._key.id:
            raise AnotherErasureKey(
                "a user was erased with another HEAPLINE_ERASURE__KEY than this process has: give "
                "every role the same, or erased users could come back"
            )
        known = self._workspaces.get(erasure.workspace, _OfWorkspace(0, {}))
        at_ms = max(erasure.erased_at_ms, known.by_mac.get(erasure.user_mac, 0))
        known.by_mac[erasure.user_mac] = at_ms
        self._workspaces[erasure.workspace] = _OfWorkspace(
            max(known.newest_ms, at_ms), known.by_mac
        )

    def newest_ms(self, workspace: str) -> int:
        """Give a time from which on nothing of a workspace is covered."""
        known = self._workspaces.get(workspace)
        return 0 if known is None else known.newest_ms

    def cover(self, workspace: str, user: str, accepted_ms: int) -> bool:
        """Tell whether a fact about a user was accepted before the user was erased."""
        known = self._workspaces.get(workspace)
        if known is None or accepted_ms >= known.newest_ms:
            return False
        return accepted_ms < known.by_mac.get(self._key.mac(workspace, user), 0)

    def kept(
        self, workspace: Workspace, users: tuple[UserId, ...], accepted_ms: int
    ) -> tuple[UserId, ...]:
        """Leave out the users whom `cover` covers."""
        known = self._workspaces.get(workspace)
        if known is None or accepted_ms >= known.newest_ms:
            return users
        return tuple(each for each in users if not self.cover(workspace, each, accepted_ms))

    def named(self, workspace: str, users: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Give users with their names in the list, whether they are in it or not."""
        return ((user, self._key.mac(workspace, user)) for user in users)
