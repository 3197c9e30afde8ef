"""A running world: where its servers are, and a handle on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.heap import HeapServer
    from devstack.kafka import KafkaServer
    from devstack.registry import RegistryServer
    from devstack.server import Server


@dataclass(frozen=True, slots=True)
class World:
    """Kafka, the schema registry and the Heap simulator of one data folder.

    Attributes:
        data_folder: everything the servers keep.
        kafka: the broker; `start`, `stop`, `kill`, `pause`, `resume`, as the other two.
        registry: the schema registry.
        heap: the Heap simulator.
    """

    data_folder: Path
    kafka: KafkaServer
    registry: RegistryServer
    heap: HeapServer

    @property
    def bootstrap_servers(self) -> str:
        """For Kafka clients: `host:port`."""
        return self.kafka.address

    @property
    def registry_url(self) -> str:
        """For schema registry clients: base URL of the Confluent API."""
        return self.registry.address

    @property
    def heap_url(self) -> str:
        """Base URL of the Heap simulator."""
        return self.heap.address

    @property
    def servers(self) -> tuple[Server, ...]:
        """All servers, in the order in which a person reads them."""
        return (self.kafka, self.registry, self.heap)

    def environment(self) -> dict[str, str]:
        """Give the settings of heapline that point to this world, by environment variable."""
        return {
            "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "HEAPLINE_SCHEMA_REGISTRY__URL": self.registry_url,
            "HEAPLINE_HEAP__API_URL": self.heap_url,
        }
