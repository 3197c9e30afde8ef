"""Where the schema id of the event contract comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from heapline.kafka.registry import Registry
from heapline.kafka.topics import EVENTS, Names

if TYPE_CHECKING:
    from heapline.settings import SchemaRegistrySettings


@dataclass(frozen=True, slots=True)
class Password:
    """A password that does not print."""

    _text: str

    def get_secret_value(self) -> str:
        """Give it."""
        return self._text

    def __repr__(self) -> str:
        return "Password(***)"


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """Where the registry is; has what `heapline.kafka.registry` reads of settings."""

    url: str
    username: str | None = None
    password: Password | None = None
    timeout_seconds: float = 5.0


class RegistryEventSchema:
    """Asks a schema registry; see `EventSchema`. Never registers anything, keeps no connection."""

    def __init__(self, access: RegistryAccess, names: Names) -> None:
        self._access = access
        self._names = names

    def event_schema_id(self) -> int:
        """See `EventSchema.event_schema_id`."""
        # As for Kafka: the registry is annotated with the pydantic settings and reads these
        # attributes only.
        registry = Registry(cast("SchemaRegistrySettings", self._access))
        with registry:
            return registry.id_for_writing(self._names, EVENTS)
