"""Ports of the world's servers: free when chosen, remembered, replaced when somebody took them."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from random import Random

LOOPBACK: Final = "127.0.0.1"
_RANGE: Final = (20_000, 32_000)
"""Below the range from which the kernel takes ports for outgoing connections (Linux 32768 and up,
macOS 49152 and up): a client that keeps knocking at a server that is down could otherwise be given
the server's own port."""


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Tell whether something takes connections on this loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def choose(
    names: Iterable[str],
    remembered: dict[str, int],
    usable: Callable[[str, int], bool],
    random: Random,
) -> dict[str, int]:
    """Give every name a port of its own, the remembered one where that is still usable.

    Args:
        names: what needs a port.
        remembered: what had which one before.
        usable: whether a name can have a port.
        random: for new ones.
    """
    chosen: dict[str, int] = {}
    for name in names:
        port = remembered.get(name)
        while port is None or port in chosen.values() or not usable(name, port):
            port = random.randrange(*_RANGE)
        chosen[name] = port
    return chosen


def load(path: Path) -> dict[str, int]:
    """Read remembered ports; none when there is no such file, or it makes no sense."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: port for name, port in found.items() if isinstance(port, int)}


def save(path: Path, ports: dict[str, int]) -> None:
    """Remember ports."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(ports, indent=2) + "\n", "utf-8")
    fresh.replace(path)


def a_free_port() -> int:
    """Give a loopback port that is free now, for a server that is started at once."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
