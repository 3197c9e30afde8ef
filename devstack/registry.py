"""The embedded schema registry: Apicurio, with Confluent's API and its data in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devstack.answers import is_ok
from devstack.ports import LOOPBACK, is_listening
from devstack.server import JAVA_OPTIONS, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from devstack.programs import Programs
    from heapline.clock import Clock

_MANAGEMENT: Final = "registry-management"
_DURABLE: Final = "WRITE_DELAY=0"
"""H2 otherwise answers half a second before it writes: kill -9 then loses a schema whose id is
already in records."""
_HEAP: Final = ("-Xms48m", "-Xmx256m")


class RegistryServer(Server):
    """Apicurio Registry as one process, on an H2 database file."""

    name: ClassVar[str] = "registry"
    title: ClassVar[str] = "The schema registry"
    port_names: ClassVar[tuple[str, ...]] = ("registry", _MANAGEMENT)

    def __init__(
        self,
        folder: Path,
        ports: Mapping[str, int],
        clock: Clock,
        programs: Callable[[], Programs],
    ) -> None:
        super().__init__(folder, ports, clock)
        self._programs = programs

    @property
    def address(self) -> str:
        """See `Server.address`."""
        return f"http://{LOOPBACK}:{self.port}/apis/ccompat/v7"

    def prepare(self) -> None:
        """See `Server.prepare`: the registry makes its database by itself."""

    def arguments(self) -> Sequence[str]:
        """See `Server.arguments`."""
        programs = self._programs()
        settings = {
            "java.util.logging.manager": "org.jboss.logmanager.LogManager",
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": str(self.port),
            "quarkus.management.host": LOOPBACK,
            "quarkus.management.port": str(self._ports[_MANAGEMENT]),
            "quarkus.http.access-log.enabled": "false",
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            "apicurio.datasource.url": f"jdbc:h2:file:{self.folder / 'registry'};{_DURABLE}",
        }
        return [
            str(programs.java),
            *JAVA_OPTIONS,
            *_HEAP,
            *(f"-D{name}={value}" for name, value in settings.items()),
            "-jar",
            str(programs.registry / "quarkus-run.jar"),
        ]

    def answers(self) -> bool:
        """Ask for the subjects as a client does."""
        if not is_listening(self.port):
            return False
        return is_ok(f"{self.address}/subjects")
