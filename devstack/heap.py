"""The Heap simulator as a process of the world."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, ClassVar, Final

from devstack.answers import is_ok
from devstack.ports import LOOPBACK, is_listening
from devstack.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from heapline.clock import Clock

_MODULE: Final = "devstack.heap_simulator"


class HeapServer(Server):
    """The server that plays Heap; what it accepted is gone when it ends.

    Attributes:
        options: more arguments of its command line.
    """

    name: ClassVar[str] = "heap"
    title: ClassVar[str] = "The Heap simulator"
    port_names: ClassVar[tuple[str, ...]] = ("heap",)

    def __init__(
        self, folder: Path, ports: Mapping[str, int], clock: Clock, options: Sequence[str] = ()
    ) -> None:
        super().__init__(folder, ports, clock)
        self.options = options

    @property
    def address(self) -> str:
        """See `Server.address`."""
        return f"http://{LOOPBACK}:{self.port}"

    def arguments(self) -> Sequence[str]:
        """See `Server.arguments`."""
        where = ("--host", LOOPBACK, "--port", str(self.port))
        written = ("--port-file", str(self.folder / "port"))
        return [sys.executable, "-m", _MODULE, *where, *written, *self.options]

    def prepare(self) -> None:
        """See `Server.prepare`: nothing is needed."""

    def answers(self) -> bool:
        """Ask for its health."""
        if not is_listening(self.port):
            return False
        return is_ok(f"{self.address}/_sim/health")

    @staticmethod
    def exists() -> bool:
        """Tell whether this installation has the simulator."""
        return importlib.util.find_spec(_MODULE) is not None
