"""Whether anything listens at an address, and if not, why."""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import Final

_LARGEST_PORT: Final = 65_535
_KAFKA_PORT: Final = 9092


class Reach(StrEnum):
    """What became of trying to connect; reads on after the address."""

    LISTENS = "listens"
    REFUSED = "nothing listens there (connection refused)"
    UNKNOWN_HOST = "there is no host of that name"
    SILENT = "it does not answer (a firewall, or a machine that is down)"
    UNREACHABLE = "it cannot be reached from here"


def reach(host: str, port: int, timeout_seconds: float) -> Reach:
    """Open a TCP connection and close it again; never raises."""
    try:
        with socket.create_connection((host, port), timeout_seconds):
            return Reach.LISTENS
    except ConnectionRefusedError:
        return Reach.REFUSED
    except (socket.gaierror, UnicodeError):
        return Reach.UNKNOWN_HOST
    except TimeoutError:
        return Reach.SILENT
    except OSError:
        return Reach.UNREACHABLE


def address(text: str) -> tuple[str, int] | None:
    """Read a broker's address as librdkafka does; None for what is none.

    A protocol before it is allowed, and the port may be left out.
    """
    place = text.strip().rpartition("//")[2]
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, str(_KAFKA_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) <= _LARGEST_PORT:
        return None
    return host.strip("[]"), int(port)
