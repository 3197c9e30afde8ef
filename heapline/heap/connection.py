"""How one workspace is joined to one Heap environment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.words import AppId, Workspace


class Send(StrEnum):
    """The customer's switch."""

    ON = "on"
    OFF = "off"
    HOLD = "hold"


class Region(StrEnum):
    """Where Heap keeps an environment; the hosts differ."""

    US = "us"
    EU = "eu"


class BlockedCategory(StrEnum):
    """Categories of user-typed text an organisation can forbid."""

    COMMANDS = "commands"
    RECORDS = "records"
    URLS = "urls"
    USER_INPUTS_AND_DEADENDS = "user_inputs_and_deadends"
    HELP_HUB_SEARCH = "help_hub_search"


@dataclass(frozen=True, slots=True)
class Connection:
    """One version of a workspace's row; field by field `avro/HeapConnection.avsc`."""

    workspace: Workspace
    version: int = 0
    updated_at_ms: int = 0
    app_id: AppId | None = None
    region: Region | None = None
    send: Send = Send.OFF
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    blocked_categories: frozenset[BlockedCategory] = frozenset()
    send_anonymous: bool = False
    id_token: str | None = None
    partner_app_id: str | None = None
    allowed_by: str | None = None
    allowed_at_ms: int | None = None
    env_id: AppId | None = None
    invitation_digest: str | None = None
    invitation_expires_at_ms: int | None = None
    moved_at_ms: int | None = None

    @property
    def connected(self) -> bool:
        """Whether events have somewhere to go."""
        return self.app_id is not None and self.region is not None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Connection:
        """Make a connection from a decoded Avro record.

        Raises:
            ValueError: a switch or region this version does not know.
        """
        region = record["region"]
        return cls(
            workspace=record["workspace"],
            version=record["version"],
            updated_at_ms=record["updated_at"],
            app_id=record["app_id"],
            region=Region(region) if region else None,
            send=Send(record["send"]),
            include=tuple(record["include"]),
            exclude=tuple(record["exclude"]),
            blocked_categories=frozenset(map(BlockedCategory, record["blocked_categories"])),
            send_anonymous=record["send_anonymous"],
            id_token=record["id_token"],
            partner_app_id=record["partner_app_id"],
            allowed_by=record["allowed_by"],
            allowed_at_ms=record["allowed_at"],
            env_id=record["env_id"],
            invitation_digest=record["invitation_digest"],
            invitation_expires_at_ms=record["invitation_expires_at"],
            moved_at_ms=record["moved_at"],
        )

    def to_record(self) -> dict[str, Any]:
        """Give the Avro record."""
        return {
            "workspace": self.workspace,
            "version": self.version,
            "updated_at": self.updated_at_ms,
            "app_id": self.app_id,
            "region": self.region.value if self.region else None,
            "send": self.send.value,
            "include": list(self.include),
            "exclude": list(self.exclude),
            "blocked_categories": sorted(self.blocked_categories),
            "send_anonymous": self.send_anonymous,
            "id_token": self.id_token,
            "partner_app_id": self.partner_app_id,
            "allowed_by": self.allowed_by,
            "allowed_at": self.allowed_at_ms,
            "env_id": self.env_id,
            "invitation_digest": self.invitation_digest,
            "invitation_expires_at": self.invitation_expires_at_ms,
            "moved_at": self.moved_at_ms,
        }
