"""Running the HTTP application: one socket, one process, an orderly end."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

from heapline.errors import InvalidSetting
from heapline.telemetry.logs import logger
from web.tokens import check_listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from heapline.settings import WebSettings

STOP_SECONDS: Final = 20.0
"""How long requests may take to end after a stop was asked for."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_log = logger(__name__)


def listen(settings: WebSettings) -> socket.socket:
    """Take the address to listen on.

    Raises:
        InvalidSetting: it is beyond loopback and unguarded, taken, or not ours; says what to do.
    """
    check_listening(settings)
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _name, address = found[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(settings, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise _cannot_listen(settings, error) from error
    return listening


def _cannot_listen(settings: WebSettings, error: OSError) -> InvalidSetting:
    place = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return InvalidSetting(
            f"{place} is taken by another program: choose another port with --port or "
            "HEAPLINE_WEB__PORT (0 takes a free one)"
        )
    return InvalidSetting(f"cannot listen on {place}: {error.strerror or error}")


def address_of(listening: socket.socket) -> str:
    """Give the base URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: ASGIApp, listening: socket.socket, *, on_stopping: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then end what runs and return.

    A second signal ends it at once.

    Args:
        app: the application.
        listening: from `listen`; closed afterwards.
        on_stopping: called when a stop was asked for.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=round(STOP_SECONDS),
    )
    server = _Server(config, on_stopping)
    asyncio.run(server.serve(sockets=[listening]))


class _Server(uvicorn.Server):
    """uvicorn's server, without its habit of dying of the signal after an orderly end."""

    def __init__(self, config: uvicorn.Config, on_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stopping = on_stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:
            loop.add_signal_handler(each, self._asked_to_stop)
        try:
            yield
        finally:
            for each in _SIGNALS:
                loop.remove_signal_handler(each)

    def _asked_to_stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        self._on_stopping()
